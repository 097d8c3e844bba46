"""Writes a report as text, with warnings for the maintainer of an addon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from gobun import paths
from gobun.targets import LIBRARY_MACOS, TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gobun.audit.record import LibraryReport
    from gobun.musl import MuslSupport

NODE_GLIBC = "2.28"
"""The glibc that Node's own Linux builds need. Users expect addons to load where Node runs."""

_FORMATS = {"elf": "ELF", "mach-o": "Mach-O"}
_SYSTEM_FOLDERS = ("/usr/lib/", "/System/")
_MOST_SHOWN = 8


def render(report: LibraryReport) -> str:
    """Return a report as a block of lines, the warnings last."""
    lines = [
        ("is", _kind(report)),
        ("exports", _abbreviate_names(report.exports)),
        ("needs", _abbreviate_names(report.needed)),
        ("name", report.install_name or "none set"),
    ]
    lines += _elf(report) if report.format == "elf" else _macho(report)
    lines += [
        ("search path", _abbreviate_names(report.runpath)),
        ("Go", report.go.summary if report.go else "no"),
        ("build paths", _abbreviate_names(report.build_paths)),
    ]
    lines += [("warning", text) for text in list_concerns(report)]
    return "\n".join(
        [str(paths.display_path(report.path)), *(f"  {name}: {text}" for name, text in lines)]
    )


def list_concerns(report: LibraryReport) -> list[str]:
    """Return the problems for users who load this library, one sentence each."""
    return [*_loading(report), *_signing(report), *_portability(report)]


def _kind(report: LibraryReport) -> str:
    kind = f"{_FORMATS[report.format]} library for {report.target}, {report.size:,} bytes"
    if report.slices:
        return f"{kind} (a slice of a universal file: {', '.join(report.slices)})"
    return kind


def _elf(report: LibraryReport) -> list[tuple[str, str]]:
    libc = {
        "glibc": f"needs {report.glibc_max} or newer" if report.glibc_max else "any version",
        "musl": "no: linked to musl",
        "none": "no: linked to no C library",
    }[report.libc]
    if report.static_tls:
        tls = "static (initial-exec): cannot be loaded on musl"
    else:
        tls = "dynamic" if report.tls else "none"
    stack = "executable stack" if report.executable_stack else "no executable stack"
    text = "text relocations" if report.text_relocations else "no text relocations"
    return [
        ("glibc", libc),
        ("TLS", tls),
        *([("musl", _musl(report.musl))] if report.musl else []),
        ("hardening", f"RELRO {report.relro}, {stack}, {text}"),
        ("unload", "never (nodelete)" if report.nodelete else "by dlclose"),
    ]


def _musl(support: MuslSupport) -> str:
    if not support.problems:
        return "loads; converted with convert-musl" if support.already_converted else "loads"
    return f"does not load: it {'; it '.join(support.problems)}"


def _macho(report: LibraryReport) -> list[tuple[str, str]]:
    macos = f"needs {report.macos_min} or newer" if report.macos_min else "not stated"
    signature = "none"
    if report.signature and report.signature.kind != "none":
        code_signature = report.signature
        state = code_signature.problem or f"{code_signature.pages} page hashes are right"
        signature = f"{code_signature.kind} ({state})"
    return [
        ("macOS", macos),
        ("TLS", "dynamic" if report.tls else "none"),
        ("signature", signature),
    ]


def _loading(report: LibraryReport) -> Iterator[str]:
    if report.target not in TARGETS:
        yield f"there is no Bun for {report.target}."
    if report.glibc_max and Version(report.glibc_max) > Version(NODE_GLIBC):
        yield (
            f"it needs glibc {report.glibc_max}, newer than the {NODE_GLIBC} of Node's own "
            "builds; build it against an older one (zig cc -target …-linux-gnu.2.17)."
        )
    if report.macos_min and Version(report.macos_min) > Version(LIBRARY_MACOS):
        yield f"it needs macOS {report.macos_min}, and Bun itself runs from {LIBRARY_MACOS}."
    if report.libc == "musl" and report.static_tls:
        yield "it is linked to musl and has static TLS, which musl's dlopen refuses."
    if report.executable_stack:
        yield (
            "it asks for an executable stack, which glibc from 2.41 refuses in dlopen; "
            "link it with -Wl,-z,noexecstack."
        )
    if report.text_relocations:
        yield "it has text relocations, which SELinux and musl refuse; compile it with -fPIC."
    if report.go and report.format == "elf" and not report.nodelete:
        yield (
            "a Go runtime cannot be unloaded, and dlclose would unmap this one while it runs; "
            "link it with -Wl,-z,nodelete."
        )


def _signing(report: LibraryReport) -> Iterator[str]:
    kind = report.signature.kind if report.signature else None
    if kind == "invalid":
        yield "its signature is invalid, and macOS kills a process that loads it; sign it again."
    elif kind == "none" and report.arch.startswith("arm64"):
        yield "it is not signed, and macOS on arm64 does not load it; run codesign -s - on it."


def _portability(report: LibraryReport) -> Iterator[str]:
    system = _SYSTEM_FOLDERS if report.os == "darwin" else ()
    for name in report.needed:
        if name.startswith("/") and not name.startswith(system):
            yield f"it needs {name} at exactly this path, which other machines may lack."
    for folder in report.runpath:
        if folder.startswith("/") and not folder.startswith(system):
            yield f"it looks for its libraries in {folder}, which others may not have."
    if report.build_paths:
        advice = "build with -trimpath" if report.go else "compile with -ffile-prefix-map=…"
        yield (
            f"it contains paths that look like the build machine's ({len(report.build_paths)}); "
            f"{advice}, and strip it."
        )


def _abbreviate_names(names: Sequence[str]) -> str:
    shown_names = ", ".join(name[:120] for name in names[:_MOST_SHOWN]) or "none"
    more = len(names) - _MOST_SHOWN
    return f"{shown_names} and {more} more" if more > 0 else shown_names
