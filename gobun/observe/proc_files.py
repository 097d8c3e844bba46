"""Reads limited amounts of ``/proc``: a hostile process may inflate its files, or end meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

from gobun.printable import printable

PROC = Path("/proc")
MOST_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16


def read_bytes(path: Path | str, most: int = MOST_BYTES) -> bytes:
    """Return the first ``most`` bytes of a file; ``b""`` if it cannot be read."""
    parts: list[bytes] = []
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while most > 0 and (part := os.read(file, min(most, _CHUNK_BYTES))):
                parts.append(part)
                most -= len(part)
        finally:
            os.close(file)
    except (OSError, ValueError):
        return b""
    return b"".join(parts)


def read_text(path: Path | str, most: int = MOST_BYTES) -> str:
    """Return the first ``most`` bytes of a file as text; ``""`` if it cannot be read."""
    return read_bytes(path, most).decode(errors="replace")


def read_lines(path: Path | str, most: int = MOST_BYTES) -> list[str]:
    """Return the lines of a file, split only at newlines; none if it is unreadable.

    A name in a line may contain other line separators that ``str.splitlines`` would split at. It
    may also contain bytes that are not UTF-8, which are decoded as with ``os.fsdecode``.
    """
    text = read_bytes(path, most).decode(errors="surrogateescape")
    return text.removesuffix("\n").split("\n") if text else []


def thread_ids(folder: str) -> list[int]:
    """Return the ids in a process's ``task`` folder, ascending; none if the process has gone."""
    try:
        return sorted(map(int, os.listdir(folder)))  # noqa: PTH208 - a quarter of Path's time
    except OSError:
        return []


def read_link(path: Path) -> str:
    """Return the target of a link, made printable; ``""`` if it cannot be read."""
    try:
        return printable(str(path.readlink()))
    except (OSError, ValueError):
        return ""
