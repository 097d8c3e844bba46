"""What was found in one native library: the record every other part of this room speaks."""

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
    """What Go's linker wrote down about the build."""

    version: str
    """Like ``go1.27.3``; ``unknown release`` where the record was stripped or is too old."""
    package: str = ""
    """Path of the main package."""
    module: str = ""
    """Path of the main module."""
    module_version: str = ""
    settings: dict[str, str] = {}
    """Build settings by name, like ``-buildmode`` or ``CGO_ENABLED``."""

    @property
    def summary(self) -> str:
        """One line: the release, the build mode, the main module."""
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
    """Words of initial-exec TLS, which musl refuses in ``dlopen``."""
    sites: int | None
    """Instructions that load them; None where a use is not understood."""
    converted: bool
    """``convert-musl`` made it."""
    problems: tuple[str, ...]
    """Why it does not load, one clause each; empty where nothing is known against it."""


class LibraryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is inside one shared library or Node addon, or one slice of a universal one."""

    path: Path
    size: int
    """In bytes; of the slice alone where ``slices`` is not empty."""
    slices: tuple[str, ...] = ()
    """Architectures of the universal file this is a slice of; empty for a plain file."""
    format: Format
    os: System
    arch: str
    """``x64`` or ``arm64``; anything else under its own name."""
    exports: tuple[str, ...]
    """Sorted names of what it defines for others, without Mach-O's leading underscore."""
    needed: tuple[str, ...]
    """Libraries it is linked to, as it names them."""
    install_name: str | None
    """ELF's SONAME, Mach-O's install name."""
    runpath: tuple[str, ...] = ()
    """Where it looks for its libraries: RUNPATH, RPATH, LC_RPATH."""
    tls: bool = False
    """It has thread-local variables of its own."""
    executable_stack: bool = False
    go: GoBuild | None = None
    """None when there is no Go in it."""
    build_paths: tuple[str, ...] = ()
    """Paths of the machine it was built on that are still inside."""

    libc: Libc = "none"
    """ELF: whose C library it is linked to."""
    glibc_max: str | None = None
    """ELF: the newest glibc it asks for, like ``2.17``."""
    static_tls: bool = False
    """ELF: it uses the initial-exec model, so it wants room in the static TLS block."""
    musl: MuslSupport | None = None
    """ELF, x64 and arm64: None for others."""
    relro: Relro | None = None
    """ELF: how much of its relocated data is read-only once it runs."""
    nodelete: bool = False
    """ELF: ``dlclose`` leaves it mapped."""
    text_relocations: bool = False

    macos_min: str | None = None
    """Mach-O: the oldest macOS it runs on, like ``13.0``."""
    signature: Signature | None = None
    """Mach-O: None for ELF, which has no such thing."""

    @property
    def target(self) -> str:
        """The platform it is for, in Node's words."""
        return f"{self.os}-{self.arch}"
