"""Adds the code that runs a converted library's initialisers (``native/musl_startup``).

The startup code replaces the first function of ``DT_INIT_ARRAY``, and the array ends there. It
calls that function, then those in the rest of the array. By then the dynamic linker has relocated
their addresses too. ``DT_INIT`` would need no relocation, but musl for arm64 does not call it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from gobun.elf import Relocation
from gobun.elf import constants as elf
from gobun.elf.image import RELA
from gobun.elf.tls import RELATIVE_KINDS
from gobun.errors import UsageError

if TYPE_CHECKING:
    from gobun.elf import Editor, Image, NewSegment
    from gobun.elf.tls import TlsWord

MARK = b"gobun for musl\x01\0"
"""The bytes right before the startup code. They identify a converted library."""

_TABLE = struct.Struct("<qqQqQ")
_ABSOLUTE = {elf.EM_X86_64: 1, elf.EM_AARCH64: 257}
_EMPTY_ENTRIES = frozenset({0, 0xFFFFFFFFFFFFFFFF})
_REPORT = "report the library: no linker is known to do so"


class Initialiser(msgspec.Struct, frozen=True):
    """The first function of ``DT_INIT_ARRAY``, and the number of entries after it."""

    at: int
    """Address of its entry."""
    function: int
    """Address of the function."""
    other_entries: int
    """How many entries follow."""
    relocation: Relocation | None
    """None if ``DT_RELR`` relocates the entry."""


def is_converted(image: Image) -> bool:
    """Return whether a library has been converted before."""
    array = image.dynamic_value(elf.DT_INIT_ARRAY)
    if not array or not image.dynamic_value(elf.DT_INIT_ARRAYSZ):
        return False
    mark = image.word(array) - len(MARK)
    return any(
        load.holds(mark, len(MARK)) and image.read_at(mark, len(MARK)) == MARK
        for load in image.executable
    )


def first_initialiser(image: Image) -> Initialiser:
    """Return the initialiser that the startup code can replace.

    Raises:
        UsageError: there is no initialiser, the first one is not a function of this library, or no
            relocation fills one.
    """
    start, size = image.dynamic_value(elf.DT_INIT_ARRAY), image.dynamic_value(elf.DT_INIT_ARRAYSZ)
    if not start or not size:
        raise UsageError(
            f"{image.path} has no initialiser (DT_INIT_ARRAY), so nothing would start Go",
            hint="link it with -buildmode=c-shared, or with all of its c-archive",
        )
    image.offset_of(start, size)
    entries = range(start, start + size - size % 8, 8)
    relocations = {
        each.at: each for each in image.relocations(range(1 << 32)) if each.at in entries
    }
    packed = set(image.packed_relocations())
    initialiser: Initialiser | None = None
    for at in entries:
        if at not in relocations and at not in packed:
            if image.word(at) not in _EMPTY_ENTRIES:
                raise UsageError(
                    f"{image.path} has an initialiser at {at:#x} that no relocation fills",
                    hint=_REPORT,
                )
        elif initialiser is None:
            relocation = relocations.get(at)
            function = image.word(at) if relocation is None else _function(image, relocation)
            if not any(load.holds(function) for load in image.executable):
                raise UsageError(
                    f"{image.path} has an initialiser at {at:#x} that is no code ({function:#x})",
                    hint=_REPORT,
                )
            initialiser = Initialiser(at, function, (entries.stop - at) // 8 - 1, relocation)
    if initialiser is None:
        raise UsageError(f"{image.path} has only empty initialisers", hint=_REPORT)
    return initialiser


def install(
    editor: Editor, segment: NewSegment, code: bytes, word: TlsWord, initialiser: Initialiser
) -> None:
    """Add the startup code to ``segment``, and make it the library's only initialiser."""
    segment.add(MARK)
    entry = segment.add(code, align=1)
    table = entry + len(code)
    distances = (
        initialiser.function - table,
        initialiser.at + 8 - table,
        initialiser.other_entries,
    )
    segment.add(_TABLE.pack(*distances, word.address - table, word.offset), align=1)
    editor.write(initialiser.at, struct.pack("<Q", entry))
    if initialiser.relocation is not None:
        relative = RELATIVE_KINDS[editor.image.machine]
        editor.write(initialiser.relocation.entry, RELA.pack(initialiser.at, relative, entry))
    array = {elf.DT_INIT_ARRAY: initialiser.at, elf.DT_INIT_ARRAYSZ: 8}
    editor.dynamic = [(tag, array.get(tag, value)) for tag, value in editor.dynamic]


def _function(image: Image, relocation: Relocation) -> int:
    """Return the address of the function that a relocation writes.

    Raises:
        UsageError: it is not in this library, or the type of the relocation is unknown.
    """
    if relocation.kind == RELATIVE_KINDS[image.machine]:
        return relocation.addend
    if relocation.kind == _ABSOLUTE[image.machine]:
        symbol = image.symbol(relocation.symbol)
        if symbol.section != elf.SHN_UNDEF:
            return symbol.value + relocation.addend
        raise UsageError(
            f"{image.path} has another library's function {symbol.name} as its initialiser at "
            f"{relocation.at:#x}",
            hint="link that library into it",
        )
    raise UsageError(
        f"{image.path} has an initialiser at {relocation.at:#x} with a relocation of kind "
        f"{relocation.kind}",
        hint=_REPORT,
    )
