"""Builds the native helpers that run a cell, call C functions from Node, or inspect a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import paths
from gobun.build import build_store
from gobun.build import compile as compiling
from gobun.build.fixtures import ADDON_EXPORTS, node_api_headers
from gobun.errors import PrerequisiteError

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.targets import Target


def build_dlcall(target: Target) -> Path:
    """Return the addon that adds foreign function calls to Node.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build failed.
        FetchError: Node's headers could not be fetched.
    """
    source = paths.NATIVE_SOURCES / "dlcall" / "dlcall.c"

    def make(folder: Path) -> None:
        compiling.c_shared(
            [source],
            target=target,
            output=folder / "dlcall.node",
            exports=ADDON_EXPORTS,
            includes=[node_api_headers()],
        )

    return (
        build_store.built_with_pins(f"dlcall-{target.name}", [source], target, make) / "dlcall.node"
    )


def build_supervise(target: Target) -> Path:
    """Return the program that runs a cell and kills all its processes at the end.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build failed.
    """
    source = paths.NATIVE_SOURCES / "supervise"

    def make(folder: Path) -> None:
        sources = sorted(source.glob("*.c"))
        compiling.c_program(*sources, target=target, output=folder / "supervise")

    return (
        build_store.built_with_pins(f"supervise-{target.name}", [source], target, make)
        / "supervise"
    )


def build_inspector(target: Target) -> Path:
    """Return the program that reads the signal handlers and stacks of a running process.

    Raises:
        PrerequisiteError: Zig is missing, or the target is not Linux.
        BuildError: the build failed.
    """
    if target.os != "linux":
        raise PrerequisiteError(
            f"a process on {target.name} cannot be inspected: that needs Linux's ptrace",
            hint="run `sample PID` or `lldb -p PID` to see its threads",
        )
    source = paths.NATIVE_SOURCES / "inspector"

    def make(folder: Path) -> None:
        compiling.c_program(source / "inspector.c", target=target, output=folder / "inspector")

    return (
        build_store.built_with_pins(f"inspector-{target.name}", [source], target, make)
        / "inspector"
    )
