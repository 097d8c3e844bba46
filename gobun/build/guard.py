"""The signal guard: one C source, the same bytes everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gobun import audit, files, paths, toolchain
from gobun.build import compile as compiling
from gobun.build import macho, store
from gobun.build.library import Library, file_stem, must_pass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.targets import Target

GUARD_NAME = "go-guard"
GUARD_SOURCES = paths.NATIVE_SOURCES / "guard"


def build_guard(targets: Sequence[Target]) -> list[Library]:
    """Build the library for each target, or take it from the cache, in the order given.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build failed, or the library does not pass its audit.
    """
    return [_build(target) for target in targets]


def _build(target: Target) -> Library:
    stem, zig = file_stem(GUARD_NAME, target), toolchain.zig()
    file_name = stem + target.library_suffix
    rules = audit.guard_rules(target, file_name=file_name)
    recipe = store.recipe(
        stem,
        # What the audit lets pass is part of what the result is.
        sources=[GUARD_SOURCES, Path(audit.__file__).parent],
        settings=(target.zig_triple, zig.version, repr(rules)),
    )

    def make(folder: Path) -> None:
        library = folder / file_name
        compiling.c_shared(
            sorted(GUARD_SOURCES.glob("*.c")),
            target=target,
            output=library,
            exports=rules.exports or (),
        )
        if target.os == "darwin":
            macho.settle(library)
        must_pass(library, rules)
        files.copy_whole(GUARD_SOURCES / "go-guard.h", folder / f"{stem}.h")

    folder = store.built(recipe, make)
    return Library(target, folder / file_name, folder / f"{stem}.h", "", zig.version, ())
