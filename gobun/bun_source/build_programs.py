"""Finds the programs that a build of Bun needs, and checks their versions."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun.errors import PrerequisiteError
from gobun.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.bun_source.layout import BuildLayout

State = Literal["ok", "missing", "note"]

_ANSWERS_S = 30.0
_VERSION = re.compile(r"(\d+(?:\.\d+)+)")


class BuildPrerequisite(msgspec.Struct, frozen=True):
    """One thing that a build needs."""

    name: str
    wanted: str
    found: str
    state: State = "ok"
    """``note`` means that the build does not depend on it."""
    debian: str = ""
    """The command that installs it on Debian, or empty if there is none."""
    macos: str = ""
    """The command that installs it on macOS, or empty if there is none."""
    least: tuple[int, ...] = ()
    """The lowest version that the build accepts, or empty if any will do."""


class _NeededProgram(msgspec.Struct, frozen=True):
    """A program of the system."""

    name: str
    debian: str
    macos: str
    least: tuple[int, ...] = ()
    needed: bool = True
    purpose: str = ""
    version_flags: tuple[str, ...] = ("--version",)
    """The option that prints its version, or empty if some systems do not support one."""


_NEEDED_PROGRAMS = (
    _NeededProgram("git", "git", "git"),
    _NeededProgram("cmake", "cmake", "cmake", (3, 24)),
    _NeededProgram("ninja", "ninja-build", "ninja"),
    _NeededProgram("cargo", "cargo", "rust", purpose="lol-html, and all of Bun where it is Rust"),
    _NeededProgram("strip", "binutils", "", version_flags=()),
    _NeededProgram("pkg-config", "pkg-config", "pkg-config", needed=False),
    _NeededProgram("go", "golang", "go", (), False, "BoringSSL, in older releases", ("version",)),
    _NeededProgram("ruby", "ruby-full", "ruby", needed=False, purpose="a WebKit of one's own"),
    _NeededProgram("ccache", "ccache", "ccache", needed=False, purpose="a second build is faster"),
)
_MAKE_PROGRAMS = (
    _NeededProgram("make", "make", "make"),
    _NeededProgram("aclocal", "automake", "automake", purpose="libarchive"),
    _NeededProgram("autoconf", "autoconf", "autoconf", purpose="libarchive"),
    _NeededProgram("libtoolize", "libtool", "libtool", purpose="libarchive"),
    _NeededProgram("perl", "perl", "perl", purpose="BoringSSL"),
)
"""Additional programs for the C libraries of the older build systems."""
_LLVM = ("clang", "clang++", "ld.lld", "llvm-ar", "llvm-ranlib")


def examine_programs(layout: BuildLayout) -> list[BuildPrerequisite]:
    """Return a row for each program that a build of this layout needs, Rust and LLVM included."""
    needs = (*_NEEDED_PROGRAMS, *(_MAKE_PROGRAMS if layout.era in {"make", "cmake-1"} else ()))
    rows = [_program(need) for need in needs if need.debian or sys.platform == "darwin"]
    return [*rows, *_rust(layout), *llvm_prerequisites(layout)]


def version_of(text: str) -> tuple[int, ...]:
    """Return the first version in a program's output, or an empty tuple."""
    match = _VERSION.search(text)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def _program(needed: _NeededProgram) -> BuildPrerequisite:
    requirement = f">= {'.'.join(map(str, needed.least))}" if needed.least else needed.purpose
    lacking: State = "missing" if needed.needed else "note"
    program = shutil.which(needed.name)
    absent = BuildPrerequisite(
        needed.name, requirement, "not there", lacking, **_install(needed), least=needed.least
    )
    if program is None:
        return absent
    if not needed.version_flags:
        return BuildPrerequisite(needed.name, requirement, program, least=needed.least)
    version, shown = _version(program, *needed.version_flags)
    if version is None or version < needed.least:
        shown += "" if version is None else ": too old"
        return msgspec.structs.replace(absent, found=shown)
    return BuildPrerequisite(needed.name, requirement, shown, least=needed.least)


def _install(needed: _NeededProgram) -> dict[str, str]:
    return {
        "debian": f"apt-get install {needed.debian}" if needed.debian else "",
        "macos": f"brew install {needed.macos}" if needed.macos else "",
    }


def _version(program: str | Path, *words: str) -> tuple[tuple[int, ...] | None, str]:
    """Return the version of a program, or None if it prints none, and the text to show."""
    try:
        completed = run_tool([program, *words], timeout_s=_ANSWERS_S)
    except PrerequisiteError as error:
        return None, error.what
    version = version_of(completed.out or completed.err)
    if completed.code != 0 or not version:
        problem = completed.tail.partition("\n")[0] or f"exit code {completed.code}"
        return None, f"{program} says no version: {problem}"
    return version, f"{'.'.join(map(str, version))}, {program}"


def _rust(layout: BuildLayout) -> list[BuildPrerequisite]:
    """Check for the Rust that the checkout pins. Rustup fetches it at the first use if needed."""
    channel = layout.pins.get("rust")
    if channel is None:
        return []
    install = f"rustup toolchain install {channel}"
    state: State = "missing" if layout.era == "cargo" else "note"
    program = shutil.which("rustup")
    if program is None:
        return [
            BuildPrerequisite(
                "rustup", channel, "not there", state, f"install rustup; {install}", install
            )
        ]
    try:
        toolchains = run_tool([program, "toolchain", "list"], timeout_s=_ANSWERS_S)
    except PrerequisiteError as error:
        return [BuildPrerequisite("rustup", channel, error.what, state, install, install)]
    if channel in toolchains.out:
        return [BuildPrerequisite("rustup", channel, f"it has it, {program}")]
    return [BuildPrerequisite("rustup", channel, f"fetches it at the first use, {program}")]


def llvm_prerequisites(layout: BuildLayout) -> list[BuildPrerequisite]:
    """Return a row for each LLVM program that the layout needs, with the installed version."""
    bounds = layout.llvm_range
    if bounds is None:
        return [BuildPrerequisite("llvm", "a pinned range", "the checkout names none", "note")]
    low, upper = bounds
    major = low[0]
    limits = f">= {'.'.join(map(str, low))}, < {'.'.join(map(str, upper))}"
    debian = f"apt-get install clang-{major} lld-{major} llvm-{major}"
    rows = []
    for name in _LLVM:
        candidates = [*llvm_folders(major), *os.environ.get("PATH", "").split(os.pathsep)]
        versions = []
        for program in _programs((name, f"{name}-{major}"), candidates):
            version, shown = _version(program, "--version")
            if version is not None and low <= version < upper:
                rows.append(BuildPrerequisite(name, limits, shown, least=low))
                break
            versions.append(shown if version is None else f"{shown}: not of the range")
        else:
            version_text = versions[0] if versions else "not there"
            rows.append(
                BuildPrerequisite(
                    name, limits, version_text, "missing", debian, f"brew install llvm@{major}", low
                )
            )
    return rows


def llvm_folder(layout: BuildLayout) -> Path | None:
    """Return the folder of the LLVM that the checkout pins, if it is installed beside others.

    The older build systems look for compilers only in ``PATH``, which often lacks this folder.
    """
    folders = llvm_folders(layout.llvm_range[0][0]) if layout.llvm_range else []
    return next((Path(each) for each in folders if (Path(each) / "clang++").is_file()), None)


def llvm_folders(major: int) -> list[str]:
    """Return the folders where Debian, Alpine and Homebrew install a major version of LLVM."""
    brew = [f"{prefix}/opt/llvm@{major}/bin" for prefix in ("/opt/homebrew", "/usr/local")]
    return [f"/usr/lib/llvm-{major}/bin", f"/usr/lib/llvm{major}/bin", *brew]


def _programs(names: Sequence[str], folders: Sequence[str]) -> list[Path]:
    paths = [Path(folder) / name for folder in folders if folder for name in names]
    return [path for path in paths if path.is_file() and os.access(path, os.X_OK)]
