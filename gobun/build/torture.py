"""What the guard is tried by, without a JavaScript engine: programs of C and a library of Go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import paths, toolchain
from gobun.build import compile as compiling
from gobun.build import store

if TYPE_CHECKING:
    from gobun.targets import Target

_EXPORTS = ("Descend", "Panic", "Spawn", "Back", "Crowd", "Disturbed", "Lend")
_PROGRAMS = {
    "torture": ("torture.c", "suspending.c"),
    "semantics": ("semantics.c", "asking.c", "ending.c", "running.c", "owning.c"),
    "cost": ("cost.c",),
}


class Torture(msgspec.Struct, frozen=True):
    """The programs of ``native/torture``; each file says how it is called."""

    torture: Path
    semantics: Path
    cost: Path
    library: Path
    """The Go library that the first one loads."""


def build_torture(target: Target) -> Torture:
    """Return the programs for ``target``.

    Raises:
        PrerequisiteError: Go or Zig is missing.
        BuildError: a build failed.
    """
    sources = paths.NATIVE_SOURCES / "torture"
    go, pins = toolchain.go(), toolchain.pins()
    recipe = store.recipe(
        f"torture-{target.name}",
        sources=[
            sources,
            paths.NATIVE_SOURCES / "guard" / "go-guard.h",
            paths.GO_SOURCES / "torture",
            paths.GO_SOURCES / "go.mod",
        ],
        settings=(target.zig_triple, *(f"{tool} {pins[tool]}" for tool in ("go", "zig"))),
    )

    def make(folder: Path) -> None:
        for name, files in _PROGRAMS.items():
            compiling.c_program(
                *(sources / file for file in files),
                target=target,
                output=folder / name,
                libraries=("pthread", "dl"),
            )
        compiling.go_shared(
            "torture", target=target, go=go, output=folder / "torture.so", exports=_EXPORTS
        )

    folder = store.built(recipe, make)
    torture, semantics, cost = (folder / name for name in _PROGRAMS)
    return Torture(torture, semantics, cost, folder / "torture.so")
