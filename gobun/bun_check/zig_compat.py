"""What only upstream's fork of Zig understands, written so that the stock Zig does too.

It is done to a scratch copy and keeps every line where it is, so what the stock Zig says of a line
holds for the tree that is built. A private field ``#name`` becomes ``@"#name"``: another way to
write the same name, so what asks for the field by its name as text finds it still. That the field
is used in its own file only is what then nobody checks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_SKIPPED = rb"""//[^\n]*|\\\\[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
"""Comments, lines of text, texts and quoted names, characters."""
_TOKEN = re.compile(_SKIPPED + rb"|\#(?P<private>[A-Za-z_]\w*)")
_QUOTED = re.compile(rb'@"(#[A-Za-z_]\w*)"')
_PLACE = re.compile(r"^(\S[^:\n]*\.zig):(\d+):(\d+): (?=error|note)")
_OPENING, _CLOSING = len('@"'), len('"')


def stock(source: bytes) -> bytes:
    """Return Zig source with no name that the stock Zig does not take."""
    return _TOKEN.sub(_name, source) if b"#" in source else source


def _name(token: re.Match[bytes]) -> bytes:
    return b'@"#%b"' % token["private"] if token["private"] else token[0]


def rewrite(folders: Iterable[Path]) -> int:
    """Rewrite the Zig files below some folders in their place, and return how many changed."""
    changed = 0
    for folder in folders:
        for path in sorted(folder.rglob("*.zig")):
            if path.is_symlink() or not path.is_file():
                continue
            before = path.read_bytes()
            after = stock(before)
            if after != before:
                path.write_bytes(after)
                changed += 1
    return changed


def as_written(message: str, line_of: Callable[[str, int], bytes]) -> str:
    """Return a line that Zig said of a rewritten file, told of the file as it is written.

    ``line_of`` returns a line of a rewritten file, given its path and its number.
    """
    place = _PLACE.match(message)
    rest = message[place.end() :] if place else message
    text = _QUOTED.sub(rb"\1", rest.encode()).decode()
    if place is None:
        return text
    path, number, column = place[1], int(place[2]), int(place[3])
    return f"{path}:{number}:{_column(line_of(path, number), column)}: {text}"


def _column(line: bytes, at: int) -> int:
    """Return the column that ``at`` of a rewritten line was, both counted from 1 in bytes."""
    moved = 0
    for name in _QUOTED.finditer(line):
        if at > name.end():
            moved += _OPENING + _CLOSING
        elif at - 1 > name.start():
            moved += min(_OPENING, at - 1 - name.start())
    return at - moved
