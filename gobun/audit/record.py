"""The report about one native library. All modules of this package use it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from gobun.buildinfo import GoBuild
from gobun.musl import MuslSupport

Format = Literal["elf", "mach-o"]
System = Literal["linux", "darwin"]
Libc = Literal["glibc", "musl", "none"]
Relro = Literal["full", "partial", "none"]
SignatureKind = Literal["none", "ad-hoc", "other", "invalid"]


class Signature(msgspec.Struct, frozen=True):
    """A Mach-O code signature, checked against what it signs."""

    kind: SignatureKind
    """``ad-hoc`` or ``other`` (a certificate's) only if every hash is correct."""
    problem: str = ""
    """Why it is ``invalid``."""
    identifier: str = ""
    pages: int = 0
    """How many page hashes were compared."""


class LibraryReport(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of one shared library or Node addon, or of one slice of a universal file."""

    path: Path
    size: int
    """In bytes. The size of the slice if ``slices`` is not empty."""
    slices: tuple[str, ...] = ()
    """Architectures of the universal file that has this slice. Empty for a plain file."""
    format: Format
    os: System
    arch: str
    """``x64``, ``arm64``, or the name of another architecture."""
    exports: tuple[str, ...]
    """Sorted names of its exports, without Mach-O's leading underscore."""
    needed: tuple[str, ...]
    """Names of the libraries that it is linked to."""
    install_name: str | None
    """ELF's SONAME, Mach-O's install name."""
    runpath: tuple[str, ...] = ()
    """Search paths for its libraries: RUNPATH, RPATH, LC_RPATH."""
    tls: bool = False
    """Whether it has thread-local variables of its own."""
    executable_stack: bool = False
    go: GoBuild | None = None
    """None if it contains no Go."""
    build_paths: tuple[str, ...] = ()
    """Paths of the build machine that it still contains."""

    libc: Libc = "none"
    """ELF: the C library that it is linked to."""
    glibc_max: str | None = None
    """ELF: the newest glibc that it requires, such as ``2.17``."""
    static_tls: bool = False
    """ELF: whether it uses the initial-exec model, which needs room in the static TLS block."""
    musl: MuslSupport | None = None
    """ELF for x64 and arm64 only. None for all others."""
    relro: Relro | None = None
    """ELF: the part of its relocated data that is read-only at run time."""
    nodelete: bool = False
    """ELF: whether ``dlclose`` leaves it mapped."""
    text_relocations: bool = False

    macos_min: str | None = None
    """Mach-O: the oldest macOS that it runs on, such as ``13.0``."""
    signature: Signature | None = None
    """Mach-O only. None for ELF."""

    @property
    def target(self) -> str:
        """Its platform, as Node names it."""
        return f"{self.os}-{self.arch}"
