"""Merges a small library, the donor, into a finished one, the host.

The donor contains the guard and its constructor. The merge copies the donor's memory image after
the host's segments. Code and data keep their distance, so the code needs no change. The merge also
extends the host's tables for the dynamic linker: relocations, imported names, thread-local memory,
and a constructor that runs before all others.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from gobun.elf import Editor, Image
from gobun.elf import constants as elf
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gobun.elf import NewSegment, Relocation, Section

_ALIGN = 64
"""Alignment of the guard's code and data, in bytes. A page is a multiple of it."""
_DONOR_PAGE = 4096
_WORD = 8
_DT_FLAGS_1, _NODELETE, _DT_RELAENT = 0x6FFFFFFB, 8, 9
_SHT_INIT_ARRAY = 14
_MOST_STATIC_BYTES = 1024
"""Largest TLS block of a host, in bytes, that may become static. glibc reserves some 1.6 KB of the
static block for libraries that are loaded later."""
_EVERY_KIND = range(1 << 32)
_VERSION_ANY = 1
"""Version index of a symbol without a version, because any libc provides the symbol."""
_GLOBAL_FUNCTION = 0x12
_RELA = struct.Struct("<QQq")
_SYMBOL = struct.Struct("<IBBHQQ")


class _Kinds(msgspec.Struct, frozen=True):
    """Relocation types of one architecture, and its page size."""

    relative: int
    address: int
    slot: int
    thread: int
    page: int
    """The largest page size of its kernels, in bytes."""

    @property
    def symbolic(self) -> tuple[int, int]:
        """Types of relocations that write the address of a symbol."""
        return self.address, self.slot


_KINDS = {
    elf.EM_X86_64: _Kinds(relative=8, address=6, slot=7, thread=18, page=0x1000),
    elf.EM_AARCH64: _Kinds(relative=1027, address=1025, slot=1026, thread=1030, page=0x10000),
}


class Merge:
    """A merge of the donor into the host."""

    def __init__(self, host: Image, donor: Image) -> None:
        self._host, self._donor = host, donor
        self._kinds = _KINDS[host.machine]
        self._editor = Editor(host, new_segments=2, add_tls=True)
        self._imports: dict[int, int] = {}
        """Index of each imported symbol in the result, by its index in the donor."""
        self._base = 0
        self._thread_offset = 0

    def run(self) -> bytes:
        """Return the bytes of the result.

        Raises:
            UsageError: the host has a structure that the merge does not support.
        """
        symbols = self._section(elf.SHT_DYNSYM, ".dynsym")
        constructors = self._constructors()
        self._check_thread_local()
        split = self._donor.loads[-1].address // _DONOR_PAGE * _DONOR_PAGE
        image = self._memory_image()
        code = self._editor.open_segment(elf.PF_R | elf.PF_X)
        # Code and data must not share a page, whatever the page size is.
        code.add(bytes(-(code.next_address + split) % self._kinds.page), align=1)
        self._base = code.add(image[:split], align=_ALIGN, name=".goguard", code=True)
        data = self._editor.open_segment(elf.PF_R | elf.PF_W)
        at = data.add(image[split:], align=_ALIGN, name=".goguard.data")
        if at != self._base + split:
            raise AssertionError("the guard's data is not where its code expects it")
        self._add_imports(symbols, data)
        for block in self._donor.of_kind(elf.PT_TLS):
            if block.file_size:
                raise AssertionError("the guard has thread-local memory that is not zero")
            align = max(block.align, _WORD)
            self._thread_offset = self._editor.add_thread_local(block.memory_size, align, at)
        relocations = [self._relocate(each) for each in self._donor.relocations(_EVERY_KIND)]
        relocations += self._add_constructors(constructors, data)
        self._add_relocations(relocations, data)
        self._set_dynamic(_DT_FLAGS_1, (self._host.dynamic_value(_DT_FLAGS_1) or 0) | _NODELETE)
        self._editor.fit_dynamic(data)
        return self._editor.finish()

    def _unsupported(self, reason: str) -> UsageError:
        return UsageError(
            f"{self._host.path}: {reason}, so the guard cannot be embedded",
            hint="use the Go package (invoke vendor-guard), or load the guard before the library",
        )

    def _check_thread_local(self) -> None:
        """Reject a host whose TLS block is too large to become static.

        The guard's thread-local memory must be static. libc allocates other blocks when a thread
        first uses them, and a signal handler must not cause that.

        Raises:
            UsageError: the block is too large.
        """
        is_static = any(self._host.relocations((self._kinds.thread,)))
        size = sum(each.memory_size for each in self._host.of_kind(elf.PT_TLS))
        if size > _MOST_STATIC_BYTES and not is_static:
            raise self._unsupported(f"every thread has {size:,} bytes of its thread-local memory")

    def _section(self, kind: int, name: str) -> Section:
        sections = [each for each in self._editor.sections if each.kind == kind]
        if len(sections) != 1:
            raise self._unsupported(f"it has {len(sections)} sections {name} and must have one")
        return sections[0]

    def _memory_image(self) -> bytes:
        """Return the donor's memory image before relocation."""
        last = self._donor.loads[-1]
        image = bytearray(last.address + last.memory_size)
        for segment in self._donor.loads:
            image[segment.address : segment.address + segment.file_size] = self._donor.read_at(
                segment.address, segment.file_size
            )
        return bytes(image)

    def _constructors(self) -> list[tuple[int, int, int]]:
        """Return type, symbol and addend of each constructor of the host, in order."""
        start = self._host.dynamic_value(elf.DT_INIT_ARRAY)
        size = self._host.dynamic_value(elf.DT_INIT_ARRAYSZ) or 0
        if start is None or not size:
            return []
        words = range(start, start + size, _WORD)
        constructors: dict[int, tuple[int, int, int]] = {}
        for at in self._host.packed_relocations():
            if at in words:
                constructors[at] = (self._kinds.relative, 0, self._host.word(at))
        for each in self._host.relocations(_EVERY_KIND):
            if each.at in words:
                constructors[each.at] = (each.kind, each.symbol, each.addend)
        missing = [at for at in words if at not in constructors]
        if missing:
            raise self._unsupported(f"its constructor at {missing[0]:#x} has no relocation")
        return [constructors[at] for at in words]

    def _add_imports(self, symbols: Section, data: NewSegment) -> None:
        """Append the names that the donor imports to the host's dynamic symbols."""
        entries = self._host.bytes_at(self._table_offset(symbols, elf.DT_SYMTAB), symbols.size)
        count = symbols.size // _SYMBOL.size
        versions = b""
        for relocation in self._donor.relocations(self._kinds.symbolic):
            if relocation.symbol in self._imports:
                continue
            name = self._donor.symbol(relocation.symbol).name
            self._imports[relocation.symbol] = count
            at = self._editor.add_string(name)
            entries += _SYMBOL.pack(at, _GLOBAL_FUNCTION, 0, 0, 0, 0)
            versions += struct.pack("<H", _VERSION_ANY)
            count += 1
        self._place(symbols, data.add(entries, align=_WORD), len(entries), data)
        self._set_dynamic(elf.DT_SYMTAB, symbols.address)
        if self._host.dynamic_value(elf.DT_VERSYM) is not None:
            table = self._section(elf.SHT_GNU_VERSYM, ".gnu.version")
            old = self._host.bytes_at(self._table_offset(table, elf.DT_VERSYM), table.size)
            self._place(table, data.add(old + versions, align=2), table.size + len(versions), data)
            self._set_dynamic(elf.DT_VERSYM, table.address)

    def _table_offset(self, section: Section, tag: int) -> int:
        """Return the file offset of a table of the host.

        Raises:
            UsageError: the section header contradicts the dynamic table.
        """
        address = self._host.dynamic_value(tag)
        original = [each for each in self._host.sections if each.kind == section.kind]
        if address is None or original[0].address != address:
            raise self._unsupported(f"its section {section.name} is not the table that is loaded")
        return self._host.offset_of(address, section.size)

    def _relocate(self, relocation: Relocation) -> tuple[int, int, int, int]:
        """Return address, type, symbol and addend in the host for a relocation of the donor."""
        at = relocation.at + self._base
        if relocation.kind == self._kinds.relative:
            return at, relocation.kind, 0, relocation.addend + self._base
        if relocation.kind == self._kinds.thread:
            return at, relocation.kind, 0, relocation.addend + self._thread_offset
        if relocation.kind not in self._kinds.symbolic:
            raise AssertionError(f"the guard has a relocation of kind {relocation.kind}")
        return at, self._kinds.address, self._imports[relocation.symbol], relocation.addend

    def _add_constructors(
        self, host_entries: list[tuple[int, int, int]], data: NewSegment
    ) -> Iterator[tuple[int, int, int, int]]:
        """Make a table of constructors, the guard's first, and yield its relocations."""
        start = self._donor.dynamic_value(elf.DT_INIT_ARRAY) or 0
        size = self._donor.dynamic_value(elf.DT_INIT_ARRAYSZ) or 0
        words = range(start, start + size, _WORD)
        guard_entries = [
            (self._kinds.relative, 0, relocation.addend + self._base)
            for relocation in self._donor.relocations((self._kinds.relative,))
            if relocation.at in words
        ]
        if not guard_entries:
            raise AssertionError("the guard has no constructor")
        entries = [*guard_entries, *host_entries]
        length = len(entries) * _WORD
        table = data.add(bytes(length), align=_WORD)
        for section in self._editor.sections:
            if section.kind == _SHT_INIT_ARRAY:
                self._place(section, table, length, data)
        self._set_dynamic(elf.DT_INIT_ARRAY, table)
        self._set_dynamic(elf.DT_INIT_ARRAYSZ, length)
        for number, (kind, symbol, addend) in enumerate(entries):
            yield table + number * _WORD, kind, symbol, addend

    def _add_relocations(
        self, relocations: list[tuple[int, int, int, int]], data: NewSegment
    ) -> None:
        start = self._host.dynamic_value(elf.DT_RELA)
        size = self._host.dynamic_value(elf.DT_RELASZ) or 0
        table = self._host.read_at(start, size) if start is not None and size else b""
        table += b"".join(
            _RELA.pack(at, symbol << 32 | kind, addend) for at, kind, symbol, addend in relocations
        )
        address = data.add(table, align=_WORD)
        for section in self._editor.sections:
            if section.kind == elf.SHT_RELA and section.address == self._tag(elf.DT_RELA):
                self._place(section, address, len(table), data)
        self._set_dynamic(elf.DT_RELA, address)
        self._set_dynamic(elf.DT_RELASZ, len(table))
        self._set_dynamic(_DT_RELAENT, _RELA.size)

    def _place(self, section: Section, address: int, size: int, data: NewSegment) -> None:
        section.address, section.size = address, size
        section.offset = data.offset_of(address)

    def _tag(self, tag: int) -> int | None:
        return next((value for entry_tag, value in self._editor.dynamic if entry_tag == tag), None)

    def _set_dynamic(self, tag: int, value: int) -> None:
        """Change an entry of the dynamic table, or add it."""
        table = self._editor.dynamic
        for index, (entry_tag, _) in enumerate(table):
            if entry_tag == tag:
                table[index] = (tag, value)
                return
        table.append((tag, value))
