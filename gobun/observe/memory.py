"""Reads the memory mappings of a process, and finds the mapping of an address."""

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

_DELETED_SUFFIX = " (deleted)"
_MOST_BYTES = 64 << 20
"""Largest list of mappings that is read, in bytes. By default the kernel permits 65,530
mappings."""


class Mapping(msgspec.Struct, frozen=True):
    """A range of addresses: a line of ``/proc/PID/maps``."""

    start: int
    end: int
    """The first address after the range."""
    rights: str
    """The permissions, such as ``r-xp``."""
    path: str
    """The file as the process names it, made printable; or a name such as ``[stack]``, or
    ``""``."""
    is_deleted: bool = False
    """Whether the file no longer exists under its name."""
    offset: int = 0
    """The offset in the file where the range begins."""
    device: int = 0
    """The file's device, as ``os.stat`` numbers it."""
    inode: int = 0
    raw_path: str = ""
    """The path as it is, decoded as with ``os.fsdecode``. Use it to open the file."""

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self.end - self.start


def mappings(pid: int) -> tuple[Mapping, ...]:
    """Return the mappings of a process in ascending order; empty if they may not be read."""
    memory_map: list[Mapping] = []
    for line in read_lines(Path(f"/proc/{pid}/maps"), _MOST_BYTES):
        with contextlib.suppress(ValueError):  # the last line of a truncated list
            memory_map.append(_mapping(line))
    return tuple(memory_map)


def at_address(ascending: Sequence[Mapping], address: int) -> Mapping | None:
    """Return the mapping that contains an address; None if there is none."""
    index = bisect.bisect_right(ascending, address, key=lambda mapping: mapping.start) - 1
    if index < 0 or address >= ascending[index].end:
        return None
    return ascending[index]


def owner(ascending: Sequence[Mapping], address: int) -> str:
    """Return the path of the file that an address belongs to, or ``""``.

    Zero-initialised data has a mapping without a file, directly after the mapping of its file.
    """
    mapping = at_address(ascending, address)
    while mapping is not None and not mapping.path:
        mapping = at_address(ascending, mapping.start - 1)
    return mapping.path if mapping is not None else ""


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Return ``size`` bytes of a process's memory; fewer or none if some cannot be read."""
    return read_memory_file(pid, "mem", size, address)


def _mapping(line: str) -> Mapping:
    span, rights, offset, device, inode, *rest = line.split(" ", 5)
    start, _, end = span.partition("-")
    # The kernel pads the line up to the path, and writes a newline in a path as \012.
    raw = rest[0].lstrip(" ").replace("\\012", "\n") if rest else ""
    name = raw.removesuffix(_DELETED_SUFFIX)
    return Mapping(
        int(start, 16),
        int(end, 16),
        rights,
        printable(name),
        raw.endswith(_DELETED_SUFFIX),
        int(offset, 16),
        os.makedev(*(int(part, 16) for part in device.split(":"))),
        int(inode),
        name,
    )
