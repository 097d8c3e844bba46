"""The rules for libraries, and the check for violations."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from gobun import targets
from gobun.audit.record import Format, Libc, SignatureKind, System

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gobun.audit.record import LibraryReport

WARMUP_MAX_BYTES = 1_300_000
"""Largest warm-up library with the pinned Go, in bytes, before a conversion for musl."""

MUSL_EXTRA_BYTES = 50_000
"""Bytes that a conversion for musl adds, half of them for debuggers only."""

WARMUP_EXPORTS = ("Warmup", "WarmupGoRuntime")

GUARD_MAX_BYTES = 20_000
"""Largest guard, in bytes. It is C code that is small enough to review."""

PRELOAD_MAX_BYTES = 28_000
"""Largest preload library, in bytes. It contains the guard."""

GUARD_EXPORTS = (
    "GuardInstall",
    "GuardRemove",
    "GuardStats",
    "GuardVersion",
    "napi_register_module_v1",
)

PRELOAD_EXPORTS = ("pthread_create", "sigaction", "signal")
"""The functions that a preload library replaces."""

CGO_EXPORTS = (
    "_cgo_*",
    "x_cgo_*",
    "crosscall*",
    "x_crosscall*",
    "darwin_arm_*",
    "fatalf",
    "threadentry",
)
"""Names of Go's own C half, which Zig's Mach-O linker cannot hide."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules for one library. A rule without a value is not checked."""

    format: Format | None = None
    os: System | None = None
    arch: str | None = None
    exports: tuple[str, ...] | None = None
    """Names that it must export. It may export no others except ``tolerated_exports``."""
    tolerated_exports: tuple[str, ...] = ()
    """Patterns of names that it may also export. ``*`` makes ``exports`` a required subset."""
    libc: Libc | None = None
    loads_on_musl: bool = False
    max_glibc: str | None = None
    macos_min: str | None = None
    """The exact value. A newer one excludes users, and an older one does not match the build."""
    install_name: str | None = None
    signatures: tuple[SignatureKind, ...] | None = None
    """The allowed kinds of code signature."""
    max_bytes: int | None = None
    no_build_paths: bool = False
    no_executable_stack: bool = False
    no_text_relocations: bool = False
    full_relro: bool = False


def warmup_rules(
    target: targets.Target, *, file_name: str, max_bytes: int | None = WARMUP_MAX_BYTES
) -> Rules:
    """Return the rules for a warm-up library for ``target``.

    ``max_bytes`` is the largest size before a conversion for musl. None means no limit.
    """
    if max_bytes is not None and target.libc == "musl":
        max_bytes += MUSL_EXTRA_BYTES
    return library_rules(
        target,
        file_name=file_name,
        exports=WARMUP_EXPORTS,
        tolerated_exports=CGO_EXPORTS if target.os == "darwin" else (),
        max_bytes=max_bytes,
    )


def guard_rules(target: targets.Target, *, file_name: str) -> Rules:
    """Return the rules for a guard for ``target``."""
    # Only Linux has a limit. A signature and its pages make a Mach-O file larger.
    max_bytes = GUARD_MAX_BYTES if target.os == "linux" else None
    return library_rules(target, file_name=file_name, exports=GUARD_EXPORTS, max_bytes=max_bytes)


def preload_rules(target: targets.Target, *, file_name: str) -> Rules:
    """Return the rules for a preload library for ``target``."""
    return library_rules(
        target, file_name=file_name, exports=PRELOAD_EXPORTS, max_bytes=PRELOAD_MAX_BYTES
    )


def library_rules(
    target: targets.Target,
    *,
    file_name: str,
    exports: tuple[str, ...],
    tolerated_exports: tuple[str, ...] = (),
    max_bytes: int | None = None,
) -> Rules:
    """Return the rules for every shipped library."""
    common = Rules(
        os=target.os,
        arch=target.arch,
        exports=exports,
        tolerated_exports=tolerated_exports,
        max_bytes=max_bytes,
        no_build_paths=True,
        no_executable_stack=True,
        no_text_relocations=True,
    )
    if target.os == "linux":
        return msgspec.structs.replace(
            common,
            format="elf",
            libc=target.libc or None,
            max_glibc=targets.LIBRARY_GLIBC if target.libc == "glibc" else None,
            loads_on_musl=target.libc == "musl",
            install_name=file_name,
            full_relro=True,
        )
    return msgspec.structs.replace(
        common,
        format="mach-o",
        macos_min=targets.LIBRARY_MACOS,
        install_name=f"@rpath/{file_name}",
        # macOS loads an unsigned library on x64 only.
        signatures=("ad-hoc",) if target.arch == "arm64" else ("none", "ad-hoc"),
    )


def check(report: LibraryReport, rules: Rules) -> list[str]:
    """Return the violations, one sentence each with the actual and the required value."""
    return [
        *_identity(report, rules),
        *_exports(report, rules),
        *_system(report, rules),
        *_hygiene(report, rules),
    ]


def _report_difference(name: str, actual: object, expected: object) -> Iterator[str]:
    if expected is not None and actual != expected:
        yield f"{name}: it is {actual or 'not set'}, and must be {expected}."


def _identity(report: LibraryReport, rules: Rules) -> Iterator[str]:
    yield from _report_difference("format", report.format, rules.format)
    yield from _report_difference("system", report.os, rules.os)
    yield from _report_difference("architecture", report.arch, rules.arch)
    yield from _report_difference("install name", report.install_name, rules.install_name)
    if rules.max_bytes is not None and report.size > rules.max_bytes:
        yield f"size: it is {report.size:,} bytes, and may be at most {rules.max_bytes:,}."


def _exports(report: LibraryReport, rules: Rules) -> Iterator[str]:
    if rules.exports is None:
        return
    missing = [name for name in rules.exports if name not in report.exports]
    extra = [
        name
        for name in report.exports
        if name not in rules.exports
        and not any(fnmatch.fnmatchcase(name, pattern) for pattern in rules.tolerated_exports)
    ]
    expected = ", ".join(rules.exports) or "nothing"
    if missing:
        yield f"exports: {_abbreviate_names(missing)} missing, and it must export {expected}."
    if extra:
        yield f"exports: {_abbreviate_names(extra)} exported, and it must export only {expected}."


def _system(report: LibraryReport, rules: Rules) -> Iterator[str]:
    yield from _report_difference("C library", report.libc, rules.libc)
    newest, limit = report.glibc_max, rules.max_glibc
    if limit is not None and newest is not None and Version(newest) > Version(limit):
        yield f"glibc: it needs {newest}, and may need at most {limit}."
    if rules.loads_on_musl and report.musl is not None:
        for problem in report.musl.problems:
            yield f"musl: it {problem}, and must load there."
    yield from _report_difference("oldest macOS", report.macos_min, rules.macos_min)
    if rules.signatures is not None:
        kind = report.signature.kind if report.signature else "none"
        if kind not in rules.signatures:
            problem = report.signature.problem if report.signature else ""
            actual = f"{kind} ({problem})" if problem else kind
            yield f"signature: it is {actual}, and must be {' or '.join(rules.signatures)}."


def _hygiene(report: LibraryReport, rules: Rules) -> Iterator[str]:
    if rules.no_build_paths and report.build_paths:
        yield (
            f"build paths: {_abbreviate_names(report.build_paths)} inside, and it must name no "
            "folder of the machine it was built on."
        )
    if rules.no_executable_stack and report.executable_stack:
        yield "stack: it asks for an executable one, and must not."
    if rules.no_text_relocations and report.text_relocations:
        yield "text relocations: it has some, and must have none."
    if rules.full_relro:
        yield from _report_difference("RELRO", report.relro, "full")


def _abbreviate_names(names: list[str] | tuple[str, ...]) -> str:
    shown_names = ", ".join(name[:120] for name in names[:5])
    more = len(names) - 5
    head = f"{shown_names} and {more} more" if more > 0 else shown_names
    return f"{head} {'is' if len(names) == 1 else 'are'}"
