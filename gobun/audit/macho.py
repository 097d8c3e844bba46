"""Reads a Mach-O dynamic library or bundle: its exports, dependencies and signature."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import lief

from gobun import buildinfo
from gobun.audit import kinds, signature
from gobun.audit.buildpaths import find_build_paths, local_folders
from gobun.audit.container import BinarySection
from gobun.audit.record import LibraryReport, Signature
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gobun.audit.container import BinarySlice

_Command = lief.MachO.LoadCommand.TYPE
_Platform = lief.MachO.BuildVersion.PLATFORMS
_Flag = lief.MachO.Header.FLAGS

_LINKER_SYMBOLS = {"_mh_dylib_header", "_mh_bundle_header", "__dso_handle"}


def read_macho(path: Path, piece: BinarySlice) -> LibraryReport:
    """Inspect a Mach-O library.

    Raises:
        UsageError: the library is for another of Apple's systems, or is damaged.
    """
    parsed = lief.MachO.parse(io.BytesIO(piece.data), _config())
    if parsed is None or len(parsed) != 1:
        raise kinds.damaged_library_error(path, "its Mach-O headers contradict each other")
    binary = parsed[0]
    if binary is None:
        raise kinds.damaged_library_error(path, "its Mach-O headers contradict each other")
    libraries = list(binary.libraries)
    names = [str(entry.name) for entry in libraries if entry.command == _Command.ID_DYLIB]
    sections = [
        BinarySection(str(section.name), section.offset, section.size)
        for section in binary.sections
    ]
    return LibraryReport(
        path=path,
        size=len(piece.data),
        format="mach-o",
        os="darwin",
        arch=piece.arch,
        exports=_exports(binary),
        needed=tuple(str(entry.name) for entry in libraries if entry.command != _Command.ID_DYLIB),
        install_name=names[0] if names else None,
        runpath=tuple(str(entry.path) for entry in binary.rpaths),
        tls=_Flag.HAS_TLV_DESCRIPTORS in binary.header.flags_list,
        executable_stack=_Flag.ALLOW_STACK_EXECUTION in binary.header.flags_list,
        go=buildinfo.find(piece.data, sections),
        build_paths=find_build_paths(piece.data, local_folders()),
        macos_min=_macos_min(path, list(binary.commands)),
        signature=_signature(binary, piece.data),
    )


def _config() -> lief.MachO.ParserConfig:
    config = lief.MachO.ParserConfig()
    config.parse_dyld_bindings = False
    config.parse_dyld_rebases = False
    config.parse_dyld_exports = True
    return config


def _exports(binary: lief.MachO.Binary) -> tuple[str, ...]:
    # dlsym reads the export trie. Libraries for macOS before 10.6 have none.
    info = binary.dyld_info
    trie = binary.dyld_exports_trie
    if info is not None:
        names = _trie_names(info.exports)
    elif trie is not None:
        names = _trie_names(trie.exports)
    else:
        names = {str(symbol.name) for symbol in binary.exported_symbols}
    return tuple(sorted({name.removeprefix("_") for name in names} - _LINKER_SYMBOLS - {""}))


def _trie_names(exports: Iterable[lief.MachO.ExportInfo]) -> set[str]:
    return {str(entry.symbol.name) for entry in exports if entry.symbol is not None}


def _macos_min(path: Path, commands: Sequence[lief.MachO.LoadCommand]) -> str | None:
    platforms = [entry for entry in commands if isinstance(entry, lief.MachO.BuildVersion)]
    for entry in platforms:
        if entry.platform == _Platform.MACOS:
            return _version(entry.minos)
    if platforms:
        system = str(platforms[0].platform).rpartition(".")[2]
        raise UsageError(f"{path} is a library for {system}, not macOS", hint=kinds.OTHER_SYSTEM)
    for command in commands:
        if isinstance(command, lief.MachO.VersionMin):
            if command.command != _Command.VERSION_MIN_MACOSX:
                system = str(command.command).rpartition("_")[2]
                message = f"{path} is a library for {system}, not macOS"
                raise UsageError(message, hint=kinds.OTHER_SYSTEM)
            return _version(command.version)
    return None


def _version(parts: Sequence[int]) -> str:
    major, minor, patch = [*parts, 0, 0, 0][:3]
    return f"{major}.{minor}.{patch}" if patch else f"{major}.{minor}"


def _signature(binary: lief.MachO.Binary, data: bytes) -> Signature:
    command = binary.code_signature
    if command is None:
        return Signature("none")
    return signature.verify(data, command.data_offset, command.data_size)
