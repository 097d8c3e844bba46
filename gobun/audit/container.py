"""Checks a library's container: format, architecture, slices, and whether it is complete.

The check runs before the parser reads the file, because a parser accepts a truncated file as a
smaller library.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from gobun.audit import kinds
from gobun.audit.record import Format
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_ELF_MACHINES = {
    3: "x86",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x64",
    183: "arm64",
    243: "riscv64",
    258: "loong64",
}
_ELF_TYPES = {1: "an object file (.o)", 2: "an executable", 4: "a core dump"}
_ELF_SYSTEMS = {2: "NetBSD", 6: "Solaris", 9: "FreeBSD", 12: "OpenBSD"}

_FAT_MAGICS = {b"\xca\xfe\xba\xbe": ">IIIII", b"\xca\xfe\xba\xbf": ">IIQQII"}
_MACHO_MAGICS = {
    b"\xcf\xfa\xed\xfe": ("<", True),
    b"\xce\xfa\xed\xfe": ("<", False),
    b"\xfe\xed\xfa\xcf": (">", True),
    b"\xfe\xed\xfa\xce": (">", False),
}
_MACHO_CPUS = {7: "x86", 0x01000007: "x64", 12: "arm", 0x0100000C: "arm64", 18: "ppc"}
_MACHO_ARM64E = (0x0100000C, 2)
_MACHO_TYPES = {
    1: "an object file (.o)",
    2: "an executable",
    4: "a core dump",
    9: "a linker's stub, which holds no code",
    10: "a file of debug symbols (dSYM)",
}
_MACHO_LIBRARIES = {6, 8}  # MH_DYLIB; MH_BUNDLE, which is what node-gyp makes on macOS
_MACHO_SEGMENTS = {0x01: "32xII", 0x19: "40xQQ"}  # LC_SEGMENT, LC_SEGMENT_64: offset, size
_FIRST_JAVA_VERSION = 45  # a Java class starts like a universal file, then its version follows


class BinarySlice(msgspec.Struct, frozen=True):
    """One library's bytes: the whole file, or one architecture of a universal one."""

    format: Format
    arch: str
    data: bytes


class BinarySection(msgspec.Struct, frozen=True):
    """The position of a named part in a library's bytes."""

    name: str
    offset: int
    size: int


def split_slices(path: Path, data: bytes) -> tuple[BinarySlice, ...]:
    """Return the libraries in a file: one, or one per architecture of a universal file.

    Raises:
        UsageError: it is not a library, or is truncated.
    """
    try:
        if data.startswith(b"\x7fELF"):
            return (_elf(path, data),)
        if data[:4] in _MACHO_MAGICS:
            return (_macho(path, data),)
        if data[:4] in _FAT_MAGICS:
            return tuple(_macho(path, piece) for piece in _universal_slices(path, data))
    except struct.error as error:
        raise kinds.damaged_library_error(path, "it ends inside its headers") from error
    raise kinds.not_a_library_error(path, data)


def slices_of(path: Path, data: bytes) -> tuple[bytes, ...]:
    """Return the bytes of each slice of a universal file, or the whole content of another file.

    Raises:
        UsageError: a universal file is truncated, or one of its slices is not Mach-O.
    """
    if data[:4] not in _FAT_MAGICS:
        return (data,)
    try:
        return tuple(_universal_slices(path, data))
    except struct.error as error:
        raise kinds.damaged_library_error(path, "it ends inside its headers") from error


def _elf(path: Path, data: bytes) -> BinarySlice:
    if len(data) < 20 or data[4] not in {1, 2} or data[5] not in {1, 2}:
        raise kinds.damaged_library_error(path, "its ELF header is not of a known class")
    order, wide = "<>"[data[5] - 1], data[4] == 2
    kind, machine = struct.unpack_from(f"{order}HH", data, 16)
    if kind in _ELF_TYPES:
        raise UsageError(f"{path} is {_ELF_TYPES[kind]}, not a library", hint=kinds.GIVE_LIBRARY)
    if kind != 3:
        raise kinds.damaged_library_error(path, f"ELF type {kind} is unknown")
    if data[7] in _ELF_SYSTEMS:
        message = f"{path} is a library for {_ELF_SYSTEMS[data[7]]}"
        raise UsageError(message, hint=kinds.OTHER_SYSTEM)
    table = struct.unpack_from(f"{order}{'32xQQI6H' if wide else '28xIII6H'}", data)
    segments_at, sections_at, _, _, segment_size, segments, section_size, sections, _ = table
    size_needed = max(segments_at + segments * segment_size, sections_at + sections * section_size)
    if size_needed <= len(data):
        layout = f"{order}{'8xQ16xQ' if wide else '4xI8xI'}"
        for index in range(segments):
            offset, size = struct.unpack_from(layout, data, segments_at + index * segment_size)
            size_needed = max(size_needed, offset + size)
    if size_needed > len(data):
        raise kinds.truncated_library_error(path, needed_bytes=size_needed, size=len(data))
    return BinarySlice("elf", _ELF_MACHINES.get(machine, f"machine-{machine}"), data)


def _universal_slices(path: Path, data: bytes) -> Iterator[bytes]:
    layout = _FAT_MAGICS[data[:4]]
    (count,) = struct.unpack_from(">I", data, 4)
    if count >= _FIRST_JAVA_VERSION:
        raise UsageError(f"{path} is a Java class, not a library", hint=kinds.GIVE_LIBRARY)
    if count == 0:
        raise kinds.damaged_library_error(path, "it is a universal file without a slice")
    for index in range(count):
        entry = struct.unpack_from(layout, data, 8 + index * struct.calcsize(layout))
        offset, size = entry[2], entry[3]
        if offset + size > len(data):
            raise kinds.truncated_library_error(path, needed_bytes=offset + size, size=len(data))
        piece = data[offset : offset + size]
        if piece[:4] not in _MACHO_MAGICS:
            raise (
                kinds.not_a_library_error(path, piece)
                if piece
                else kinds.damaged_library_error(path, "a slice is empty")
            )
        yield piece


def _macho(path: Path, data: bytes) -> BinarySlice:
    order, wide = _MACHO_MAGICS[data[:4]]
    cpu, subtype, kind, commands, commands_size = struct.unpack_from(f"{order}5I", data, 4)
    if kind in _MACHO_TYPES:
        raise UsageError(f"{path} is {_MACHO_TYPES[kind]}, not a library", hint=kinds.GIVE_LIBRARY)
    if kind not in _MACHO_LIBRARIES:
        raise kinds.damaged_library_error(path, f"Mach-O type {kind} is unknown")
    start = 32 if wide else 28
    size_needed = start + commands_size
    if size_needed <= len(data):
        size_needed = max([size_needed, *_macho_segment_ends(path, data, order, start, commands)])
    if size_needed > len(data):
        raise kinds.truncated_library_error(path, needed_bytes=size_needed, size=len(data))
    arch = _MACHO_CPUS.get(cpu, f"cpu-{cpu}")
    if (cpu, subtype & 0xFFFFFF) == _MACHO_ARM64E:
        arch = "arm64e"
    return BinarySlice("mach-o", arch, data)


def _macho_segment_ends(
    path: Path, data: bytes, order: str, start: int, commands: int
) -> Iterator[int]:
    at = start
    for _ in range(commands):
        command, size = struct.unpack_from(f"{order}II", data, at)
        if size < 8:
            raise kinds.damaged_library_error(
                path, "one of its load commands is shorter than its own header"
            )
        if command in _MACHO_SEGMENTS:
            yield sum(struct.unpack_from(f"{order}{_MACHO_SEGMENTS[command]}", data, at))
        at += size
