"""The library for ``LD_PRELOAD``: the guard for applications that cannot change their code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import audit, paths
from gobun.build.guard import GUARD_NAME
from gobun.build.guard_source import GUARD_SOURCES
from gobun.build.library import BuiltLibrary, build_c_library, file_names
from gobun.errors import PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.targets import Target

_NAME = f"{GUARD_NAME}-preload"
_SOURCES = paths.NATIVE_SOURCES / "preload"
_CORE = tuple(sorted(set(GUARD_SOURCES.glob("*.c")) - {GUARD_SOURCES / "guard.c"}))
"""The guard without the functions that its users call: a preloaded library stands before libc."""


def build_preload(targets: Sequence[Target]) -> list[BuiltLibrary]:
    """Build the library for each target, or take it from the cache, in the order given.

    Raises:
        PrerequisiteError: Zig is missing, or a target is not Linux.
        BuildError: the build failed, or the library does not pass its audit.
    """
    return [_build(target) for target in targets]


def _build(target: Target) -> BuiltLibrary:
    if target.os != "linux":
        raise PrerequisiteError(
            f"there is no preload library for {target.name}: LD_PRELOAD is a feature of Linux",
            hint="no guard is needed there, because no signal suspends a thread",
        )
    file_name, _ = file_names(_NAME, target)
    return build_c_library(
        _NAME,
        target,
        audit.preload_rules(target, file_name=file_name),
        folders=[_SOURCES, GUARD_SOURCES],
        sources=[*sorted(_SOURCES.glob("*.c")), *_CORE],
        includes=[GUARD_SOURCES],
    )
