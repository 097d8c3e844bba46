"""Each rule is kept and broken by a record. The integration tests have real libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gobun import audit
from gobun.audit import GoBuild, LibraryReport, Signature
from gobun.targets import TARGETS

LINUX = LibraryReport(
    path=Path("x.so"),
    size=1_200_000,
    format="elf",
    os="linux",
    arch="x64",
    exports=("Warmup", "WarmupGoRuntime"),
    needed=("libc.so.6",),
    install_name="x.so",
    tls=True,
    go=GoBuild("go1.27.3", settings={"-buildmode": "c-shared"}),
    libc="glibc",
    glibc_max="2.3.2",
    static_tls=True,
    relro="full",
    nodelete=True,
)
DARWIN = LibraryReport(
    path=Path("x.dylib"),
    size=1_200_000,
    format="mach-o",
    os="darwin",
    arch="arm64",
    exports=("Warmup", "WarmupGoRuntime", "_cgo_panic", "crosscall2", "x_cgo_init"),
    needed=("/usr/lib/libSystem.B.dylib",),
    install_name="@rpath/x.dylib",
    macos_min="13.0",
    signature=Signature("ad-hoc", pages=3),
)
NO_FOLDERS = "and it must name no folder of the machine it was built on."


def findings(report: LibraryReport, target: str, **changed: object) -> list[str]:
    suffix = TARGETS[target].library_suffix
    rules = audit.warmup_rules(TARGETS[target], file_name=f"x{suffix}")
    return audit.check(msgspec.structs.replace(report, **changed), rules)


def test_rules_correct_warmup_library_passes() -> None:
    assert findings(LINUX, "linux-x64") == []
    assert findings(LINUX, "linux-arm64", arch="arm64", glibc_max="2.17") == []
    assert findings(DARWIN, "darwin-arm64") == []
    unsigned = Signature("none")
    assert findings(DARWIN, "darwin-x64", arch="x64", signature=unsigned) == []


def test_rules_empty_set_finds_nothing() -> None:
    assert audit.check(LINUX, audit.Rules()) == []


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        ({"arch": "arm64"}, "architecture: it is arm64, and must be x64."),
        ({"os": "darwin"}, "system: it is darwin, and must be linux."),
        ({"format": "mach-o"}, "format: it is mach-o, and must be elf."),
        ({"size": 1_300_001}, "size: it is 1,300,001 bytes, and may be at most 1,300,000."),
        ({"libc": "musl"}, "C library: it is musl, and must be glibc."),
        ({"glibc_max": "2.17.1"}, "glibc: it needs 2.17.1, and may need at most 2.17."),
        ({"glibc_max": "2.100"}, "glibc: it needs 2.100, and may need at most 2.17."),
        ({"executable_stack": True}, "stack: it asks for an executable one, and must not."),
        ({"text_relocations": True}, "text relocations: it has some, and must have none."),
        ({"install_name": None}, "install name: it is not set, and must be x.so."),
        ({"relro": "partial"}, "RELRO: it is partial, and must be full."),
        ({"relro": "none"}, "RELRO: it is none, and must be full."),
        (
            {"exports": ("Warmup",)},
            "exports: WarmupGoRuntime is missing, and it must export Warmup, WarmupGoRuntime.",
        ),
        (
            {"exports": ("Warmup", "WarmupGoRuntime", "crosscall2")},
            "exports: crosscall2 is exported, and it must export only Warmup, WarmupGoRuntime.",
        ),
        (
            {"build_paths": ("/home/a/b", "/home/a/c")},
            f"build paths: /home/a/b, /home/a/c are inside, {NO_FOLDERS}",
        ),
    ],
)
def test_rules_each_linux_violation_is_found(changed: dict[str, Any], finding: str) -> None:
    assert findings(LINUX, "linux-x64", **changed) == [finding]


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        ({"macos_min": "15.0"}, "oldest macOS: it is 15.0, and must be 13.0."),
        ({"macos_min": "12.0"}, "oldest macOS: it is 12.0, and must be 13.0."),
        ({"macos_min": None}, "oldest macOS: it is not set, and must be 13.0."),
        (
            {"install_name": "x.dylib"},
            "install name: it is x.dylib, and must be @rpath/x.dylib.",
        ),
        ({"signature": Signature("none")}, "signature: it is none, and must be ad-hoc."),
        ({"signature": None}, "signature: it is none, and must be ad-hoc."),
        (
            {"signature": Signature("invalid", "page 1 is not what was signed")},
            "signature: it is invalid (page 1 is not what was signed), and must be ad-hoc.",
        ),
        (
            {"exports": ("Warmup", "WarmupGoRuntime", "main")},
            "exports: main is exported, and it must export only Warmup, WarmupGoRuntime.",
        ),
    ],
)
def test_rules_each_darwin_violation_is_found(changed: dict[str, Any], finding: str) -> None:
    assert findings(DARWIN, "darwin-arm64", **changed) == [finding]


def test_rules_broken_signature_fails_on_darwin_x64_too() -> None:
    broken = Signature("invalid", "it has no CodeDirectory")
    assert len(findings(DARWIN, "darwin-x64", arch="x64", signature=broken)) == 1


def test_rules_size_of_other_go_releases_is_unlimited() -> None:
    rules = audit.warmup_rules(TARGETS["linux-x64"], file_name="x.so", max_bytes=None)
    assert audit.check(msgspec.structs.replace(LINUX, size=9_000_000), rules) == []


def test_rules_required_exports_may_be_a_subset() -> None:
    rules = audit.Rules(exports=("Warmup",), tolerated_exports=("*",))
    assert audit.check(LINUX, rules) == []
    assert audit.check(msgspec.structs.replace(LINUX, exports=("a", "b")), rules) != []


def test_rules_long_lists_are_truncated() -> None:
    names = tuple(f"name{number}" for number in range(9))
    (finding,) = audit.check(msgspec.structs.replace(LINUX, exports=names), audit.Rules(exports=()))
    assert finding == (
        "exports: name0, name1, name2, name3, name4 and 4 more are exported, "
        "and it must export only nothing."
    )
