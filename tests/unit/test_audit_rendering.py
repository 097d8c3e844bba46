"""Reports as text, and the warnings in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gobun import audit
from gobun.audit import GoBuild, LibraryReport, Signature

LINUX = LibraryReport(
    path=Path("x.node"),
    size=1_234_567,
    format="elf",
    os="linux",
    arch="x64",
    exports=("napi_register_module_v1",),
    needed=("libc.so.6",),
    install_name=None,
    tls=True,
    go=GoBuild("go1.27.3", module="it", settings={"-buildmode": "c-shared"}),
    libc="glibc",
    glibc_max="2.17",
    static_tls=True,
    relro="full",
    nodelete=True,
)
DARWIN = LibraryReport(
    path=Path("x.dylib"),
    size=1000,
    format="mach-o",
    os="darwin",
    arch="arm64",
    exports=(),
    needed=("/usr/lib/libSystem.B.dylib", "/System/Library/Frameworks/CoreFoundation"),
    install_name="@rpath/x.dylib",
    macos_min="13.0",
    signature=Signature("ad-hoc", pages=3),
)

SLICE = "(a slice of a universal file: x64, arm64)"


def test_audit_text_describes_a_linux_library() -> None:
    assert audit.render(LINUX).splitlines() == [
        "x.node",
        "  is: ELF library for linux-x64, 1,234,567 bytes",
        "  exports: napi_register_module_v1",
        "  needs: libc.so.6",
        "  name: none set",
        "  glibc: needs 2.17 or newer",
        "  TLS: static (initial-exec): cannot be loaded on musl",
        "  hardening: RELRO full, no executable stack, no text relocations",
        "  unload: never (nodelete)",
        "  search path: none",
        "  Go: go1.27.3 c-shared, module it",
        "  build paths: none",
    ]


def test_audit_text_describes_a_macos_library() -> None:
    assert audit.render(msgspec.structs.replace(DARWIN, slices=("x64", "arm64"))).splitlines() == [
        "x.dylib",
        f"  is: Mach-O library for darwin-arm64, 1,000 bytes {SLICE}",
        "  exports: none",
        "  needs: /usr/lib/libSystem.B.dylib, /System/Library/Frameworks/CoreFoundation",
        "  name: @rpath/x.dylib",
        "  macOS: needs 13.0 or newer",
        "  TLS: none",
        "  signature: ad-hoc (3 page hashes are right)",
        "  search path: none",
        "  Go: no",
        "  build paths: none",
    ]


@pytest.mark.parametrize(
    ("report", "changed", "words"),
    [
        (LINUX, {"glibc_max": "2.29"}, "needs glibc 2.29"),
        (LINUX, {"executable_stack": True}, "executable stack"),
        (LINUX, {"text_relocations": True}, "text relocations"),
        (LINUX, {"libc": "musl", "glibc_max": None}, "musl's dlopen refuses"),
        (LINUX, {"nodelete": False}, "-Wl,-z,nodelete"),
        (LINUX, {"needed": ("/opt/x/libx.so",)}, "needs /opt/x/libx.so at exactly this path"),
        (LINUX, {"runpath": ("/opt/x",)}, "looks for its libraries in /opt/x"),
        (LINUX, {"build_paths": ("/home/a/b",)}, "-trimpath"),
        (LINUX, {"build_paths": ("/home/a/b",), "go": None}, "-ffile-prefix-map"),
        (LINUX, {"arch": "riscv64"}, "no Bun for linux-riscv64"),
        (DARWIN, {"signature": Signature("none")}, "it is not signed"),
        (DARWIN, {"signature": Signature("invalid", "why")}, "signature is invalid"),
        (DARWIN, {"macos_min": "15.0"}, "needs macOS 15.0"),
        (DARWIN, {"needed": ("/opt/homebrew/lib/libx.dylib",)}, "at exactly this path"),
    ],
)
def test_audit_text_shows_each_warning(
    report: LibraryReport, changed: dict[str, Any], words: str
) -> None:
    assert audit.list_concerns(report) == []
    (warning,) = audit.list_concerns(msgspec.structs.replace(report, **changed))
    assert words in warning
    assert f"warning: {warning}" in audit.render(msgspec.structs.replace(report, **changed))


def test_audit_text_has_no_warning_for_supported_systems() -> None:
    unsigned = msgspec.structs.replace(DARWIN, arch="x64", signature=Signature("none"))
    assert audit.list_concerns(unsigned) == []
    relative = msgspec.structs.replace(LINUX, runpath=("$ORIGIN",), glibc_max="2.28")
    assert audit.list_concerns(relative) == []
