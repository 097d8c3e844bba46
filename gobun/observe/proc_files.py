"""Bounded reads of ``/proc``: the process that a file describes is hostile, and may end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1 << 20


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the first ``most`` bytes of a file; ``b""`` where it cannot be read."""
    parts: list[bytes] = []
    try:
        with path.open("rb", buffering=0) as file:
            while most > 0 and (part := file.read(most)):
                parts.append(part)
                most -= len(part)
    except (OSError, ValueError):
        return b""
    return b"".join(parts)


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Return the first ``most`` bytes of a file as text; ``""`` where it cannot be read."""
    return read_bytes(path, most).decode(errors="replace")


def read_lines(path: Path, most: int = MOST_BYTES) -> list[str]:
    """Return the lines of a file that the kernel ends by a newline; none where it cannot be read.

    A name in a line may hold anything else, also what ``str.splitlines`` takes for the end of one,
    and bytes that are no UTF-8, which come as by ``os.fsdecode``.
    """
    text = read_bytes(path, most).decode(errors="surrogateescape")
    return text.removesuffix("\n").split("\n") if text else []


def read_link(path: Path) -> str:
    """Return what a link names, made printable; ``""`` where that cannot be read."""
    try:
        return printable(str(path.readlink()))
    except (OSError, ValueError):
        return ""
