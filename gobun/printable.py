"""Escapes untrusted text. Even a process's name can hold characters that control a terminal."""

from __future__ import annotations

import json


def printable(text: str, *, kept_characters: str = "") -> str:
    r"""Return text with every unprintable character escaped.

    These are control characters (including NUL, ESC and the C1 set), bidirectional controls and
    other invisible characters, line separators, and surrogates, which represent bytes that are not
    UTF-8: ``\x1b``, ``\u202e``, ``\xff``. Characters in ``kept_characters`` stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in kept_characters else _escape_character(char)
        for char in text
    )


def printable_bytes(data: bytes) -> str:
    """Return bytes that should be UTF-8 as text that is safe to show."""
    return printable(data.decode(errors="surrogateescape"))


def printable_json(document: str) -> str:
    """Return an equivalent JSON document on one line, with unprintable characters escaped."""
    if document.isprintable():
        return document
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in document)


def _escape_character(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte, by ``surrogateescape``
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
