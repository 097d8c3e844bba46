"""Checks the requirements of a build of Bun before it starts, and lists all that are missing."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun import console, fetch
from gobun.bun_source.layout import is_built
from gobun.errors import GobunError, PrerequisiteError
from gobun.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gobun.bun_source.layout import BuildLayout

State = Literal["ok", "missing", "note"]

_GIB = 1 << 30
_LEAST_MEMORY_GIB = 8
_MEMORY_A_JOB_GIB = 2
_LEAST_DISK_GIB = 10
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
    """The command that installs it on that system, or empty if there is none."""
    macos: str = ""
    least: tuple[int, ...] = ()
    """The lowest version that the build accepts, or empty if any will do."""


class OfflineSources(msgspec.Struct, frozen=True):
    """Upstream's own ways of building without downloads."""

    webkit: Path | None = None
    """A built WebKit (CMake), or a checkout of its sources (build.ts)."""
    prefetch: Path | None = None
    """A folder with every file that build.ts downloads, named by its address."""
    cache: Path | None = None
    """The download cache, which is searched first."""

    @property
    def holds_downloads(self) -> bool:
        """Whether all downloads may be available locally. A WebKit is only one of many."""
        return bool(self.prefetch or self.cache)


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
_MAKE_NEEDS = (
    _NeededProgram("make", "make", "make"),
    _NeededProgram("aclocal", "automake", "automake", purpose="libarchive"),
    _NeededProgram("autoconf", "autoconf", "autoconf", purpose="libarchive"),
    _NeededProgram("libtoolize", "libtool", "libtool", purpose="libarchive"),
    _NeededProgram("perl", "perl", "perl", purpose="BoringSSL"),
)
"""Additional programs for the C libraries of the older build systems."""
_LLVM = ("clang", "clang++", "ld.lld", "llvm-ar", "llvm-ranlib")


def examine(
    layout: BuildLayout,
    tree: Path,
    *,
    missing_paths: Sequence[str],
    submodules: Sequence[str],
    bun: Callable[[], str],
    zig: Callable[[], str],
    webkit: Callable[[], str],
    offline: OfflineSources,
    version: str,
) -> list[BuildPrerequisite]:
    """Check every requirement of a build of ``tree``.

    ``missing_paths`` lists files that the checkout lacks, ``submodules`` folders of submodules.
    ``bun`` provides the Bun that runs the build scripts, and returns its version. ``zig`` and
    ``webkit`` provide replacements of upstream's own, and return their path or nothing.
    """
    rows = [BuildPrerequisite("layout", "", layout.era)]
    same = layout.version == version
    rows.append(
        BuildPrerequisite(
            "sources", version, layout.version or "no version", "ok" if same else "missing"
        )
    )
    rows += [
        BuildPrerequisite(name, "pinned", pin)
        for name, pin in layout.pins.items()
        if name != "llvm"
    ]
    by_hand = [path for path in missing_paths if (tree / path).is_file()]
    if by_hand:
        remark = f"put in by hand, not compared with upstream: {', '.join(by_hand[:3])}"
        rows.append(BuildPrerequisite("files", "upstream's", remark, "note"))
    missing = [path for path in missing_paths if path not in by_hand]
    if missing:
        built = [path for path in missing if is_built(path)]
        state = f"{len(built or missing)} without content: {', '.join((built or missing)[:3])}"
        fetch_again = f"invoke fetch-bun --version {version} --discard --source …"
        rows.append(
            BuildPrerequisite(
                "files", "all", state, "missing" if built else "note", fetch_again, fetch_again
            )
        )
    if submodules:
        lacking = f"{len(submodules)} not fetched: {', '.join(submodules[:3])}"
        fetch_them = f"invoke fetch-bun --version {version} --submodules …"
        rows.append(
            BuildPrerequisite("submodules", "all", lacking, "missing", fetch_them, fetch_them)
        )
    rows.append(_provided("bun", "to run the build scripts", bun, "fetched by this suite"))
    rows.append(_provided("zig", "in the place of the pinned one", zig))
    rows.append(_provided("webkit", "in the place of upstream's download", webkit))
    rows = [row for row in rows if row.found]
    needs = (*_NEEDED_PROGRAMS, *(_MAKE_NEEDS if layout.era in {"make", "cmake-1"} else ()))
    rows += [_program(need) for need in needs if need.debian or sys.platform == "darwin"]
    rows += [*_rust(layout), *llvm_prerequisites(layout)]
    rows += [_memory(), _disk(tree)]
    rows += _downloads(layout, offline)
    return rows


def is_missing_any(rows: Sequence[BuildPrerequisite]) -> bool:
    """Return whether a required item is missing."""
    return any(row.state == "missing" for row in rows)


def check(rows: Sequence[BuildPrerequisite]) -> None:
    """Reject the build if a required item is missing.

    Raises:
        PrerequisiteError: names every missing item, and one command each for Debian and macOS.
    """
    if not is_missing_any(rows):
        return
    missing_rows = [row for row in rows if row.state == "missing"]
    problem_lines = "".join(
        f"\n  {row.name}: {f'{row.wanted} wanted, ' if row.wanted else ''}{row.found}"
        for row in missing_rows
    )
    raise PrerequisiteError(
        f"this machine cannot build Bun yet, {console.pluralize(len(missing_rows), 'thing')} "
        f"{'is' if len(missing_rows) == 1 else 'are'} missing:{problem_lines}",
        hint="\n  ".join(
            part
            for part in (_commands(missing_rows, "debian"), _commands(missing_rows, "macos"))
            if part
        )
        or "see the table",
    )


def _commands(rows: Sequence[BuildPrerequisite], system: str) -> str:
    """Return the commands to run, with the packages of all rows in one command."""
    commands = [getattr(row, system) for row in rows if getattr(row, system)]
    start = {"debian": "apt-get install ", "macos": "brew install "}[system]
    packages = sorted(
        {word for each in commands if each.startswith(start) for word in each.split()[2:]}
    )
    others = list(dict.fromkeys(each for each in commands if not each.startswith(start)))
    joined = [start + " ".join(packages)] if packages else []
    name = {"debian": "Debian", "macos": "macOS"}[system]
    return f"{name}: {'; '.join((*joined, *others))}" if commands else ""


def render(rows: Sequence[BuildPrerequisite]) -> str:
    """Return the table."""
    marks = {"ok": "ok", "missing": "MISSING", "note": "-"}
    names = max(len(row.name) for row in rows)
    width = max(len(row.wanted) for row in rows)
    return "\n".join(
        f"{row.name:<{names}}  {row.wanted:<{width}}  {marks[row.state]:<7}  {row.found}".rstrip()
        for row in rows
    )


def jobs_by_memory() -> int:
    """Return the number of compilers that can run at once without swapping."""
    by_memory = int(memory_gib() // _MEMORY_A_JOB_GIB)
    return max(1, min(os.cpu_count() or 1, by_memory))


def version_of(text: str) -> tuple[int, ...]:
    """Return the first version in a program's output."""
    match = _VERSION.search(text)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def _provided(
    name: str, requirement: str, provide: Callable[[], str], remark: str = ""
) -> BuildPrerequisite:
    try:
        provided = provide()
    except GobunError as error:
        return BuildPrerequisite(
            name, requirement, error.what, "missing", error.hint or "", error.hint or ""
        )
    return BuildPrerequisite(
        name, requirement, f"{provided}, {remark}" if remark and provided else provided
    )


def _install(needed: _NeededProgram) -> dict[str, str]:
    return {
        "debian": f"apt-get install {needed.debian}" if needed.debian else "",
        "macos": f"brew install {needed.macos}" if needed.macos else "",
    }


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
    """Check for the Rust that the checkout pins. Rustup fetches it unless it has it already."""
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
    """Return a row for each program of LLVM that the layout needs, with the one that is here."""
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

    The older build systems look for compilers in ``PATH`` only, where this folder often is not.
    """
    folders = llvm_folders(layout.llvm_range[0][0]) if layout.llvm_range else []
    return next((Path(each) for each in folders if (Path(each) / "clang++").is_file()), None)


def llvm_folders(major: int) -> list[str]:
    """Return where Debian, Alpine and Homebrew install the programs of a major version of LLVM."""
    brew = [f"{prefix}/opt/llvm@{major}/bin" for prefix in ("/opt/homebrew", "/usr/local")]
    return [f"/usr/lib/llvm-{major}/bin", f"/usr/lib/llvm{major}/bin", *brew]


def _programs(names: Sequence[str], folders: Sequence[str]) -> list[Path]:
    paths = [Path(folder) / name for folder in folders if folder for name in names]
    return [path for path in paths if path.is_file() and os.access(path, os.X_OK)]


@functools.cache
def memory_gib() -> float:
    """Return the size of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB


def _memory() -> BuildPrerequisite:
    gib = memory_gib()
    state: State = "ok" if gib >= _LEAST_MEMORY_GIB * 0.95 else "missing"
    jobs = f"{gib:.0f} GiB: {jobs_by_memory()} jobs at once"
    return BuildPrerequisite("memory", f">= {_LEAST_MEMORY_GIB} GiB", jobs, state)


def _disk(tree: Path) -> BuildPrerequisite:
    free = shutil.disk_usage(tree).free / _GIB
    state: State = "ok" if free >= _LEAST_DISK_GIB else "missing"
    return BuildPrerequisite("disk", f">= {_LEAST_DISK_GIB} GiB", f"{int(free)} GiB free", state)


def _downloads(layout: BuildLayout, offline: OfflineSources) -> list[BuildPrerequisite]:
    silent = fetch.unreachable_hosts([f"https://{host}/" for host in layout.hosts])
    # Print names only: an address may contain a password.
    proxies = sorted(name for name in os.environ if name.lower().endswith("_proxy"))
    rows = (
        [BuildPrerequisite("proxies", "of the environment", ", ".join(proxies))] if proxies else []
    )
    for host in layout.hosts:
        problem = silent.get(f"https://{host}/")
        if not problem:
            rows.append(BuildPrerequisite(host, "answers", "it does"))
        elif offline.holds_downloads:
            rows.append(
                BuildPrerequisite(
                    host, "answers", f"{problem}; a folder of downloads is given", "note"
                )
            )
        else:
            rows.append(
                BuildPrerequisite(
                    host,
                    "answers",
                    problem,
                    "missing",
                    *(("a proxy in https_proxy, or --prefetch or --downloads",) * 2),
                )
            )
    rows += [
        BuildPrerequisite(name, "offline", str(path))
        for name, path in (
            ("webkit", offline.webkit),
            ("prefetch", offline.prefetch),
            ("downloads", offline.cache),
        )
        if path
    ]
    return rows
