"""Text from a hostile process, on a terminal and in JSON."""

from __future__ import annotations

import json

import pytest

from gobun.printable import printable, printable_bytes, printable_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bun", "bun"),
        ("größe 漢字", "größe 漢字"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m", "\\x9b31m"),
        ("a\x00b", "a\\x00b"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066x\u2069\u200f", "\\u2066x\\u2069\\u200f"),
        ("\u2028", "\\u2028"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\xff"),
        ("\ud800", "\\ud800"),
    ],
)
def test_printable_escapes_only_unprintable_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_printable_keeps_named_characters() -> None:
    assert printable("a\n\x1b\tb", kept_characters="\n\t") == "a\n\\x1b\tb"


def test_printable_bytes_accepts_any_bytes() -> None:
    assert printable_bytes(bytes(range(256))).isprintable()
    assert printable_bytes("é\xff".encode("latin-1")) == "\\xe9\\xff"


def test_printable_json_keeps_the_value() -> None:
    value = {"name": "\x9b\u202e\U000e0041 ü"}
    document = printable_json(json.dumps(value, ensure_ascii=False))
    assert document.isprintable()
    assert json.loads(document) == value
