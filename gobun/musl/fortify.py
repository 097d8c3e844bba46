"""Adds adapters for glibc's fortified functions (``native/musl_fortify``) to a library.

```
 the library's slot   R_X86_64_JUMP_SLOT __fprintf_chk  ->  R_X86_64_RELATIVE, an adapter
 a slot of our own                                          R_X86_64_GLOB_DAT vfprintf
```

The dynamic symbol gets the plain name, so the symbol table keeps its size. Only the small
relocation table of ``DT_JMPREL`` moves. It gets an entry for each slot of our own.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from gobun.elf import Relocation, Symbol
from gobun.elf import constants as elf
from gobun.elf.image import RELA, SYMBOL
from gobun.elf.tls import RELATIVE_KINDS
from gobun.errors import UsageError
from gobun.musl.libc import SYMBOL_RELOCATIONS, missing_imports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.elf import Editor, Image, NewSegment

_WORD = 8
_ALIGN = 16
_GLOB_DAT = {elf.EM_X86_64: 6, elf.EM_AARCH64: 1025}
_FIELD = struct.Struct("<i")
_ANY_KIND = range(1 << 32)


class Adapter(msgspec.Struct, frozen=True):
    """A replacement for a fortified function, with the same arguments. It calls the plain one."""

    name: str
    plain_name: str
    """Empty if it calls none."""
    offset: int
    """Bytes from the start of the code."""


class Adapters(msgspec.Struct, frozen=True):
    """The compiled adapters, in the order of the table that the converter fills in."""

    code: bytes
    entries: tuple[Adapter, ...]

    @property
    def numbers(self) -> dict[str, int]:
        """Index of each adapter, by the name of its function."""
        return {each.name: number for number, each in enumerate(self.entries)}


def read_adapters(flat: bytes) -> Adapters:
    """Parse the linker's flat output: an index of the adapters, then their code."""
    entries, at = [], 0
    while distance := _FIELD.unpack_from(flat, at)[0]:
        first = flat.index(b"\0", at + _FIELD.size)
        second = flat.index(b"\0", first + 1)
        name, plain_name = flat[at + _FIELD.size : first], flat[first + 1 : second]
        entries.append(Adapter(name.decode(), plain_name.decode(), at + distance))
        at = second + 1
    start = at + _FIELD.size
    start += -start % _ALIGN
    moved = (Adapter(each.name, each.plain_name, each.offset - start) for each in entries)
    return Adapters(flat[start:], tuple(moved))


class FortifiedFunction(msgspec.Struct, frozen=True):
    """A fortified function that a library calls."""

    symbol: Symbol
    adapter: Adapter
    number: int
    """Its index in the table of adapters."""
    relocations: tuple[Relocation, ...]
    """All relocations that refer to the symbol."""


def fortified_functions(image: Image, adapters: Adapters) -> list[FortifiedFunction]:
    """Return the functions that a library calls and that adapters replace.

    Raises:
        UsageError: the library refers to one in a way that no adapter supports.
    """
    numbers = adapters.numbers
    symbols = {each.index: each for each in missing_imports(image) if each.name in numbers}
    used: dict[int, list[Relocation]] = {index: [] for index in symbols}
    for each in image.relocations(_ANY_KIND):
        if each.symbol in used:
            if each.kind not in SYMBOL_RELOCATIONS[image.machine] or each.addend:
                raise UsageError(
                    f"{image.path} refers to {symbols[each.symbol].name} at {each.at:#x} in an "
                    f"unknown way (relocation {each.kind})",
                    hint="report the library",
                )
            used[each.symbol].append(each)
    return [
        FortifiedFunction(
            symbol, adapters.entries[numbers[symbol.name]], numbers[symbol.name], tuple(used[index])
        )
        for index, symbol in symbols.items()
    ]


def open_slots(editor: Editor, functions: Sequence[FortifiedFunction], name: str) -> int:
    """Make the library import the plain functions, and reserve a word for the address of each.

    Open a writable segment for the words, with a section ``name``. Return the first word's address.
    """
    symbols = editor.image.dynamic_value(elf.DT_SYMTAB) or 0
    for function in functions:
        if function.adapter.plain_name:
            name_offset = editor.add_string(function.adapter.plain_name)
            editor.write(
                symbols + function.symbol.index * SYMBOL.size, struct.pack("<I", name_offset)
            )
    writable = editor.open_segment(elf.PF_R | elf.PF_W)
    return writable.add(bytes(len(functions) * _WORD), name=name)


def install(
    editor: Editor,
    segment: NewSegment,
    adapters: Adapters,
    functions: Sequence[FortifiedFunction],
    slots: int,
) -> None:
    """Add the adapters to ``segment``, and redirect the library's calls to them.

    ``slots`` is the address of the writable words, one for each of ``functions``.
    """
    machine = editor.image.machine
    code = segment.add(adapters.code)
    table = code + len(adapters.code)
    distances = [0] * len(adapters.entries)
    new_words: dict[int, bytes] = {}
    entries = []
    for slot, function in enumerate(functions):
        at = slots + slot * _WORD
        distances[function.number] = at - table
        target = code + function.adapter.offset
        for relocation in function.relocations:
            new_words[relocation.entry] = RELA.pack(relocation.at, RELATIVE_KINDS[machine], target)
        if function.adapter.plain_name:
            entries.append(RELA.pack(at, function.symbol.index << 32 | _GLOB_DAT[machine], 0))
    segment.add(struct.pack(f"<{len(distances)}q", *distances), align=1)
    for entry, content in new_words.items():
        editor.write(entry, content)
    _extend_relocations(editor, segment, b"".join(entries))


def _extend_relocations(editor: Editor, segment: NewSegment, new_entries: bytes) -> None:
    """Move the table of ``DT_JMPREL`` into ``segment`` and extend it. Make one if there is none."""
    values = dict(editor.dynamic)
    start, size = values.get(elf.DT_JMPREL), values.get(elf.DT_PLTRELSZ) or 0
    old_entries = (
        editor.current(start, size - size % RELA.size) if start is not None and size else b""
    )
    table = segment.add(old_entries + new_entries, align=_WORD)
    for section in editor.sections:
        if section.kind == elf.SHT_RELA and old_entries and section.address == start:
            section.address, section.offset = table, segment.offset_of(table)
            section.size = len(old_entries) + len(new_entries)
    new = {elf.DT_JMPREL: table, elf.DT_PLTRELSZ: len(old_entries) + len(new_entries)}
    new[elf.DT_PLTREL] = elf.DT_RELA
    editor.dynamic = [(tag, new.pop(tag, value)) for tag, value in editor.dynamic]
    editor.dynamic += new.items()
