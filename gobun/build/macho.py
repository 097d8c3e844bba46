"""Rewrites the random bytes that Zig's Mach-O linker leaves, so equal inputs give equal bytes.

Zig 0.17 skips the indirect symbols of pointers to the library's own symbols. The end of that table
then contains uninitialised memory. Nothing reads it at run time, because dyld uses the
binding opcodes. But the file differs from run to run, and so do its UUID and its signature.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, NamedTuple

from gobun import files
from gobun.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# <mach-o/loader.h>
_SEGMENT_64, _SYMTAB, _DYSYMTAB, _UUID, _CODE_SIGNATURE = 0x19, 0x2, 0xB, 0x1B, 0x1D
_HEADER_SIZE, _SEGMENT_SIZE, _SECTION_SIZE, _NLIST_SIZE = 32, 72, 80, 16
_NON_LAZY_POINTERS, _LAZY_POINTERS, _STUBS = 6, 7, 8
_POINTER_SIZE = 8
_LOCAL = 0x80000000
# <Kernel/kern/cs_blobs.h>, big-endian
_CODE_DIRECTORY = 0xFADE0C02


class _MachoSection(NamedTuple):
    address: int
    size: int
    kind: int
    first: int
    """Index of its first entry in the table of indirect symbols."""
    stub_size: int


def make_deterministic(path: Path) -> None:
    """Rewrite the indirect symbols, the UUID and the ad-hoc signature of a thin 64-bit dylib.

    Raises:
        BuildError: the file does not have the form that Zig's linker writes.
        PrerequisiteError: the file cannot be written.
    """
    data = bytearray(path.read_bytes())
    try:
        commands = dict(_commands(data))
        _write_indirect_symbols(data, commands, _bound_symbols(path))
        end = len(data)
        if _CODE_SIGNATURE in commands:
            (end,) = struct.unpack_from("<I", data, commands[_CODE_SIGNATURE] + 8)
        _write_uuid(data, commands[_UUID] + 8, end)
        if _CODE_SIGNATURE in commands:
            _sign(data, end)
    except (ArithmeticError, LookupError, struct.error, ValueError) as error:
        raise BuildError(
            f"{path.name} is not a dylib of the form that Zig links: {error!r}"
        ) from error
    files.write_whole(path, bytes(data), mode=path.stat().st_mode & 0o777)


def _commands(data: bytearray) -> Iterator[tuple[int, int]]:
    (count,) = struct.unpack_from("<I", data, 16)
    at = _HEADER_SIZE
    for _ in range(count):
        command, size = struct.unpack_from("<II", data, at)
        yield command, at
        at += size


def _sections(data: bytearray) -> Iterator[_MachoSection]:
    for command, at in _commands(data):
        if command == _SEGMENT_64:
            (count,) = struct.unpack_from("<I", data, at + 64)
            for number in range(count):
                section = at + _SEGMENT_SIZE + number * _SECTION_SIZE
                address, size = struct.unpack_from("<QQ", data, section + 32)
                flags, first, stub_size = struct.unpack_from("<III", data, section + 64)
                yield _MachoSection(address, size, flags & 0xFF, first, stub_size)


def _bound_symbols(path: Path) -> dict[int, str]:
    """Return the name of the symbol that dyld binds at each address."""
    # Imported here, because the import takes a quarter of a second.
    import lief  # noqa: PLC0415

    lief.logging.disable()  # It warns about the entries that this module rewrites.
    universal = lief.MachO.parse(str(path))
    binary = universal.at(0) if universal is not None else None
    if binary is None:
        raise ValueError("it cannot be parsed")
    bound = (binding for binding in binary.bindings if binding.has_symbol)
    return {
        binding.address: str(binding.symbol.name) for binding in bound if binding.symbol is not None
    }


def _symbol_numbers(data: bytearray, symtab: int) -> dict[str, int]:
    at, count, strings, _ = struct.unpack_from("<4I", data, symtab + 8)
    numbers: dict[str, int] = {}
    for number in range(count):
        (name_at,) = struct.unpack_from("<I", data, at + number * _NLIST_SIZE)
        start = strings + name_at
        numbers[data[start : data.index(0, start)].decode()] = number
    return numbers


def _write_indirect_symbols(
    data: bytearray, commands: dict[int, int], bound: dict[int, str]
) -> None:
    numbers = _symbol_numbers(data, commands[_SYMTAB])
    table, count = struct.unpack_from("<II", data, commands[_DYSYMTAB] + 56)
    entries = [_LOCAL] * count
    sections = list(_sections(data))
    lazy: list[int] = []
    for section in sections:
        if section.kind in {_NON_LAZY_POINTERS, _LAZY_POINTERS}:
            for slot in range(section.size // _POINTER_SIZE):
                name = bound.get(section.address + slot * _POINTER_SIZE)
                entries[section.first + slot] = _LOCAL if name is None else numbers[name]
            if section.kind == _LAZY_POINTERS:
                lazy = entries[section.first : section.first + section.size // _POINTER_SIZE]
    for section in sections:
        if section.kind == _STUBS:  # One stub for each lazy pointer, in the same order.
            stubs = section.size // section.stub_size
            if stubs != len(lazy):
                raise ValueError(f"{stubs} stubs for {len(lazy)} lazy pointers")
            entries[section.first : section.first + stubs] = lazy
    if len(entries) != count:
        raise ValueError(f"{len(entries)} indirect symbols where {count} are announced")
    struct.pack_into(f"<{count}I", data, table, *entries)


def _write_uuid(data: bytearray, at: int, end: int) -> None:
    data[at : at + 16] = bytes(16)
    digest = bytearray(hashlib.sha256(data[:end]).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # RFC 4122: version 5, named by a hash
    digest[8] = digest[8] & 0x3F | 0x80
    data[at : at + 16] = digest


def _sign(data: bytearray, blob: int) -> None:
    """Hash every page of the file again, and write the hashes into the existing signature."""
    (count,) = struct.unpack_from(">I", data, blob + 8)
    for number in range(count):
        (offset,) = struct.unpack_from(">I", data, blob + 12 + number * 8 + 4)
        at = blob + offset
        (magic,) = struct.unpack_from(">I", data, at)
        if magic == _CODE_DIRECTORY:
            (hashes,) = struct.unpack_from(">I", data, at + 16)
            pages, limit = struct.unpack_from(">II", data, at + 28)
            size, page_bits = data[at + 36], data[at + 39]
            for page in range(pages):
                start = page << page_bits
                stop = min(start + (1 << page_bits), limit)
                slot = at + hashes + page * size
                data[slot : slot + size] = hashlib.sha256(data[start:stop]).digest()[:size]
