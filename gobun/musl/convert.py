"""Converts a finished Go library: initial-exec TLS becomes general-dynamic, in the file alone.

```
 the word     R_X86_64_TPOFF64, its offset       ->  R_X86_64_DTPMOD64, the library's number
 each load    mov word(%rip), %reg               ->  jmp thunk: %reg = dtv[number] + offset - %fs:0
 fortified    __memcpy_chk, __fprintf_chk, …     ->  adapters, which call memcpy, vfprintf, …
 DT_INIT_ARRAY                                   ->  startup code, which calls it as glibc does
 DT_NEEDED    libc.so.6, libpthread.so.0, …      ->  libc.so
```

What a thunk computes is what musl computes for any thread-local variable; the library keeps its TLS
segment, so musl gives each thread its copy, threads older than the library included.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

import msgspec

from gobun import buildinfo
from gobun.elf import Editor, Image
from gobun.elf import constants as elf
from gobun.elf.image import SYMBOL
from gobun.elf.tls import DTPMOD, TlsWord, initial_exec_words, sites_of
from gobun.errors import BuildError, UsageError
from gobun.musl import arm64, cfi, fortify, startup, x86
from gobun.musl.libc import (
    GLIBC_NAMES,
    NAME,
    PLAIN_NAMES,
    missing_functions,
    missing_imports,
)
from gobun.musl.support import support_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gobun.elf import NewSegment
    from gobun.elf.site import Site

SEGMENT_NAME = ".gobun.musl"
_MOST_SPAN = (1 << 31) - (1 << 26)
"""A field relative to the instruction pointer reaches 2 GiB; the rest is for the thunks."""

_DF_1_PIE, _DT_FLAGS_1, _DT_DEBUG = 0x08000000, 0x6FFFFFFB, 21


class _Architecture(Protocol):
    """What differs between the two, a module each."""

    ARCH: str
    PADDING: bytes
    UNWIND_RULES: cfi.UnwindRules

    def check(self, image: Image, site: Site) -> None: ...
    def thunk(self, image: Image, site: Site, offset: int, address: int) -> bytes: ...
    def jump(self, site: Site, address: int) -> bytes: ...
    def saved_register(self, code: bytes) -> cfi.SavedRegister | None: ...


_ARCHITECTURES: dict[int, _Architecture] = {elf.EM_X86_64: x86, elf.EM_AARCH64: arm64}


class Conversion(msgspec.Struct, frozen=True):
    """A converted library, and what was done to it."""

    data: bytes
    arch: str
    sites: int
    """Instructions that became jumps."""
    added_bytes: int
    """Bytes by which the file grew."""
    replaced_libraries: tuple[str, ...]
    """Names of glibc's libraries that are no longer asked for."""
    plain_functions: tuple[str, ...] = ()
    """Functions that it now calls by the name that musl has for them."""
    adapted_functions: tuple[str, ...] = ()
    """Functions of glibc that adapters stand in for."""


class NativeCode(msgspec.Struct, frozen=True):
    """Compiled code that a conversion adds to a library."""

    startup: bytes
    adapters: fortify.Adapters


def convert(path: Path, data: bytes, native_code: Callable[[str], NativeCode]) -> Conversion:
    """Return a library that loads in musl processes; ``path`` is for messages only.

    ``native_code`` gives the compiled code for ``x64`` or ``arm64``.

    Raises:
        UsageError: the library is of a kind that cannot be converted; it says why, and where.
        BuildError: the result would not load after all, which is a bug of ours.
    """
    image = Image(path, data)
    words = _convertible_words(image)
    sites = _checked_sites(image, words)
    first = startup.first_initialiser(image)
    work = _ARCHITECTURES[image.machine]
    native = native_code(work.ARCH)
    _check_functions(image, native.adapters)
    functions = fortify.fortified_functions(image, native.adapters)
    editor = Editor(image, new_segments=2 if functions else 1)
    plain_names = _take_plain_names(editor)
    slots = fortify.open_slots(editor, functions, f"{SEGMENT_NAME}.data") if functions else 0
    segment = editor.open_segment(elf.PF_R | elf.PF_X)
    segment.align(16)
    own = segment.next_address
    startup.install(editor, segment, native.startup, words[0], first)
    frames = _redirect(editor, segment, sites, words)
    if functions:
        fortify.install(editor, segment, native.adapters, functions, slots)
    for word in words:
        editor.write(word.entry + 8, struct.pack("<Qq", DTPMOD[image.machine], 0))
    renamed = _leave_glibc(editor)
    segment.cover(SEGMENT_NAME, own, code=True)
    table = cfi.section(image, work.UNWIND_RULES, frames) if image.sections else None
    if table is not None:
        editor.add_unmapped(cfi.SECTION, table)
    result = editor.finish()
    problems = support_of(Image(path, result)).problems
    if problems:
        raise BuildError(
            f"the converted {path.name} would not load: it {'; it '.join(problems)}",
            hint="report the library",
        )
    added_bytes = len(result) - len(data)
    adapted = tuple(each.adapter.name for each in functions)
    return Conversion(result, work.ARCH, len(sites), added_bytes, renamed, plain_names, adapted)


def _convertible_words(image: Image) -> list[TlsWord]:
    """Return the TLS words of a library that can be converted.

    Raises:
        UsageError: it cannot be.
    """
    path = image.path
    flags = image.dynamic_value(_DT_FLAGS_1) or 0
    if flags & _DF_1_PIE or image.dynamic_value(_DT_DEBUG) is not None:
        raise UsageError(f"{path} is an executable, not a library", hint="give a shared library")
    if max(load.address + load.memory_size for load in image.loads) > _MOST_SPAN:
        raise UsageError(
            f"{path} is so large that a new segment behind it is out of reach",
            hint="strip the library, or link it without debug information",
        )
    if startup.is_converted(image):
        raise UsageError(f"{path} is converted already", hint="use it as it is")
    build = buildinfo.find(image.data, image.sections)
    if build is None:
        raise UsageError(
            f"{path} has no Go in it", hint="build it for musl: only Go needs to be converted"
        )
    if build.settings.get("GOFIPS140", "off") != "off":
        raise UsageError(
            f"{path} is built with GOFIPS140, which checks that its code is unchanged",
            hint="build it with GOFIPS140=off",
        )
    words = initial_exec_words(image)
    if not words:
        raise UsageError(
            f"{path} has no initial-exec TLS word, so another toolchain made it for musl",
            hint="load it as it is",
        )
    _check_words(image, words)
    return words


def _checked_sites(image: Image, words: list[TlsWord]) -> list[Site]:
    """Return the loads of the TLS words.

    Raises:
        UsageError: one cannot be replaced, or there is none.
    """
    sites = sites_of(image, words)
    for site in sites:
        _ARCHITECTURES[image.machine].check(image, site)
    if not sites:
        raise UsageError(
            f"{image.path} has a TLS word at {words[0].address:#x} that no code loads",
            hint="report the library",
        )
    return sites


def _check_functions(image: Image, adapters: fortify.Adapters) -> None:
    cured = PLAIN_NAMES.keys() | adapters.numbers.keys()
    missing = [name for name in missing_functions(image) if name not in cured]
    if missing:
        missing_lines = "".join(f"\n  - {name}" for name in missing)
        raise UsageError(
            f"{image.path} calls functions of glibc that musl does not have:{missing_lines}",
            hint="build it without them, or with zig cc -target …-linux-musl",
        )


def _check_words(image: Image, words: list[TlsWord]) -> None:
    foreign = [word.foreign_symbol for word in words if word.foreign_symbol]
    if foreign:
        raise UsageError(
            f"{image.path} uses thread-local variables of another library: {', '.join(foreign)}",
            hint="link that library into it",
        )
    if not image.of_kind(elf.PT_TLS):
        raise image.damage_error("it uses thread-local variables, and has none")
    size = image.of_kind(elf.PT_TLS)[0].memory_size
    for word in words:
        image.offset_of(word.address, 8)
        if not 0 <= word.offset <= size:
            raise image.damage_error(f"its TLS word at {word.address:#x} leaves its TLS segment")


def _redirect(
    editor: Editor, segment: NewSegment, sites: list[Site], words: list[TlsWord]
) -> list[cfi.Frame]:
    """Give every site a thunk, and return where the thunks are."""
    work = _ARCHITECTURES[editor.image.machine]
    offsets = {word.address: word.offset for word in words}
    frames = []
    for site in sites:
        segment.align(8, work.PADDING)
        address = segment.next_address
        code = work.thunk(editor.image, site, offsets[site.word], address)
        segment.add(code, align=1)
        editor.write(site.address, work.jump(site, address))
        back = site.address + site.size
        frames.append(cfi.Frame(address, len(code), back, work.saved_register(code)))
    return frames


def _take_plain_names(editor: Editor) -> tuple[str, ...]:
    """Call glibc's private names of functions by their plain ones; return those."""
    image, names = editor.image, []
    table = image.dynamic_value(elf.DT_SYMTAB) or 0
    for symbol in missing_imports(image):
        if symbol.name in PLAIN_NAMES:
            entry = table + symbol.index * SYMBOL.size
            (name,) = struct.unpack("<I", image.read_at(entry, 4))
            plain_name = PLAIN_NAMES[symbol.name]
            # The plain name is the end of the other one, in the same place.
            editor.write(entry, struct.pack("<I", name + len(symbol.name) - len(plain_name)))
            names.append(plain_name)
    return tuple(names)


def _leave_glibc(editor: Editor) -> tuple[str, ...]:
    """Ask for musl alone, and for no versions of symbols, which musl does not look at."""
    image = editor.image
    renamed = tuple(name for name in image.needed_libraries if name in GLIBC_NAMES)
    entries = []
    has_name = NAME in image.needed_libraries
    for tag, value in editor.dynamic:
        entry = (tag, value)
        if tag == elf.DT_NEEDED and image.string(value) in GLIBC_NAMES:
            if has_name:
                continue
            entry, has_name = (tag, editor.add_string(NAME)), True
        elif tag == elf.DT_FLAGS:
            entry = (tag, value & ~elf.DF_STATIC_TLS)
        entries.append(entry)
    removed_tags = {elf.DT_VERNEED, elf.DT_VERNEEDNUM}
    if image.dynamic_value(elf.DT_VERDEF) is None:
        removed_tags.add(elf.DT_VERSYM)
    editor.dynamic = [entry for entry in entries if entry[0] not in removed_tags]
    kinds = {elf.SHT_GNU_VERNEED}
    kinds |= {elf.SHT_GNU_VERSYM} if elf.DT_VERSYM in removed_tags else set()
    for section in editor.sections:
        if section.kind in kinds:
            section.kind, section.link, section.info = elf.SHT_PROGBITS, 0, 0
            section.entry_size = 0
    return renamed
