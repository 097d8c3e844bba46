"""Converts a finished Go library: initial-exec TLS becomes general-dynamic, without a compiler.

```
 the word     R_X86_64_TPOFF64, its offset       ->  R_X86_64_DTPMOD64, the library's number
 each load    mov word(%rip), %reg               ->  jmp thunk: %reg = dtv[number] + offset - %fs:0
 fortified    __memcpy_chk, __fprintf_chk, …     ->  adapters, which call memcpy, vfprintf, …
 DT_INIT_ARRAY                                   ->  startup code, which calls it as glibc does
 DT_NEEDED    libc.so.6, libpthread.so.0, …      ->  libc.so
```

A thunk computes an address as musl does for any thread-local variable. The library keeps its TLS
segment, so musl gives each thread a copy. Threads that are older than the library get one too.
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
"""Largest library, in bytes. A relative field reaches 2 GiB, and the thunks need some of that."""

_DF_1_PIE, _DT_FLAGS_1, _DT_DEBUG = 0x08000000, 0x6FFFFFFB, 21


class _Architecture(Protocol):
    """Code for one processor. Each processor has a module with these names."""

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
    """Names of glibc's libraries that it no longer needs."""
    plain_functions: tuple[str, ...] = ()
    """Functions that it now calls under musl's name."""
    adapted_functions: tuple[str, ...] = ()
    """Functions of glibc that adapters replace."""


class NativeCode(msgspec.Struct, frozen=True):
    """Compiled code that a conversion adds to a library."""

    startup: bytes
    adapters: fortify.Adapters


def convert(path: Path, data: bytes, native_code: Callable[[str], NativeCode]) -> Conversion:
    """Return the converted form of a library, which loads in musl processes.

    ``path`` is for messages only. ``native_code`` returns the compiled code for ``x64`` or
    ``arm64``.

    Raises:
        UsageError: the library cannot be converted. The message gives the reason and the place.
        BuildError: the result would not load, which is a bug in the conversion.
    """
    image = Image(path, data)
    words = _convertible_words(image)
    sites = _checked_sites(image, words)
    initialiser = startup.first_initialiser(image)
    architecture = _ARCHITECTURES[image.machine]
    native = native_code(architecture.ARCH)
    _check_functions(image, native.adapters)
    functions = fortify.fortified_functions(image, native.adapters)
    editor = Editor(image, new_segments=2 if functions else 1)
    plain_names = _use_plain_names(editor)
    slots = fortify.open_slots(editor, functions, f"{SEGMENT_NAME}.data") if functions else 0
    segment = editor.open_segment(elf.PF_R | elf.PF_X)
    segment.align(16)
    code_start = segment.next_address
    startup.install(editor, segment, native.startup, words[0], initialiser)
    frames = _redirect(editor, segment, sites, words)
    if functions:
        fortify.install(editor, segment, native.adapters, functions, slots)
    for word in words:
        editor.write(word.entry + 8, struct.pack("<Qq", DTPMOD[image.machine], 0))
    replaced_libraries = _require_musl(editor)
    segment.cover(SEGMENT_NAME, code_start, code=True)
    table = cfi.section(image, architecture.UNWIND_RULES, frames) if image.sections else None
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
    adapted_functions = tuple(function.adapter.name for function in functions)
    return Conversion(
        result,
        architecture.ARCH,
        len(sites),
        added_bytes,
        replaced_libraries,
        plain_names,
        adapted_functions,
    )


def _convertible_words(image: Image) -> list[TlsWord]:
    """Return the TLS words of a library that can be converted.

    Raises:
        UsageError: the library cannot be converted.
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
        UsageError: a load cannot be replaced, or there is none.
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
    replaceable = PLAIN_NAMES.keys() | adapters.numbers.keys()
    missing = [name for name in missing_functions(image) if name not in replaceable]
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
    """Give every site a thunk, and return the frames of the thunks."""
    architecture = _ARCHITECTURES[editor.image.machine]
    offsets = {word.address: word.offset for word in words}
    frames = []
    for site in sites:
        segment.align(8, architecture.PADDING)
        address = segment.next_address
        code = architecture.thunk(editor.image, site, offsets[site.word], address)
        segment.add(code, align=1)
        editor.write(site.address, architecture.jump(site, address))
        back = site.address + site.size
        frames.append(cfi.Frame(address, len(code), back, architecture.saved_register(code)))
    return frames


def _use_plain_names(editor: Editor) -> tuple[str, ...]:
    """Replace glibc's private function names with the plain ones, and return the plain ones."""
    image, names = editor.image, []
    table = image.dynamic_value(elf.DT_SYMTAB) or 0
    for symbol in missing_imports(image):
        if symbol.name in PLAIN_NAMES:
            entry = table + symbol.index * SYMBOL.size
            (name_offset,) = struct.unpack("<I", image.read_at(entry, 4))
            plain_name = PLAIN_NAMES[symbol.name]
            # The plain name is the end of the private one.
            editor.write(entry, struct.pack("<I", name_offset + len(symbol.name) - len(plain_name)))
            names.append(plain_name)
    return tuple(names)


def _require_musl(editor: Editor) -> tuple[str, ...]:
    """Require musl instead of glibc, and no symbol versions, because musl ignores them."""
    image = editor.image
    replaced_libraries = tuple(name for name in image.needed_libraries if name in GLIBC_NAMES)
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
    return replaced_libraries
