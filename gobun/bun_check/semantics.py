"""Semantic analysis of all of Bun's Zig code by a stock Zig, no object made.

Upstream's own scripts first make what the code imports, run by the released Bun of the same version
with npm packages only. Then ``zig build check`` of the tree analyses it for this machine.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console, files
from gobun.errors import BuildError, PrerequisiteError
from gobun.process import Finished, path_before, run_tool
from gobun.tables import read_toml
from gobun.toolchain import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TABLE = Path(__file__).parent / "codegen.toml"
_STEP_S = 600.0
_CHECK_S = 3000.0
_HEADERS = ("zstd.h", "zstd_errors.h", "zdict.h")
_INCLUDE = Path("/usr/include")


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One script of upstream's."""

    run: tuple[str, ...]
    makes: str
    folder: str = "."
    list: str = ""


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a tree of some age makes what it imports."""

    known_by: str
    packages: tuple[str, ...]
    step: tuple[Step, ...]


def layout_of(tree: Path) -> Layout | None:
    """Return the layout of a tree, or None where the table has none."""
    layouts = read_toml(_TABLE, dict[str, Layout])
    return next((each for each in layouts.values() if (tree / each.known_by).is_file()), None)


class Analysis(msgspec.Struct, frozen=True):
    """What an analysis needs."""

    tree: Path
    version: str
    commit: str
    bun: Path
    zig: Tool
    logs: Path
    caches: Path
    """Where Zig keeps what it need not make again."""

    @property
    def build(self) -> Path:
        """A folder of the tree for what is generated."""
        return self.tree / "build" / "check"

    @property
    def codegen(self) -> Path:
        """Where the generated files are."""
        return self.build / "codegen"


def generate(analysis: Analysis, layout: Layout) -> None:
    """Make the files that the Zig code imports.

    Raises:
        BuildError: a script failed, or did not make what it should.
    """
    analysis.codegen.mkdir(parents=True)
    for folder in layout.packages:
        console.say(f"installing the npm packages of {folder}")
        install = [str(analysis.bun), "install", "--frozen-lockfile", "--ignore-scripts"]
        _logged(analysis, install, analysis.tree / folder, f"install of {folder}")
    for step in layout.step:
        console.say(f"generating {step.makes}")
        words, cwd = list(_words(analysis, step)), analysis.tree / step.folder
        _logged(analysis, words, cwd, f"making of {step.makes}")
        if not (analysis.codegen / step.makes).exists():
            raise BuildError(
                f"upstream's script did not make {step.makes}", hint=f"its output: {analysis.logs}"
            )


def _words(analysis: Analysis, step: Step) -> Iterator[str]:
    places = {
        "bun": str(analysis.bun),
        "esbuild": str(analysis.tree / "node_modules" / ".bin" / "esbuild"),
        "tree": str(analysis.tree),
        "build": str(analysis.build),
        "codegen": str(analysis.codegen),
    }
    for word in step.run:
        if word == "{list}":
            lines = (analysis.tree / step.list).read_text().split()
            yield from (str(analysis.tree / line) for line in lines)
        else:
            yield word.format_map(places)


def _logged(analysis: Analysis, words: Sequence[str], cwd: Path, what: str) -> None:
    done = run_tool(words, cwd=cwd, env=path_before(analysis.bun.parent), timeout_s=_STEP_S)
    _keep(analysis, "codegen.log", f"== {what}\n{done.out}{done.err}")
    if done.code != 0:
        raise BuildError(
            f"the {what} failed:\n{done.tail}", hint=f"its output: {analysis.logs / 'codegen.log'}"
        )


def _keep(analysis: Analysis, name: str, text: str) -> None:
    with (analysis.logs / name).open("a") as log:
        log.write(text)


def analyse(analysis: Analysis) -> Finished:
    """Run ``zig build check`` on a tree whose generated files are there.

    Raises:
        PrerequisiteError: the headers of zstd are missing.
    """
    _provide_std(analysis)
    _provide_zstd(analysis.tree)
    console.say(f"analysing Bun's Zig code by Zig {analysis.zig.version}; minutes")
    words: list[str | Path] = [
        analysis.zig.program,
        "build",
        "check",
        f"-Dcodegen_path={analysis.codegen}",
        f"-Dversion={analysis.version}",
        f"-Dsha={analysis.commit}",
        "-Dreported_nodejs_version=24.3.0",
        "-Dcanary=0",
        "--zig-lib-dir",
        analysis.tree / "vendor" / "zig" / "lib",
        "--summary",
        "all",
    ]
    environment = {
        "ZIG_LOCAL_CACHE_DIR": str(analysis.caches / "local"),
        "ZIG_GLOBAL_CACHE_DIR": str(analysis.caches / "global"),
    }
    done = run_tool(words, cwd=analysis.tree, env=environment, timeout_s=_CHECK_S)
    files.write_whole(analysis.logs / "zig-check.log", done.out + done.err)
    return done


def _provide_std(analysis: Analysis) -> None:
    """Put the wheel's standard library where the tree expects that of upstream's fork."""
    folder = analysis.tree / "vendor" / "zig"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "lib").exists():
        (folder / "lib").symlink_to(analysis.zig.program.parent / "lib")


def _provide_zstd(tree: Path) -> None:
    folder = tree / "vendor" / "zstd" / "lib"
    folder.mkdir(parents=True, exist_ok=True)
    for name in _HEADERS:
        if not (_INCLUDE / name).is_file():
            raise PrerequisiteError(
                f"the header {name} is missing, which Bun's Zig code is translated from",
                hint="Debian: apt-get install libzstd-dev",
            )
        shutil.copy(_INCLUDE / name, folder / name)
