"""The report about one native library. All modules of this package use it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

Format = Literal["elf", "mach-o"]
System = Literal["linux", "darwin"]
Libc = Literal["glibc", "musl", "none"]
Relro = Literal["full", "partial", "none"]
SignatureKind = Literal["none", "ad-hoc", "other", "invalid"]


class GoBuild(msgspec.Struct, frozen=True):
    """The build record of Go's linker."""

    version: str
    """Such as ``go1.27.3``, or ``unknown release`` if the record was stripped or is too old."""
    package: str = ""
    """Path of the main package."""
    module: str = ""
    """Path of the main module."""
    module_version: str = ""
    settings: dict[str, str] = {}
    """Build settings by name, like ``-buildmode`` or ``CGO_ENABLED``."""

    @property
    def summary(self) -> str:
        """One line with the release, the build mode and the main module."""
        words = [self.version, self.settings.get("-buildmode", "")]
        head = " ".join(word for word in words if word)
        return f"{head}, module {self.module}" if self.module else head


class Signature(msgspec.Struct, frozen=True):
    """A Mach-O code signature, checked against what it signs."""

    kind: SignatureKind
    """``ad-hoc`` and ``other`` (a certificate's) only when every hash is right."""
    problem: str = ""
    """Why it is ``invalid``."""
    identifier: str = ""
    pages: int = 0
    """How many page hashes were compared."""


class MuslSupport(msgspec.Struct, frozen=True):
    """Whether a library loads in a musl process, as on Alpine."""

    words: int
    """Words of initial-exec TLS, which musl rejects in ``dlopen``."""
    sites: int | None
    """Instructions that load them, or None if a use is not recognised."""
    converted: bool
    """Whether ``convert-musl`` made it."""
    problems: tuple[str, ...]
    """Reasons why it does not load, one clause each. Empty if none are known."""


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
    """ELF, x64 and arm64: None for others."""
    relro: Relro | None = None
    """ELF: the part of its relocated data that is read-only at run time."""
    nodelete: bool = False
    """ELF: whether ``dlclose`` leaves it mapped."""
    text_relocations: bool = False

    macos_min: str | None = None
    """Mach-O: the oldest macOS that it runs on, such as ``13.0``."""
    signature: Signature | None = None
    """Mach-O: None for ELF, which has no such thing."""

    @property
    def target(self) -> str:
        """Its platform, as Node names it."""
        return f"{self.os}-{self.arch}"
