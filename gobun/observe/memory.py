"""What is mapped into a process, and where an address lies."""

from __future__ import annotations

import bisect
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

_DELETED = " (deleted)"


class Mapping(msgspec.Struct, frozen=True):
    """A range of addresses with one origin."""

    start: int
    end: int
    rights: str
    """As ``r-xp``."""
    path: str
    """The file as the process names it, ``[stack]`` and the like, or nothing."""
    deleted: bool = False
    """The file is no longer there under its name."""
    offset: int = 0
    """Where in the file the range begins."""
    device: int = 0
    """The file's device, as ``os.stat`` numbers it."""
    inode: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


def mappings(pid: int) -> tuple[Mapping, ...]:
    """Return what is mapped into a process, ascending; empty where that may not be known."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(_mapping(line) for line in lines)


def at_address(ascending: Sequence[Mapping], address: int) -> Mapping | None:
    """Return the mapping that an address lies in."""
    index = bisect.bisect_right(ascending, address, key=lambda mapping: mapping.start) - 1
    if index < 0 or address >= ascending[index].end:
        return None
    return ascending[index]


def owner(ascending: Sequence[Mapping], address: int) -> str:
    """Return the file an address belongs to, or ``""``.

    Zero-initialised data has no file of its own, and follows that of its file at once.
    """
    mapping = at_address(ascending, address)
    while mapping is not None and not mapping.path:
        mapping = at_address(ascending, mapping.start - 1)
    return mapping.path if mapping is not None else ""


def read(pid: int, address: int, size: int) -> bytes:
    """Return bytes of a process's memory; fewer, or none, where that may not be read."""
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(size)
    except (OSError, ValueError, OverflowError):
        return b""


def _mapping(line: str) -> Mapping:
    span, rights, offset, device, inode, *rest = line.split(maxsplit=5)
    start, _, end = span.partition("-")
    path = rest[0] if rest else ""
    return Mapping(
        int(start, 16),
        int(end, 16),
        rights,
        path.removesuffix(_DELETED),
        path.endswith(_DELETED),
        int(offset, 16),
        os.makedev(*(int(part, 16) for part in device.split(":"))),
        int(inode),
    )
