"""Generates the files that Bun's Zig code imports, with the scripts that a tree's layout names.

The scripts are upstream's own. The released Bun of the same version runs them. Packages come from
the npm registry only. A package from elsewhere is removed from the copy's ``package.json``, because
no script here needs it.
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

TABLE = Path(__file__).parent / "codegen.toml"
_STEP_S = 600.0
_OF_A_REGISTRY = re.compile(r"(npm:|workspace:|file:|link:)|[^/:]*$")
"""A version range, a tag, or a package in the tree. Repositories and archives do not match."""


class CodegenStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of upstream's scripts. ``codegen.toml`` describes the fields."""

    run: tuple[str, ...]
    makes: str
    folder: str = "."
    list: str = ""
    prints: bool = False


class Substitution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text in a file of the copy, and the text that the stock Zig accepts instead."""

    file: str
    says: str
    put: str


class CodegenLayout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How trees with one layout generate the files that their Zig code imports."""

    known_by: str
    packages: tuple[str, ...]
    step: tuple[CodegenStep, ...]
    instead: tuple[Substitution, ...] = ()
    generated: str = "build/check/codegen"
    """The folder of the copy for generated files."""
    analysis: tuple[str, ...] = ("check",)
    """The step of ``build.zig`` that only analyses the code, and its flags."""
    options: tuple[str, ...] = ()
    """The flags of ``build.zig`` in every step."""
    headers: tuple[str, ...] = ()
    """The system's headers of zstd, from which Zig code is translated."""


def layout_of(tree: Path) -> CodegenLayout | None:
    """Return the layout of a tree, or None if the table has none."""
    layouts = read_toml(TABLE, dict[str, CodegenLayout])
    return next((each for each in layouts.values() if (tree / each.known_by).is_file()), None)


class Scratch(msgspec.Struct, frozen=True):
    """A copy of a tree that checks write into, and the tools that they use."""

    tree: Path
    layout: CodegenLayout
    version: str
    commit: str
    bun: Path
    zig: Tool
    logs: Path
    caches: Path
    """Zig's cache folder."""

    @property
    def build(self) -> Path:
        """A folder of the tree for generated files."""
        return self.tree / "build" / "check"

    @property
    def codegen(self) -> Path:
        """The folder of the files that the Zig code imports."""
        return self.tree / self.layout.generated

    @property
    def places(self) -> dict[str, str]:
        """The values of the placeholders in the table."""
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
        BuildError: a script failed, or did not make its files.
    """
    layout = scratch.layout
    scratch.codegen.mkdir(parents=True, exist_ok=True)
    for folder in layout.packages:
        console.log(f"installing the npm packages of {folder}")
        # A frozen lock file no longer matches if a package was left out. Its versions still hold.
        frozen = [] if left_out_files(scratch.tree / folder) else ["--frozen-lockfile"]
        install = [str(scratch.bun), "install", *frozen, "--ignore-scripts"]
        _logged(scratch, install, scratch.tree / folder, f"install of {folder}")
    for step in layout.step:
        console.log(f"generating {step.makes}")
        words, cwd = list(_expand_words(scratch, step)), scratch.tree / step.folder
        completed = _logged(scratch, words, cwd, f"making of {step.makes}")
        if step.prints:
            (scratch.codegen / step.makes).write_text(completed.out)
        if not (scratch.codegen / step.makes).exists():
            raise BuildError(
                f"upstream's script did not make {step.makes}",
                hint=f"see its output: {scratch.logs}",
            )


def left_out_files(folder: Path) -> list[str]:
    """Remove packages that are not from a registry from a ``package.json``; return their names."""
    path = folder / "package.json"
    package = json.loads(path.read_bytes())
    left_out: list[str] = []
    for kind in ("dependencies", "devDependencies", "optionalDependencies"):
        requirements = package.get(kind, {})
        left_out += [
            name for name, where in requirements.items() if not _OF_A_REGISTRY.match(where)
        ]
        package[kind] = {
            name: where for name, where in requirements.items() if name not in left_out
        }
    if left_out:
        console.log(f"left out, because npm does not have them: {', '.join(left_out)}")
        path.write_text(json.dumps(package, indent=2))
    return left_out


def _expand_words(scratch: Scratch, step: CodegenStep) -> Iterator[str]:
    places = scratch.places
    listed_paths: list[str] = []
    if step.list:
        lines = (scratch.tree / step.list.format_map(places)).read_text().split()
        listed_paths = [str(scratch.tree / line) for line in lines]
    for word in step.run:
        if word == "{list}":
            yield from listed_paths
        else:
            yield word.format_map(places | {"commas": ",".join(listed_paths)})


def _logged(scratch: Scratch, words: Sequence[str], cwd: Path, purpose: str) -> Finished:
    completed = run_tool(words, cwd=cwd, env=path_before(scratch.bun.parent), timeout_s=_STEP_S)
    with (scratch.logs / "codegen.log").open("a") as log:
        log.write(f"== {purpose}\n{completed.out}{completed.err}")
    if completed.code != 0:
        raise BuildError(
            f"the {purpose} failed:\n{completed.tail or f'exit code {completed.code}'}",
            hint=f"see its output: {scratch.logs / 'codegen.log'}",
        )
    return completed
