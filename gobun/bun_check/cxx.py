"""Compiles the C++ files that patches touch, against the headers of WebKit's npm package.

``make -n`` prints upstream's command for an object. The check runs it without writing the object.
Only releases that are built with `make` have both such a command and such a package.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gobun import console, fetch
from gobun.bun_check.records import CheckResult
from gobun.bun_source import read_layout
from gobun.bun_source.build_programs import llvm_folder, version_of
from gobun.errors import BuildError
from gobun.process import path_before, run_tool
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gobun.bun_source import BuildLayout, Patch

_CHECK = "compiles"
_OBJECTS = "src/bun.js/bindings-obj"
_BINDINGS = "src/bun.js/bindings/"
_COMPILE_S = 600.0
_ERROR = re.compile(r"^.*(?:fatal )?error: .*$", re.MULTILINE)
_SETTINGS = ("CCACHE_PATH=", "EMIT_LLVM=", "CI=true")
"""Variables that make the Makefile leave out ccache, link-time optimisation and header lists."""


def compile_touched(
    tree: Path, libraries: Mapping[str, Path | None], patches: Sequence[Patch]
) -> Iterator[CheckResult]:
    """Compile each C++ file of Bun's bindings that a patch touches.

    ``tree`` is a copy with all patches. ``libraries`` maps the folders of its submodules to their
    real paths, or to None if not fetched. A tree with another build system yields nothing.

    Raises:
        FetchError: the headers cannot be fetched.
        BuildError: upstream's Makefile has no command to compile a file.
    """
    touched = {
        path: patch.id
        for patch in patches
        for path in patch.files
        if path.startswith(_BINDINGS) and path.endswith(".cpp")
    }
    layout = read_layout(tree) if (tree / "package.json").is_file() else None
    if not touched or layout is None or layout.era != "make":
        return
    package = fetch.webkit_package(host_target().name, layout.pins.get("webkit", ""))
    lacking = ", ".join(path for path, folder in libraries.items() if folder is None)
    if package is None or lacking:
        reason = (
            f"not fetched: {lacking}" if lacking else f"npm has no WebKit for {host_target().name}"
        )
        for path, patch in touched.items():
            yield CheckResult(patch, _CHECK, path, "not checked", reason)
        return
    webkit = fetch.fetch_packages([package])[package]
    for place, folder in libraries.items():
        if folder is not None:
            _link(tree / place, folder)
    for path, patch in touched.items():
        yield _compile_unit(tree, layout, webkit, path, patch)


def _link(place: Path, folder: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        place.rmdir()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(folder)


def _compile_unit(
    tree: Path, layout: BuildLayout, webkit: Path, path: str, patch: str
) -> CheckResult:
    words = _command(tree, webkit, path)
    compiler = run_tool([words[0], "--version"], timeout_s=60)
    version, bounds = version_of(compiler.out), layout.llvm_range
    compiler_name = f"clang {'.'.join(map(str, version))}"
    if bounds is not None and not bounds[0] <= version < bounds[1]:
        reason = f"{compiler_name} is there, and upstream takes {bounds[0][0]}"
        return CheckResult(patch, _CHECK, path, "not checked", reason)
    console.log(f"compiling {path} by {compiler_name}")
    completed = run_tool(words, cwd=tree, timeout_s=_COMPILE_S)
    if completed.code == 0:
        return CheckResult(
            patch, _CHECK, path, "proven", f"{compiler_name}, the headers of {webkit.name}"
        )
    error = _ERROR.search(completed.err)
    return CheckResult(patch, _CHECK, path, "wrong", error[0] if error else completed.tail)


def _command(tree: Path, webkit: Path, path: str) -> list[str]:
    """Return upstream's command for one file, changed so that it writes no object.

    Raises:
        BuildError: the Makefile has none.
    """
    target = f"{_OBJECTS}/{PurePosixPath(path).stem}.o"
    settings = [f"JSC_BASE_DIR={webkit}", *_SETTINGS]
    llvm = llvm_folder(read_layout(tree))
    env = path_before(llvm) if llvm else None
    dry_run = run_tool(["make", "-n", target, *settings], cwd=tree, env=env, timeout_s=60)
    for line in dry_run.out.replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        if "-c" in words and any(word.endswith(path) for word in words):
            at = words.index("-o")
            words[at : at + 2] = []
            words[words.index("-c")] = "-fsyntax-only"
            return words
    reason = dry_run.tail or "it prints no command"
    raise BuildError(
        f"the Makefile has no command that compiles {path}: {reason}",
        hint="leave the patch out with --except, or check the files only with --quick",
    )
