"""Reads a finished ELF library: headers, dynamic table, symbols and relocations.

Every offset and size comes from the file, so each is checked before it is followed.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING

import msgspec

from gobun.elf import constants as elf
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")
SECTION = struct.Struct("<IIQQQQIIQQ")
DYNAMIC = struct.Struct("<qQ")
RELA = struct.Struct("<QQq")
SYMBOL = struct.Struct("<IBBHQQ")
_WORD = struct.Struct("<Q")
_MACHINES = (elf.EM_X86_64, elf.EM_AARCH64)
_REBUILD = "build it, or fetch it, again"
_MOST_ADDRESS = 1 << 47


class Segment(msgspec.Struct):
    """A program header. Addresses, offsets and sizes are in bytes."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    memory_size: int
    align: int

    def holds(self, address: int, size: int = 1) -> bool:
        """Return whether the file has ``size`` bytes for this segment at ``address``."""
        return self.address <= address and address + size <= self.address + self.file_size


class Section(msgspec.Struct):
    """A section header. Addresses, offsets and sizes are in bytes."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int = 0
    info: int = 0
    align: int = 1
    entry_size: int = 0


class Relocation(msgspec.Struct, frozen=True):
    """An entry of ``.rela.dyn`` or ``.rela.plt``."""

    entry: int
    """Address of the entry itself."""
    at: int
    """Address of the word that it changes."""
    kind: int
    symbol: int
    addend: int


class Symbol(msgspec.Struct, frozen=True):
    """A dynamic symbol."""

    index: int
    name: str
    binding: int
    section: int
    """Index of its section. 0 if another library must define it."""
    value: int


class Image:
    """The parsed content of a library file.

    Raises:
        UsageError: the file is not a 64-bit shared object for x86-64 or arm64, or is damaged.
    """

    def __init__(self, path: Path, data: bytes, *, program: bool = False) -> None:
        """``path`` is for messages only. ``program`` allows executables too."""
        self.path = path
        self.data = data
        fields = self._header((elf.ET_DYN, elf.ET_EXEC) if program else (elf.ET_DYN,))
        self.machine: int = fields[2]
        self.segments_at: int = fields[5]
        self.sections_at: int = fields[6]
        self.names_index: int = fields[13]
        self.segments = [
            Segment(*values) for values in self._table(SEGMENT, self.segments_at, fields[10])
        ]
        self._check_segments()
        self.sections = self._read_sections(fields[12])
        self.dynamic_at, self.dynamic_room, self.dynamic = self._read_dynamic()

    def damage_error(self, reason: str) -> UsageError:
        """Return the error for a library with invalid content."""
        return UsageError(f"{self.path} is damaged: {reason}", hint=_REBUILD)

    def _header(self, kinds: Collection[int]) -> tuple[int, ...]:
        if self.data[:4] != b"\x7fELF":
            raise UsageError(f"{self.path} is not an ELF file", hint="give a Linux library")
        if len(self.data) < HEADER.size:
            raise self.damage_error("it ends inside its header")
        fields: tuple[int, ...] = HEADER.unpack_from(self.data)
        if self.data[4:6] != b"\x02\x01" or fields[2] not in _MACHINES:
            raise UsageError(
                f"{self.path} is for another architecture (ELF machine {fields[2]})",
                hint="give a library for x86-64 or arm64",
            )
        if fields[1] not in kinds:
            raise UsageError(
                f"{self.path} is not a shared library (ELF type {fields[1]})",
                hint="give a shared library or a Node addon (.so, .node)",
            )
        if fields[9] != SEGMENT.size or (fields[12] and fields[11] != SECTION.size):
            raise self.damage_error("its header tables have entries of an unknown size")
        return fields

    def _table(self, layout: struct.Struct, at: int, count: int) -> Iterator[tuple[int, ...]]:
        return layout.iter_unpack(self.bytes_at(at, count * layout.size))

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes of the file at ``offset``.

        Raises:
            UsageError: the file does not contain them all.
        """
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise self.damage_error(f"{size} bytes at {offset:#x} lie outside of the file")
        return self.data[offset : offset + size]

    def _check_segments(self) -> None:
        end = 0
        for segment in self.segments:
            self.bytes_at(segment.offset, segment.file_size)
            if max(segment.address, segment.physical) + segment.memory_size > _MOST_ADDRESS:
                raise self.damage_error(
                    f"a segment at {segment.address:#x} leaves the address space"
                )
            if segment.kind != elf.PT_LOAD:
                continue
            if segment.address < end or segment.file_size > segment.memory_size:
                raise self.damage_error(
                    f"the segment at {segment.address:#x} overlaps or is too long"
                )
            end = segment.address + segment.memory_size
        if not end:
            raise self.damage_error("nothing of it is ever loaded")

    def _read_sections(self, count: int) -> list[Section]:
        if not count:
            return []
        raw = list(self._table(SECTION, self.sections_at, count))
        if self.names_index >= count:
            raise self.damage_error("its section names are missing")
        names = self.bytes_at(*raw[self.names_index][4:6])
        sections = []
        for values in raw:
            section = Section(_text(names, values[0], "surrogateescape"), *values[1:])
            if section.kind not in {elf.SHT_NOBITS, elf.SHT_NULL}:
                self.bytes_at(section.offset, section.size)
            sections.append(section)
        return sections

    def _read_dynamic(self) -> tuple[int, int, list[tuple[int, int]]]:
        tables = self.of_kind(elf.PT_DYNAMIC)
        if len(tables) != 1:
            raise self.damage_error("it has no dynamic section (a file of debug symbols?)")
        table = tables[0]
        room = table.file_size // DYNAMIC.size
        # Loaders use the address, and other tools the offset.
        if self.offset_of(table.address, room * DYNAMIC.size) != table.offset:
            raise self.damage_error(
                "its dynamic section is at one place in the file and loaded from another"
            )
        dynamic_entries = list(self._table(DYNAMIC, table.offset, room))
        entries: list[tuple[int, int]] = []
        for tag, value in dynamic_entries:
            if tag == elf.DT_NULL:
                return table.address, room, entries
            entries.append((tag, value))
        raise self.damage_error("its dynamic table has no end")

    def of_kind(self, kind: int) -> list[Segment]:
        """Return the segments with this type (``PT_*``)."""
        return [segment for segment in self.segments if segment.kind == kind]

    @property
    def loads(self) -> list[Segment]:
        """The segments that are mapped, in ascending order of address."""
        return self.of_kind(elf.PT_LOAD)

    @property
    def executable(self) -> list[Segment]:
        """The mapped segments that hold code."""
        return [segment for segment in self.loads if segment.flags & elf.PF_X]

    def dynamic_value(self, tag: int) -> int | None:
        """Return the value of the first dynamic entry with ``tag``."""
        return next((value for entry_tag, value in self.dynamic if entry_tag == tag), None)

    def offset_of(self, address: int, size: int = 1) -> int:
        """Return the file offset of ``size`` bytes at ``address``.

        Raises:
            UsageError: the file does not hold them all in one mapped segment.
        """
        for segment in self.loads:
            if segment.holds(address, size):
                return address - segment.address + segment.offset
        raise self.damage_error(f"{size} bytes at address {address:#x} are not in the file")

    def read_at(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes at ``address``.

        Raises:
            UsageError: the file does not hold them.
        """
        at = self.offset_of(address, size)
        return self.data[at : at + size]

    def word(self, address: int) -> int:
        """Return the eight bytes at ``address`` as an unsigned number.

        Raises:
            UsageError: the file does not hold them.
        """
        return int(_WORD.unpack(self.read_at(address, 8))[0])

    def relocations(self, kinds: Collection[int]) -> Iterator[Relocation]:
        """Yield the relocations of the given kinds, without the entries of ``DT_RELR``.

        Raises:
            UsageError: a table leaves the file.
        """
        for start_tag, size_tag in (
            (elf.DT_RELA, elf.DT_RELASZ),
            (elf.DT_JMPREL, elf.DT_PLTRELSZ),
        ):
            start, size = self.dynamic_value(start_tag), self.dynamic_value(size_tag) or 0
            if start is None or not size:
                continue
            table = self.read_at(start, size - size % RELA.size)
            for number, (at, info, addend) in enumerate(RELA.iter_unpack(table)):
                if info & 0xFFFFFFFF in kinds:
                    entry = start + number * RELA.size
                    yield Relocation(entry, at, info & 0xFFFFFFFF, info >> 32, addend)

    def packed_relocations(self) -> Iterator[int]:
        """Yield the address of each word that ``DT_RELR`` makes relative.

        Raises:
            UsageError: the table leaves the file.
        """
        start, size = self.dynamic_value(elf.DT_RELR), self.dynamic_value(elf.DT_RELRSZ) or 0
        if start is None or not size:
            return
        at = 0
        for (word,) in _WORD.iter_unpack(self.read_at(start, size - size % 8)):
            if not word & 1:
                yield word
                at = word + 8
                continue
            yield from (at + 8 * bit for bit in range(63) if word >> (bit + 1) & 1)
            at += 63 * 8

    def symbol(self, index: int) -> Symbol:
        """Return the dynamic symbol with this index.

        Raises:
            UsageError: the library has no such symbol.
        """
        table = self.dynamic_value(elf.DT_SYMTAB)
        if table is None:
            raise self.damage_error("it has no dynamic symbols")
        raw = self.read_at(table + index * SYMBOL.size, SYMBOL.size)
        name, info, _, section, value, _ = SYMBOL.unpack(raw)
        return Symbol(index, self.string(name), info >> 4, section, value)

    def string(self, at: int) -> str:
        """Return the text at offset ``at`` of the dynamic strings.

        Raises:
            UsageError: the offset is outside the table.
        """
        return _text(self.strings, at)

    @functools.cached_property
    def strings(self) -> bytes:
        """The dynamic strings.

        Raises:
            UsageError: the table leaves the file.
        """
        table, size = self.dynamic_value(elf.DT_STRTAB), self.dynamic_value(elf.DT_STRSZ)
        if table is None or size is None:
            raise self.damage_error("it has no dynamic strings")
        return self.read_at(table, size)

    @property
    def needed_libraries(self) -> list[str]:
        """Names of the libraries that it needs, in order.

        Raises:
            UsageError: the table of strings leaves the file.
        """
        return [self.string(value) for tag, value in self.dynamic if tag == elf.DT_NEEDED]


def _text(table: bytes, at: int, errors: str = "backslashreplace") -> str:
    end = table.find(b"\0", at)
    return table[at : max(end, at)].decode("utf-8", errors=errors)
