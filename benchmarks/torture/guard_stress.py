"""Builds the guard's stress test, which needs no JavaScript engine, for tests and benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import paths, toolchain
from gobun.build import build_store, musl
from gobun.build import compile as compiling

if TYPE_CHECKING:
    from gobun.targets import Target

_EXPORTS = (
    "Descend",
    "Panic",
    "Spawn",
    "Back",
    "Crowd",
    "Disturbed",
    "Lend",
    "TakeSignals",
    "SignalsReceived",
)
_RIVAL_SOURCE = (
    "RivalTakes",
    "RivalPutsBack",
    "RivalTakesRaw",
    "RivalIgnores",
    "RivalSends",
    "RivalForwards",
    "RivalSaw",
)
_PROGRAMS = {
    "guard_stress": ("guard_stress.c", "sandbox.c", "suspender.c", "taker.c"),
    "semantics": (
        "semantics.c",
        "assertions.c",
        "stack_limits.c",
        "running.c",
        "handler_ownership.c",
        "sharing.c",
    ),
    "cost": ("cost.c",),
}


class GuardStress(msgspec.Struct, frozen=True):
    """The programs of ``native/guard_stress``. Each source file explains its arguments."""

    guard_stress: Path
    semantics: Path
    cost: Path
    library: Path
    """The Go library that the first one loads."""
    rival: Path
    """A library that takes signals, which ``semantics`` loads."""


def build_guard_stress(target: Target) -> GuardStress:
    """Return the programs for ``target``.

    Raises:
        PrerequisiteError: Go or Zig is missing.
        BuildError: a build failed.
    """
    sources = paths.NATIVE_SOURCES / "guard_stress"
    go, pins = toolchain.go(), toolchain.pins()
    recipe = build_store.recipe(
        f"guard_stress-{target.name}",
        sources=[
            Path(__file__),
            sources,
            paths.NATIVE_SOURCES / "guard" / "go-guard.h",
            paths.GO_SOURCES / "guard_stress",
            paths.GO_SOURCES / "testhooks" / "signals",
            paths.GO_SOURCES / "go.mod",
            *musl.sources_for(target),
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
            "guard_stress",
            target=target,
            go=go,
            output=folder / "guard_stress.so",
            exports=_EXPORTS,
        )
        musl.convert_if_musl(folder / "guard_stress.so", target)
        compiling.c_shared(
            [sources / "rival.c"], target=target, output=folder / "rival.so", exports=_RIVAL_SOURCE
        )

    folder = build_store.built(recipe, make)
    guard_stress, semantics, cost = (folder / name for name in _PROGRAMS)
    return GuardStress(
        guard_stress, semantics, cost, folder / "guard_stress.so", folder / "rival.so"
    )
