"""Rewrites syntax of upstream's fork of Zig so that the stock Zig accepts it.

The rewrite works on a scratch copy and keeps all line numbers, so the errors of the stock Zig apply
to the original tree. A private field ``#name`` becomes ``@"#name"``. This is another spelling of
the same name, so code that looks the field up by its name still finds it. The stock Zig does not
check that only the field's own file uses it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_COMMENT_OR_LITERAL = rb"""//[^\n]*|\\\\[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
"""Comments, multiline string literals, string literals and quoted names, character literals."""
_PRIVATE_NAME = re.compile(_COMMENT_OR_LITERAL + rb"|\#(?P<private>[A-Za-z_]\w*)")
_QUOTED_NAME = re.compile(rb'@"(#[A-Za-z_]\w*)"')
_PLACE = re.compile(r"^(\S[^:\n]*\.zig):(\d+):(\d+): (?=error|note)")
_OPENING_LENGTH, _CLOSING_LENGTH = len('@"'), len('"')


def stock(source: bytes) -> bytes:
    """Return Zig source with every name in a form that the stock Zig accepts."""
    return _PRIVATE_NAME.sub(_name, source) if b"#" in source else source


def _name(match: re.Match[bytes]) -> bytes:
    return b'@"#%b"' % match["private"] if match["private"] else match[0]


def rewrite(folders: Iterable[Path]) -> int:
    """Rewrite the Zig files below some folders in place, and return the number of changed files."""
    changed_count = 0
    for folder in folders:
        for path in sorted(folder.rglob("*.zig")):
            if path.is_symlink() or not path.is_file():
                continue
            before = path.read_bytes()
            after = stock(before)
            if after != before:
                path.write_bytes(after)
                changed_count += 1
    return changed_count


def as_written(message: str, line_of: Callable[[str, int], bytes]) -> str:
    """Translate a line of Zig's output about a rewritten file to the original file.

    ``line_of`` returns a line of a rewritten file, given its path and number.
    """
    place = _PLACE.match(message)
    rest = message[place.end() :] if place else message
    text = _QUOTED_NAME.sub(rb"\1", rest.encode()).decode()
    if place is None:
        return text
    path, number, column = place[1], int(place[2]), int(place[3])
    return f"{path}:{number}:{_column(line_of(path, number), column)}: {text}"


def _column(line: bytes, at: int) -> int:
    """Return the original column of column ``at`` in a rewritten line, in bytes from 1."""
    moved = 0
    for name in _QUOTED_NAME.finditer(line):
        if at > name.end():
            moved += _OPENING_LENGTH + _CLOSING_LENGTH
        elif at - 1 > name.start():
            moved += min(_OPENING_LENGTH, at - 1 - name.start())
    return at - moved
