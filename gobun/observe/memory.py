"""What is mapped into a process, and where an address lies."""

from __future__ import annotations

import bisect
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun.guarded_read import read_memory_file
from gobun.observe.proc_files import read_lines
from gobun.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_DELETED = " (deleted)"
_MOST_BYTES = 64 << 20
"""Of a list of mappings; the kernel allows a process 65,530 mappings by default."""


class Mapping(msgspec.Struct, frozen=True):
    """A range of addresses with one origin."""

    start: int
    end: int
    rights: str
    """As ``r-xp``."""
    path: str
    """The file as the process names it, made printable; ``[stack]`` and the like, or nothing."""
    deleted: bool = False
    """The file is no longer there under its name."""
    offset: int = 0
    """Where in the file the range begins."""
    device: int = 0
    """The file's device, as ``os.stat`` numbers it."""
    inode: int = 0
    raw: str = ""
    """The path byte for byte, as ``os.fsdecode`` has it, to open the file by."""

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


def mappings(pid: int) -> tuple[Mapping, ...]:
    """Return what is mapped into a process, ascending; empty where that may not be known."""
    found: list[Mapping] = []
    for line in read_lines(Path(f"/proc/{pid}/maps"), _MOST_BYTES):
        with contextlib.suppress(ValueError):  # the last line where the list was cut
            found.append(_mapping(line))
    return tuple(found)


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
    return read_memory_file(pid, "mem", size, address)


def _mapping(line: str) -> Mapping:
    span, rights, offset, device, inode, *rest = line.split(" ", 5)
    start, _, end = span.partition("-")
    # The kernel pads the line up to the path, and writes a newline in a path as \012.
    raw = rest[0].lstrip(" ").replace("\\012", "\n") if rest else ""
    name = raw.removesuffix(_DELETED)
    return Mapping(
        int(start, 16),
        int(end, 16),
        rights,
        printable(name),
        raw.endswith(_DELETED),
        int(offset, 16),
        os.makedev(*(int(part, 16) for part in device.split(":"))),
        int(inode),
        name,
    )
