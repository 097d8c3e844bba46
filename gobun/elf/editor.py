"""Edits a finished ELF library: new segments, new sections, other dynamic entries.

Everything that code refers to keeps its address. New content goes into new segments after the last
one. Their program headers extend the table of program headers in place. ``strip`` and ``objcopy``
always write that table right after the ELF header, so they would destroy a table elsewhere. Small
tables in its way (notes, hash tables, dynamic symbols) move into the first new segment, because
only program headers and dynamic entries refer to them. If anything else is in its way, the whole
table moves there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from gobun.elf import constants as elf
from gobun.elf.image import DYNAMIC, HEADER, SECTION, SEGMENT, Image, Section, Segment
from gobun.elf.new_segment import BLOCK_ALIGN, NewSegment
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGES = {elf.EM_X86_64: 0x1000, elf.EM_AARCH64: 0x10000}
_MOVABLE_SECTIONS = frozenset(
    {
        elf.SHT_NOTE,
        elf.SHT_HASH,
        elf.SHT_GNU_HASH,
        elf.SHT_DYNSYM,
        elf.SHT_STRTAB,
        elf.SHT_RELA,
        elf.SHT_RELR,
        elf.SHT_GNU_VERSYM,
        elf.SHT_GNU_VERNEED,
        elf.SHT_GNU_VERDEF,
    }
)

_INTERPRETER = ".interp"


class Editor:
    """A copy of a library, and changes to it. ``finish`` returns the changed library.

    ``new_segments`` is the number of segments that the caller will open, because room for their
    headers is made first. ``add_tls`` makes room for one more header if the library has no
    thread-local storage yet.
    """

    def __init__(self, image: Image, *, new_segments: int = 1, add_tls: bool = False) -> None:
        self.image = image
        self.data = bytearray(image.data)
        self.dynamic = list(image.dynamic)
        """Tags and values. Callers may change it."""
        self.sections = [msgspec.structs.replace(section) for section in image.sections]
        self._segments = [msgspec.structs.replace(segment) for segment in image.segments]
        self._planned_segments = new_segments
        self._more_headers = int(add_tls and not image.of_kind(elf.PT_TLS))
        self._new_segments: list[NewSegment] = []
        self._moved_tables: list[tuple[range, int]] = []
        """Old addresses of each moved table, and its new address."""
        self._strings = b""
        self._names = b""
        self._headers_at = image.segments_at
        self._dynamic_at = image.offset_of(image.dynamic_at)
        self._dynamic_room = image.dynamic_room
        self._drop_header_tables()

    # --- for callers -----------------------------------------------------------------------

    def write(self, address: int, data: bytes) -> None:
        """Replace bytes of the old library.

        Raises:
            UsageError: the bytes are not in its file.
        """
        buffer, at = self._place(address, len(data))
        buffer[at : at + len(data)] = data

    def current(self, address: int, size: int) -> bytes:
        """Return the current bytes at an address of the old library, even if their table has moved.

        Raises:
            UsageError: the bytes are not in its file.
        """
        buffer, at = self._place(address, size)
        return bytes(buffer[at : at + size])

    def _place(self, address: int, size: int) -> tuple[bytearray, int]:
        """Return the buffer that contains an address, and the offset in the buffer."""
        for old_range, new_address in self._moved_tables:
            if address in old_range:
                address += new_address - old_range.start
                break
        for segment in self._new_segments:
            if segment.address <= address < segment.next_address:
                is_open = (
                    segment is self._new_segments[-1]
                    and len(self._new_segments) > self._appended_count
                )
                if is_open:
                    return segment.content, address - segment.address
                return self.data, segment.offset_of(address)
        return self.data, self.image.offset_of(address, size)

    def open_segment(self, flags: int) -> NewSegment:
        """Begin a new segment after all others. This closes the previous one."""
        self._append_open_segment()
        page = _PAGES[self.image.machine]
        self.data += bytes(-len(self.data) % BLOCK_ALIGN)
        end = max(
            each.address + each.memory_size for each in self._segments if each.kind == elf.PT_LOAD
        )
        address = end + -end % page + len(self.data) % page
        segment = NewSegment(address, len(self.data), flags, page)
        self._new_segments.append(segment)
        if len(self._new_segments) == 1:
            self._extend_headers(segment)
        return segment

    def add_string(self, text: str) -> int:
        """Add a text to the dynamic strings, and return its offset in them.

        Call it before the last segment is closed, because the strings move into that segment.
        """
        at = len(self.image.strings) + len(self._strings)
        self._strings += text.encode() + b"\0"
        return at

    def set_interpreter(self, loader: str, segment: NewSegment) -> None:
        """Change a program's dynamic linker. The path ``loader`` goes into ``segment``.

        Raises:
            UsageError: the program names no dynamic linker.
        """
        data = loader.encode() + b"\0"
        address = segment.add(data)
        headers = [header for header in self._segments if header.kind == elf.PT_INTERP]
        if len(headers) != 1:
            raise UsageError(
                f"{self.image.path} names no dynamic linker", hint="give a dynamic program"
            )
        for header in headers:
            header.address = header.physical = address
            header.offset, header.file_size, header.memory_size = (
                segment.offset_of(address),
                len(data),
                len(data),
            )
        for section in self.sections:
            if section.name == _INTERPRETER:
                section.address, section.offset = address, segment.offset_of(address)
                section.size = len(data)

    def add_thread_local(self, size: int, align: int, at: int) -> int:
        """Give every thread ``size`` more zero bytes, and return their offset in the TLS block.

        A library without a TLS block gets one. ``at`` is the address in its header.
        """
        for header in self._segments:
            if header.kind == elf.PT_TLS:
                offset = header.memory_size + -header.memory_size % align
                header.memory_size = offset + size
                header.align = max(header.align, align)
                return offset
        file_offset = self._new_segments[-1].offset_of(at)
        self._segments.append(Segment(elf.PT_TLS, elf.PF_R, file_offset, at, at, 0, size, align))
        return 0

    def fit_dynamic(self, segment: NewSegment) -> None:
        """Move the dynamic table into ``segment`` if it has outgrown its place.

        Call it when the table has all its entries. Only program headers and sections refer to it.
        """
        if len(self.dynamic) < self._dynamic_room:
            return
        room = len(self.dynamic) + 1
        size = room * DYNAMIC.size
        address = segment.add(bytes(size), align=8)
        self._dynamic_at, self._dynamic_room = segment.offset_of(address), room
        for header in self._segments:
            if header.kind == elf.PT_DYNAMIC:
                header.address = header.physical = address
                header.offset = self._dynamic_at
                header.file_size = header.memory_size = size
        for section in self.sections:
            if section.kind == elf.SHT_DYNAMIC:
                section.address, section.offset, section.size = address, self._dynamic_at, size

    def add_unmapped(self, name: str, data: bytes) -> None:
        """Add a section that is never loaded, or replace the one with that name."""
        self._append_open_segment()
        new_section = Section(name, elf.SHT_PROGBITS, 0, 0, len(self.data), len(data))
        self.data += data
        for index, section in enumerate(self.sections):
            if section.name == name and not section.flags & elf.SHF_ALLOC:
                self.sections[index] = new_section
                return
        self.sections.append(new_section)

    def finish(self) -> bytes:
        """Return the bytes of the changed library.

        Raises:
            UsageError: the dynamic table has no room, or the result is not a valid library.
        """
        if len(self._new_segments) != self._planned_segments:
            raise AssertionError("room was made for another number of segments")
        self._append_open_segment()
        self._write_dynamic()
        self._write_segments()
        if self.sections:
            self._write_sections()
        result = bytes(self.data)
        Image(self.image.path, result, program=True)
        return result

    # --- implementation --------------------------------------------------------------------

    def _drop_header_tables(self) -> None:
        """Cut off the section headers and their names. ``finish`` writes new ones."""
        if not self.sections:
            return
        names = self.sections[self.image.names_index]
        self._names = (
            self.image.bytes_at(names.offset, names.size) if self._shares_names() else b"\0"
        )
        mapped = max(each.offset + each.file_size for each in self._segments)
        ends = [
            (self.image.sections_at, len(self.sections) * SECTION.size),
            *([] if self._shares_names() else [(names.offset, names.size)]),
        ]
        for at, size in ends:
            # Linkers align the table, so a few bytes of padding may go before it.
            if at >= mapped and 0 <= len(self.data) - (at + size) < BLOCK_ALIGN:
                del self.data[at:]

    def _shares_names(self) -> bool:
        """Return whether symbols have their names in the same table as sections."""
        return any(each.link == self.image.names_index for each in self.sections)

    def _append_open_segment(self) -> None:
        """Append the open segment, if there is one."""
        if self._new_segments and len(self._new_segments) > self._appended_count:
            segment = self._new_segments[-1]
            if len(self._new_segments) == self._planned_segments:
                self._move_strings(segment)
            self.data += segment.content
            last = max(n for n, each in enumerate(self._segments) if each.kind == elf.PT_LOAD)
            self._segments.insert(last + 1, segment.header())
            self.sections += segment.sections if self.sections else []

    @property
    def _appended_count(self) -> int:
        loads = sum(each.kind == elf.PT_LOAD for each in self._segments)
        return loads - len(self.image.loads)

    def _extend_headers(self, segment: NewSegment) -> None:
        start = self.image.segments_at
        old_end = start + len(self.image.segments) * SEGMENT.size
        new_end = old_end + (self._planned_segments + self._more_headers) * SEGMENT.size
        blocks = self._blocking_ranges(old_end, new_end)
        if blocks is None:
            size = new_end - start
            address = segment.add(bytes(size), align=8)
            self._headers_at = segment.offset_of(address)
            self._place_header_segment(address, self._headers_at, size)
            return
        for block in blocks:
            self._move(block, segment)
        headers = [each for each in self._segments if each.kind == elf.PT_PHDR]
        if headers:
            self._place_header_segment(headers[0].address, start, new_end - start)

    def _place_header_segment(self, address: int, offset: int, size: int) -> None:
        for header in self._segments:
            if header.kind == elf.PT_PHDR:
                header.address = header.physical = address
                header.offset = offset
                header.file_size = header.memory_size = size

    def _blocking_ranges(self, old_end: int, new_end: int) -> list[range] | None:
        """Return the file ranges that must move, or None if one cannot."""
        first = self.image.loads[0]
        if not self.sections or new_end > first.offset + first.file_size:
            return None
        blocks: list[range] = []
        end = old_end
        for section in sorted(self._mapped_sections(), key=lambda each: each.offset):
            if section.offset >= max(new_end, end):
                break
            if section.offset + section.size <= end:
                continue
            if any(self.data[end : section.offset]):
                return None
            block = self._block_of(section)
            blocks.append(block)
            end = block.stop
        if any(self.data[end:new_end]) or any(not self._can_move(block) for block in blocks):
            return None
        return blocks

    def _mapped_sections(self) -> Iterator[Section]:
        for section in self.sections:
            if section.flags & elf.SHF_ALLOC and section.kind != elf.SHT_NOBITS and section.size:
                yield section

    def _block_of(self, section: Section) -> range:
        """Return the file range that moves with a section. Notes in one segment stay together."""
        block = range(section.offset, section.offset + section.size)
        for segment in self._segments:
            segment_range = range(segment.offset, segment.offset + segment.file_size)
            if segment.kind in {elf.PT_NOTE, elf.PT_GNU_PROPERTY} and _overlap(
                block, segment_range
            ):
                block = range(
                    min(block.start, segment_range.start), max(block.stop, segment_range.stop)
                )
        return block

    def _can_move(self, block: range) -> bool:
        sections_inside = [
            section
            for section in self._mapped_sections()
            if _overlap(block, range(section.offset, section.offset + section.size))
        ]
        return all(
            (section.kind in _MOVABLE_SECTIONS or section.name == _INTERPRETER)
            and not section.flags & elf.SHF_WRITE
            for section in sections_inside
        )

    def _move(self, block: range, segment: NewSegment) -> None:
        start = self._address_of(block.start)
        old_range = range(start, start + len(block))
        address = segment.add(bytes(self.data[block.start : block.stop]))
        self.data[block.start : block.stop] = bytes(len(block))
        self._moved_tables.append((old_range, address))
        address_shift, offset_shift = address - start, segment.offset_of(address) - block.start
        for section in self.sections:
            if section.flags & elf.SHF_ALLOC and section.address in old_range:
                section.address += address_shift
                section.offset += offset_shift
        for header in self._segments:
            if header.kind != elf.PT_LOAD and header.address in old_range and header.file_size:
                header.address += address_shift
                header.physical += address_shift
                header.offset += offset_shift
        self.dynamic = [
            (
                tag,
                value + address_shift
                if tag in elf.DYNAMIC_ADDRESSES and value in old_range
                else value,
            )
            for tag, value in self.dynamic
        ]

    def _address_of(self, offset: int) -> int:
        for load in self.image.loads:
            if load.offset <= offset < load.offset + load.file_size:
                return offset - load.offset + load.address
        raise self.image.damage_error(f"a section at {offset:#x} is not loaded")

    def _move_strings(self, segment: NewSegment) -> None:
        if not self._strings:
            return
        strings = self.image.strings + self._strings
        address = segment.add(strings, align=1)
        old_address = self.image.dynamic_value(elf.DT_STRTAB)
        new_values = {elf.DT_STRTAB: address, elf.DT_STRSZ: len(strings)}
        current_address = dict(self.dynamic)[elf.DT_STRTAB]
        self.dynamic = [(tag, new_values.get(tag, value)) for tag, value in self.dynamic]
        for section in self.sections:
            if section.kind == elf.SHT_STRTAB and section.address in {old_address, current_address}:
                section.address, section.size = address, len(strings)
                section.offset = segment.offset_of(address)

    def _write_dynamic(self) -> None:
        spare = self._dynamic_room - len(self.dynamic)
        if spare < 1:
            raise UsageError(
                f"{self.image.path} has no room in its dynamic table",
                hint="link it again with GNU ld, which leaves some",
            )
        entries = [*self.dynamic, *[(elf.DT_NULL, 0)] * spare]
        table = b"".join(DYNAMIC.pack(*entry) for entry in entries)
        self.data[self._dynamic_at : self._dynamic_at + len(table)] = table

    def _write_segments(self) -> None:
        table = b"".join(SEGMENT.pack(*msgspec.structs.astuple(each)) for each in self._segments)
        self.data[self._headers_at : self._headers_at + len(table)] = table
        struct.pack_into("<Q", self.data, 32, self._headers_at)
        struct.pack_into("<H", self.data, 56, len(self._segments))

    def _write_sections(self) -> None:
        names = self._names
        name_offsets = []
        names_section = self.sections[self.image.names_index]
        for section in self.sections:
            name_offsets.append(len(names) if section.name else 0)
            names += section.name.encode(errors="surrogateescape") + b"\0" if section.name else b""
        names_section.offset, names_section.size = len(self.data), len(names)
        self.data += names
        self.data += bytes(-len(self.data) % 8)
        header = list(HEADER.unpack_from(self.data))
        header[6], header[12] = len(self.data), len(self.sections)
        HEADER.pack_into(self.data, 0, *header)
        for name_offset, section in zip(name_offsets, self.sections, strict=True):
            self.data += SECTION.pack(name_offset, *msgspec.structs.astuple(section)[1:])


def _overlap(first: range, second: range) -> bool:
    return first.start < second.stop and second.start < first.stop
