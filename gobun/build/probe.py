"""The program that asks a running process for its signal handlers and alternate stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import paths, toolchain
from gobun.build import compile as compiling
from gobun.build import store
from gobun.errors import PrerequisiteError

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.targets import Target


def build_probe(target: Target) -> Path:
    """Return the program ``inspect`` for ``target``.

    Raises:
        PrerequisiteError: Zig is missing, or the target is not Linux.
        BuildError: the build failed.
    """
    if target.os != "linux":
        raise PrerequisiteError(
            f"a process on {target.name} cannot be inspected: that needs Linux's ptrace",
            hint="sample PID, or lldb -p PID, shows its threads",
        )
    source = paths.NATIVE_SOURCES / "probe"

    def make(folder: Path) -> None:
        compiling.c_program(source / "inspect.c", target=target, output=folder / "inspect")

    settings = (target.zig_triple, f"zig {toolchain.pins()['zig']}")
    recipe = store.recipe(f"probe-{target.name}", sources=[source], settings=settings)
    return store.built(recipe, make) / "inspect"
