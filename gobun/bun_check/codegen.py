"""Upstream's own scripts make what Bun's Zig code imports; a table says how, by a tree's layout.

They are run by the released Bun of the same version, with packages of the npm registry only: one
that comes from elsewhere is left out of the copy's ``package.json``, and no script here needs it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console
from gobun.errors import BuildError
from gobun.process import Finished, path_before, run_tool
from gobun.toml_config import read_toml
from gobun.toolchain import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TABLE = Path(__file__).parent / "codegen.toml"
_STEP_S = 600.0
_OF_A_REGISTRY = re.compile(r"(npm:|workspace:|file:|link:)|[^/:]*$")
"""A range of versions, a tag, or what is in the tree; repositories and archives are neither."""


class CodegenStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One script of upstream's."""

    run: tuple[str, ...]
    makes: str
    folder: str = "."
    list: str = ""
    prints: bool = False


class Substitution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file of the copy says, and what the stock Zig takes in its place."""

    file: str
    says: str
    put: str


class CodegenLayout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a tree of some age makes what it imports."""

    known_by: str
    packages: tuple[str, ...]
    step: tuple[CodegenStep, ...]
    instead: tuple[Substitution, ...] = ()
    generated: str = "build/check/codegen"
    """The folder of the copy that gets what is generated."""
    analysis: tuple[str, ...] = ("check",)
    """The step of ``build.zig`` that analyses the code and compiles nothing, and flags of it."""
    options: tuple[str, ...] = ()
    """What ``build.zig`` is told in every step."""
    headers: tuple[str, ...] = ()
    """The headers of zstd that the code is translated from; they are the system's."""


def layout_of(tree: Path) -> CodegenLayout | None:
    """Return the layout of a tree, or None where the table has none."""
    layouts = read_toml(_TABLE, dict[str, CodegenLayout])
    return next((each for each in layouts.values() if (tree / each.known_by).is_file()), None)


class Scratch(msgspec.Struct, frozen=True):
    """A copy of a tree that checks write into, and what they use."""

    tree: Path
    layout: CodegenLayout
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
        return self.tree / self.layout.generated

    @property
    def places(self) -> dict[str, str]:
        """What the words of the table stand for."""
        return {
            "bun": str(self.bun),
            "esbuild": str(self.tree / "node_modules" / ".bin" / "esbuild"),
            "zig": str(self.zig.program),
            "tree": str(self.tree),
            "build": str(self.build),
            "codegen": str(self.codegen),
            "version": self.version,
            "commit": self.commit,
        }


def generate(scratch: Scratch) -> None:
    """Make the files that the Zig code imports.

    Raises:
        BuildError: a script failed, or did not make what it should.
    """
    layout = scratch.layout
    scratch.codegen.mkdir(parents=True, exist_ok=True)
    for folder in layout.packages:
        console.log(f"installing the npm packages of {folder}")
        # A changed package.json is not what a frozen lock file is of; its versions hold still.
        frozen = [] if _left_out(scratch.tree / folder) else ["--frozen-lockfile"]
        install = [str(scratch.bun), "install", *frozen, "--ignore-scripts"]
        _logged(scratch, install, scratch.tree / folder, f"install of {folder}")
    for step in layout.step:
        console.log(f"generating {step.makes}")
        words, cwd = list(_words(scratch, step)), scratch.tree / step.folder
        done = _logged(scratch, words, cwd, f"making of {step.makes}")
        if step.prints:
            (scratch.codegen / step.makes).write_text(done.out)
        if not (scratch.codegen / step.makes).exists():
            raise BuildError(
                f"upstream's script did not make {step.makes}",
                hint=f"see its output: {scratch.logs}",
            )


def _left_out(folder: Path) -> list[str]:
    """Leave out of a ``package.json`` what is not of a registry, and return its names."""
    path = folder / "package.json"
    package = json.loads(path.read_bytes())
    left: list[str] = []
    for kind in ("dependencies", "devDependencies", "optionalDependencies"):
        wanted = package.get(kind, {})
        left += [name for name, where in wanted.items() if not _OF_A_REGISTRY.match(where)]
        package[kind] = {name: where for name, where in wanted.items() if name not in left}
    if left:
        console.log(f"left out, because npm does not have them: {', '.join(left)}")
        path.write_text(json.dumps(package, indent=2))
    return left


def _words(scratch: Scratch, step: CodegenStep) -> Iterator[str]:
    places = scratch.places
    listed: list[str] = []
    if step.list:
        lines = (scratch.tree / step.list.format_map(places)).read_text().split()
        listed = [str(scratch.tree / line) for line in lines]
    for word in step.run:
        if word == "{list}":
            yield from listed
        else:
            yield word.format_map(places | {"commas": ",".join(listed)})


def _logged(scratch: Scratch, words: Sequence[str], cwd: Path, what: str) -> Finished:
    done = run_tool(words, cwd=cwd, env=path_before(scratch.bun.parent), timeout_s=_STEP_S)
    with (scratch.logs / "codegen.log").open("a") as log:
        log.write(f"== {what}\n{done.out}{done.err}")
    if done.code != 0:
        raise BuildError(
            f"the {what} failed:\n{done.tail or f'exit code {done.code}'}",
            hint=f"see its output: {scratch.logs / 'codegen.log'}",
        )
    return done
