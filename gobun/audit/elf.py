"""Reads an ELF shared object: its exports, dependencies, and demands on the dynamic linker."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import lief
from packaging.version import InvalidVersion, Version

from gobun import buildinfo
from gobun.audit import kinds
from gobun.audit.buildpaths import find_build_paths, local_folders
from gobun.audit.container import BinarySection
from gobun.audit.record import LibraryReport
from gobun.elf import Image
from gobun.errors import UsageError
from gobun.musl import MuslSupport, support_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gobun.audit.container import BinarySlice
    from gobun.audit.record import Libc, Relro

_Tag = lief.ELF.DynamicEntry.TAG
_Flag = lief.ELF.DynamicEntryFlags.FLAG
_Symbol = lief.ELF.Symbol

_GLIBC_ALIASES = {"GLIBC_ABI_DT_RELR": "2.36"}  # a feature's name instead of a version
_LINKER_SYMBOLS = {"_edata", "_end", "__bss_start", "_init", "_fini"}
_EXPORTED_BINDINGS = {_Symbol.BINDING.GLOBAL, _Symbol.BINDING.WEAK, _Symbol.BINDING.GNU_UNIQUE}
_HIDDEN_VISIBILITIES = {_Symbol.VISIBILITY.HIDDEN, _Symbol.VISIBILITY.INTERNAL}
_UNDEFINED_INDEX, _ABSOLUTE_INDEX = 0, 0xFFF1


def read_elf(path: Path, piece: BinarySlice) -> LibraryReport:
    """Inspect an ELF library.

    Raises:
        UsageError: the file is an executable, or is damaged.
    """
    binary = lief.ELF.parse(io.BytesIO(piece.data), _config())
    if binary is None:
        raise kinds.damaged_library_error(path, "its ELF headers contradict each other")
    entries = list(binary.dynamic_entries)
    if not entries:
        raise kinds.damaged_library_error(
            path, "it has no dynamic section (a file of debug symbols?)"
        )
    flags = _flags(entries)
    # Linkers write DT_DEBUG into programs only; a library with an interpreter, like glibc
    # itself, has none.
    if _Flag.PIE in flags or any(entry.tag == _Tag.DEBUG_TAG for entry in entries):
        raise UsageError(f"{path} is an executable, not a library", hint=kinds.GIVE_LIBRARY)
    segments = list(binary.segments)
    glibc_max = _glibc_max(binary)
    needed = tuple(
        str(entry.name) for entry in entries if isinstance(entry, lief.ELF.DynamicEntryLibrary)
    )
    sections = [
        BinarySection(str(section.name), section.file_offset, section.size)
        for section in binary.sections
    ]
    return LibraryReport(
        path=path,
        size=len(piece.data),
        format="elf",
        os="linux",
        arch=piece.arch,
        exports=_exports(binary),
        needed=needed,
        install_name=_soname(entries),
        runpath=_runpath(entries),
        tls=any(segment.type == lief.ELF.Segment.TYPE.TLS for segment in segments),
        executable_stack=_executable_stack(segments, piece.arch),
        go=buildinfo.find(piece.data, sections),
        build_paths=find_build_paths(piece.data, local_folders()),
        libc="glibc" if glibc_max else _libc(needed),
        glibc_max=glibc_max,
        static_tls=_Flag.STATIC_TLS in flags,
        musl=_musl(path, piece),
        relro=_relro(segments, entries, flags),
        nodelete=_Flag.NODELETE in flags,
        text_relocations=(
            _Flag.TEXTREL in flags or any(entry.tag == _Tag.TEXTREL for entry in entries)
        ),
    )


def _musl(path: Path, piece: BinarySlice) -> MuslSupport | None:
    if piece.arch not in {"x64", "arm64"}:
        return None
    try:
        return support_of(Image(path, piece.data))
    except UsageError as error:
        return MuslSupport(0, None, already_converted=False, problems=(str(error.what),))


def _config() -> lief.ELF.ParserConfig:
    config = lief.ELF.ParserConfig()
    config.parse_relocations = False
    config.parse_symtab_symbols = False
    config.parse_notes = False
    config.parse_overlay = False
    return config


def _flags(entries: Iterable[lief.ELF.DynamicEntry]) -> set[lief.ELF.DynamicEntryFlags.FLAG]:
    flags: set[lief.ELF.DynamicEntryFlags.FLAG] = set()
    for entry in entries:
        if isinstance(entry, lief.ELF.DynamicEntryFlags):
            flags.update(entry.flags)
    return flags


def _exports(binary: lief.ELF.Binary) -> tuple[str, ...]:
    names = {
        str(symbol.name)
        for symbol in binary.dynamic_symbols
        if symbol.shndx != _UNDEFINED_INDEX
        and symbol.binding in _EXPORTED_BINDINGS
        and symbol.visibility not in _HIDDEN_VISIBILITIES
        # An absolute object is the name of a symbol version, not a symbol.
        and not (symbol.shndx == _ABSOLUTE_INDEX and symbol.type == _Symbol.TYPE.OBJECT)
    }
    return tuple(sorted(names - _LINKER_SYMBOLS - {""}))


def _soname(entries: Iterable[lief.ELF.DynamicEntry]) -> str | None:
    for entry in entries:
        if isinstance(entry, lief.ELF.DynamicSharedObject):
            return str(entry.name)
    return None


def _runpath(entries: Iterable[lief.ELF.DynamicEntry]) -> tuple[str, ...]:
    folders: list[str] = []
    for entry in entries:
        if isinstance(entry, lief.ELF.DynamicEntryRunPath):
            folders += str(entry.runpath).split(":")
        elif isinstance(entry, lief.ELF.DynamicEntryRpath):
            folders += str(entry.rpath).split(":")
    return tuple(folder for folder in folders if folder)


def _executable_stack(segments: Iterable[lief.ELF.Segment], arch: str) -> bool:
    for segment in segments:
        if segment.type == lief.ELF.Segment.TYPE.GNU_STACK:
            return bool(segment.has(lief.ELF.Segment.FLAGS.X))
    # What glibc assumes without this header: DEFAULT_STACK_PERMS of its stackinfo.h.
    return arch == "x64"


def _relro(
    segments: Iterable[lief.ELF.Segment],
    entries: Iterable[lief.ELF.DynamicEntry],
    flags: set[lief.ELF.DynamicEntryFlags.FLAG],
) -> Relro:
    if not any(segment.type == lief.ELF.Segment.TYPE.GNU_RELRO for segment in segments):
        return "none"
    at_once = {_Flag.BIND_NOW, _Flag.NOW} & flags
    if at_once or any(entry.tag == _Tag.BIND_NOW for entry in entries):
        return "full"
    return "partial"


def _libc(needed_libraries: Iterable[str]) -> Libc:
    for name in needed_libraries:
        if name == "libc.so.6" or name.startswith("ld-linux"):
            return "glibc"
        if name == "libc.so" or name.startswith(("libc.musl-", "ld-musl-")):
            return "musl"
    return "none"


def _glibc_max(binary: lief.ELF.Binary) -> str | None:
    newest: Version | None = None
    for requirement in binary.symbols_version_requirement:
        for symbol_version in requirement.get_auxiliary_symbols():
            name = str(symbol_version.name)
            text = _GLIBC_ALIASES.get(name, name.removeprefix("GLIBC_"))
            if not name.startswith("GLIBC_"):
                continue
            try:
                version = Version(text)
            except InvalidVersion:
                continue  # GLIBC_PRIVATE, or a feature's name without a version
            newest = max(version, newest or version)
    return str(newest) if newest else None
