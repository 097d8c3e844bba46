"""Merges a small library, the donor, into a finished one, the host.

The donor holds the guard and its constructor. Its memory image is copied behind the segments of the
host, code and data at the distance that they had, so its code stays as it is. What the dynamic
linker has to do for it is added to the host's tables: relocations, the names that it imports,
thread-local memory, and a constructor before all others.
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
"""What the guard's code and data are aligned to; a page is a multiple of it."""
_DONOR_PAGE = 4096
_WORD = 8
_DT_FLAGS_1, _NODELETE, _DT_RELAENT = 0x6FFFFFFB, 8, 9
_SHT_INIT_ARRAY = 14
_MOST_STATIC_BYTES = 1024
"""What a library's thread-local memory may take so that it finds room in the static block, of which
glibc keeps some 1.6 KB for libraries that are loaded later."""
_EVERY_KIND = range(1 << 32)
_VERSION_ANY = 1
"""A symbol without a version: whichever libc there is has it."""
_GLOBAL_FUNCTION = 0x12
_RELA = struct.Struct("<QQq")
_SYMBOL = struct.Struct("<IBBHQQ")


class _Kinds(msgspec.Struct, frozen=True):
    """The numbers of relocations on one architecture."""

    relative: int
    address: int
    slot: int
    thread: int
    page: int
    """The largest page that a kernel for it may have, in bytes."""

    @property
    def symbolic(self) -> tuple[int, int]:
        """Those that are filled in with the address of a name."""
        return self.address, self.slot


_KINDS = {
    elf.EM_X86_64: _Kinds(relative=8, address=6, slot=7, thread=18, page=0x1000),
    elf.EM_AARCH64: _Kinds(relative=1027, address=1025, slot=1026, thread=1030, page=0x10000),
}


class Merge:
    """One library, the donor, on its way into another, the host."""

    def __init__(self, host: Image, donor: Image) -> None:
        self._host, self._donor = host, donor
        self._kinds = _KINDS[host.machine]
        self._editor = Editor(host, new_segments=2, add_tls=True)
        self._imports: dict[int, int] = {}
        """Index of a symbol by its index in the donor."""
        self._base = 0
        self._thread_offset = 0

    def run(self) -> bytes:
        """Return the bytes of the result.

        Raises:
            UsageError: the host holds something that this does not understand.
        """
        symbols = self._section(elf.SHT_DYNSYM, ".dynsym")
        constructors = self._constructors()
        self._check_thread_local()
        split = self._donor.loads[-1].address // _DONOR_PAGE * _DONOR_PAGE
        image = self._memory_image()
        code = self._editor.open_segment(elf.PF_R | elf.PF_X)
        # Code and data must not share a page, whatever its size is here.
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

    def _refuse(self, reason: str) -> UsageError:
        return UsageError(
            f"{self._host.path}: {reason}, so the guard cannot be embedded",
            hint="use the Go package (invoke vendor-guard), or load the guard before the library",
        )

    def _check_thread_local(self) -> None:
        """Refuse a host whose block cannot become static, which that of the guard has to be.

        A signal handler may touch no memory that libc allocates when a thread first uses it.
        """
        is_static = any(self._host.relocations((self._kinds.thread,)))
        size = sum(each.memory_size for each in self._host.of_kind(elf.PT_TLS))
        if size > _MOST_STATIC_BYTES and not is_static:
            raise self._refuse(f"every thread has {size:,} bytes of its thread-local memory")

    def _section(self, kind: int, name: str) -> Section:
        sections = [each for each in self._editor.sections if each.kind == kind]
        if len(sections) != 1:
            raise self._refuse(f"it has {len(sections)} sections {name} and must have one")
        return sections[0]

    def _memory_image(self) -> bytes:
        """Return the donor as it is in memory before it is relocated."""
        last = self._donor.loads[-1]
        image = bytearray(last.address + last.memory_size)
        for each in self._donor.loads:
            image[each.address : each.address + each.file_size] = self._donor.read_at(
                each.address, each.file_size
            )
        return bytes(image)

    def _constructors(self) -> list[tuple[int, int, int]]:
        """Return kind, symbol and addend of each constructor of the host, in order."""
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
            raise self._refuse(f"its constructor at {missing[0]:#x} has no relocation")
        return [constructors[at] for at in words]

    def _add_imports(self, symbols: Section, data: NewSegment) -> None:
        """Append the names that the donor imports to the host's dynamic symbols."""
        entries = self._host.bytes_at(self._table_offset(symbols, elf.DT_SYMTAB), symbols.size)
        count = symbols.size // _SYMBOL.size
        versions = b""
        for each in self._donor.relocations(self._kinds.symbolic):
            if each.symbol in self._imports:
                continue
            name = self._donor.symbol(each.symbol).name
            self._imports[each.symbol] = count
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
        """Return where in the host's file a table is, whose section says the same of it."""
        address = self._host.dynamic_value(tag)
        original = [each for each in self._host.sections if each.kind == section.kind]
        if address is None or original[0].address != address:
            raise self._refuse(f"its section {section.name} is not the table that is loaded")
        return self._host.offset_of(address, section.size)

    def _relocate(self, relocation: Relocation) -> tuple[int, int, int, int]:
        """Return place, kind, symbol and addend of a relocation of the donor in the host."""
        at = relocation.at + self._base
        if relocation.kind == self._kinds.relative:
            return at, relocation.kind, 0, relocation.addend + self._base
        if relocation.kind == self._kinds.thread:
            return at, relocation.kind, 0, relocation.addend + self._thread_offset
        if relocation.kind not in self._kinds.symbolic:
            raise AssertionError(f"the guard has a relocation of kind {relocation.kind}")
        return at, self._kinds.address, self._imports[relocation.symbol], relocation.addend

    def _add_constructors(
        self, donor_entries: list[tuple[int, int, int]], data: NewSegment
    ) -> Iterator[tuple[int, int, int, int]]:
        """Make a table of constructors, the guard's first, and yield its relocations."""
        start = self._donor.dynamic_value(elf.DT_INIT_ARRAY) or 0
        size = self._donor.dynamic_value(elf.DT_INIT_ARRAYSZ) or 0
        words = range(start, start + size, _WORD)
        ours = [
            (self._kinds.relative, 0, each.addend + self._base)
            for each in self._donor.relocations((self._kinds.relative,))
            if each.at in words
        ]
        if not ours:
            raise AssertionError("the guard has no constructor")
        entries = [*ours, *donor_entries]
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
        return next((value for each, value in self._editor.dynamic if each == tag), None)

    def _set_dynamic(self, tag: int, value: int) -> None:
        """Change an entry of the dynamic table, or add it."""
        table = self._editor.dynamic
        for index, (each, _) in enumerate(table):
            if each == tag:
                table[index] = (tag, value)
                return
        table.append((tag, value))
