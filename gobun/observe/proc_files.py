"""Bounded reads of ``/proc``: the process that a file describes is hostile, and may end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1 << 20


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Return the first ``most`` bytes of a file as text; ``""`` where it cannot be read."""
    parts: list[bytes] = []
    try:
        with path.open("rb", buffering=0) as file:
            while most > 0 and (part := file.read(most)):
                parts.append(part)
                most -= len(part)
    except (OSError, ValueError):
        return ""
    return b"".join(parts).decode(errors="replace")


def read_link(path: Path) -> str:
    """Return what a link names; ``""`` where that cannot be read."""
    try:
        return str(path.readlink())
    except OSError:
        return ""
