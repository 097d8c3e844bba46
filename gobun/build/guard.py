"""The signal guard: one C source, the same bytes everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import audit, paths
from gobun.build.library import BuiltLibrary, build_c_library, file_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.targets import Target

GUARD_NAME = "go-guard"
GUARD_SOURCES = paths.NATIVE_SOURCES / "guard"


def build_guard(targets: Sequence[Target]) -> list[BuiltLibrary]:
    """Build the library for each target, or take it from the cache, in the order given.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build failed, or the library does not pass its audit.
    """
    return [_build(target) for target in targets]


def _build(target: Target) -> BuiltLibrary:
    file_name, _ = file_names(GUARD_NAME, target)
    return build_c_library(
        GUARD_NAME,
        target,
        audit.guard_rules(target, file_name=file_name),
        folders=[GUARD_SOURCES],
        sources=sorted(GUARD_SOURCES.glob("*.c")),
        header=GUARD_SOURCES / "go-guard.h",
    )
