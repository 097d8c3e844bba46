"""Builds the inspector, which reads a running process's signal handlers and alternate stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import paths, toolchain
from gobun.build import build_store
from gobun.build import compile as compiling
from gobun.errors import PrerequisiteError

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.targets import Target


def build_inspector(target: Target) -> Path:
    """Return the program ``inspector`` for ``target``.

    Raises:
        PrerequisiteError: Zig is missing, or the target is not Linux.
        BuildError: the build failed.
    """
    if target.os != "linux":
        raise PrerequisiteError(
            f"a process on {target.name} cannot be inspected: that needs Linux's ptrace",
            hint="sample PID, or lldb -p PID, shows its threads",
        )
    source = paths.NATIVE_SOURCES / "inspector"

    def make(folder: Path) -> None:
        compiling.c_program(source / "inspector.c", target=target, output=folder / "inspector")

    settings = (target.zig_triple, f"zig {toolchain.pins()['zig']}")
    recipe = build_store.recipe(f"inspector-{target.name}", sources=[source], settings=settings)
    return build_store.built(recipe, make) / "inspector"
