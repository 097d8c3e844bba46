"""Analyses or compiles all of Bun's Zig code with a stock Zig, in a scratch copy."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console
from gobun.bun_check import zig_compat
from gobun.errors import PrerequisiteError
from gobun.process import as_text, run_logged

if TYPE_CHECKING:
    from collections.abc import Callable

    from gobun.bun_check.codegen import Scratch

INCLUDE = Path("/usr/include")
_TOLD_EVERY_S = 30.0
_ERROR = re.compile(r"^\S.*: error: ")
_MOST_SHOWN = 8


class ZigBuildResult(msgspec.Struct, frozen=True):
    """The result of a run of ``zig build``."""

    code: int
    errors: tuple[str, ...]
    """Errors in the code, with file and line of the original tree."""
    log: Path


def provide(scratch: Scratch) -> None:
    """Add upstream's downloads to a copy: the standard library of Zig and the headers of zstd.

    Raises:
        PrerequisiteError: the headers are missing.
    """
    library = scratch.tree / "vendor" / "zig" / "lib"
    library.parent.mkdir(parents=True)
    library.symlink_to(scratch.zig.program.parent / "lib")
    folder = scratch.tree / "vendor" / "zstd" / "lib"
    folder.mkdir(parents=True)
    for name in scratch.layout.headers:
        if not (INCLUDE / name).is_file():
            raise PrerequisiteError(
                f"the header {name} is missing; Bun's Zig code needs it",
                hint="Debian: apt-get install libzstd-dev",
            )
        shutil.copy(INCLUDE / name, folder / name)


def rewrite(scratch: Scratch) -> None:
    """Rewrite the sources and the generated files of a copy for the stock Zig."""
    for each in scratch.layout.instead:
        path = scratch.tree / each.file
        path.write_text(path.read_text().replace(each.says, each.put))
    changed_count = zig_compat.rewrite([scratch.tree / "src", scratch.codegen])
    if changed_count:
        console.log(f"rewritten in the copy for the stock Zig: {changed_count} files")


def analyse(scratch: Scratch) -> ZigBuildResult:
    """Analyse a prepared copy with ``zig build``, for this machine, in debug mode.

    Raises:
        PrerequisiteError: Zig failed for a reason other than the code, such as a full disk.
    """
    step, *flags = scratch.layout.analysis
    return zig_build(scratch, step, flags, "analysing")


def zig_build(scratch: Scratch, step: str, flags: list[str], purpose: str) -> ZigBuildResult:
    """Run a step of the copy's ``build.zig``, and write its output to a log.

    Raises:
        PrerequisiteError: Zig failed for a reason other than the code, such as a full disk.
    """
    log = scratch.logs / f"zig-{step}.log"
    log.unlink(missing_ok=True)
    console.log(f"{purpose} Bun's Zig code by Zig {scratch.zig.version}, log {log}")
    words: list[str | Path] = [
        scratch.zig.program,
        "build",
        step,
        *(word.format_map(scratch.places) for word in scratch.layout.options),
        *flags,
        "--zig-lib-dir",
        scratch.tree / "vendor" / "zig" / "lib",
        "--summary",
        "all",
    ]
    environment = {
        "ZIG_LOCAL_CACHE_DIR": str(scratch.caches / "local"),
        "ZIG_GLOBAL_CACHE_DIR": str(scratch.caches / "global"),
    }
    began = time.monotonic()
    tell = console.throttled(
        _TOLD_EVERY_S,
        lambda: console.log(f"still {purpose}: {time.monotonic() - began:.0f} s"),
    )
    code = run_logged(words, log, cwd=scratch.tree, env=environment, on_wait=tell)
    lines = as_text(log.read_bytes()).splitlines()
    errors = [
        zig_compat.as_written(line, _line_of(scratch.tree)) for line in lines if _ERROR.match(line)
    ]
    if code and not errors:
        raise PrerequisiteError(
            f"{purpose} Bun's Zig code failed, but not because of the code:\n"
            + "\n".join(lines[-_MOST_SHOWN:]),
            hint=f"free memory or disk space; the whole log is {log}",
        )
    return ZigBuildResult(code, tuple(errors[:_MOST_SHOWN]) if code else (), log)


def _line_of(tree: Path) -> Callable[[str, int], bytes]:
    def line(path: str, number: int) -> bytes:
        file = tree / path
        lines = file.read_bytes().split(b"\n") if file.is_file() else []
        return lines[number - 1] if number <= len(lines) else b""

    return line
