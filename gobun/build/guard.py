"""Builds the signal guard as a shared, a static, a preloaded and an embeddable library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import audit, files, paths, toolchain
from gobun.build import build_store
from gobun.build import compile as compiling
from gobun.build.guard_source import (
    GUARD_SOURCES,
    INSTALL_SOURCES,
    PUBLIC_HEADER,
    guard_sources,
    one_file,
)
from gobun.build.library import BuiltLibrary, build_c_library, file_names
from gobun.errors import PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.targets import Target

EMBEDDED_SOURCES = (
    GUARD_SOURCES,
    INSTALL_SOURCES,
    paths.ROOT / "gobun" / "embed",
    paths.ROOT / "gobun" / "elf",
)
"""Sources that determine the bytes of a library with an embedded guard."""

GUARD_NAME = "go-guard"
STATIC_NAME = "libgo-guard"
_PRELOAD_NAME = f"{GUARD_NAME}-preload"
_PRELOAD_SOURCES = paths.NATIVE_SOURCES / "preload"


def build_guard(targets: Sequence[Target]) -> list[BuiltLibrary]:
    """Return the shared library for each target, in order. Build those that the cache lacks.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build failed, or the library does not pass its audit.
    """
    return [_build(target) for target in targets]


def build_static_guard(targets: Sequence[Target]) -> list[BuiltLibrary]:
    """Return the static library for each target, in order. Build those that the cache lacks.

    Its constructor installs the guard, so an addon only has to link it.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build failed.
    """
    return [_build_static(target) for target in targets]


def build_preload(targets: Sequence[Target]) -> list[BuiltLibrary]:
    """Return the preload library for each target, in order. Build those that the cache lacks.

    ``LD_PRELOAD`` loads it into applications whose code cannot be changed.

    Raises:
        PrerequisiteError: Zig is missing, or a target is not Linux.
        BuildError: the build failed, or the library does not pass its audit.
    """
    return [_build_preload(target) for target in targets]


def _build(target: Target) -> BuiltLibrary:
    file_name, _ = file_names(GUARD_NAME, target)
    return build_c_library(
        GUARD_NAME,
        target,
        audit.guard_rules(target, file_name=file_name),
        folders=[GUARD_SOURCES, INSTALL_SOURCES],
        sources=[*guard_sources(), INSTALL_SOURCES / "addon.c"],
        header=PUBLIC_HEADER,
    )


def _build_static(target: Target) -> BuiltLibrary:
    file_name, header_name = file_names(STATIC_NAME, target)
    zig = toolchain.zig()
    recipe = build_store.recipe(
        f"{STATIC_NAME}-{target.name}",
        sources=[GUARD_SOURCES, INSTALL_SOURCES],
        settings=(target.zig_triple, zig.version),
    )

    def make(folder: Path) -> None:
        source = folder / "go-guard.c"
        source.write_text(one_file())
        compiling.c_archive(source, target=target, output=folder / file_name)
        source.unlink()
        files.copy_whole(PUBLIC_HEADER, folder / header_name)

    folder = build_store.built(recipe, make)
    return BuiltLibrary(target, folder / file_name, folder / header_name, "", zig.version, ())


def _build_preload(target: Target) -> BuiltLibrary:
    if target.os != "linux":
        raise PrerequisiteError(
            f"there is no preload library for {target.name}: LD_PRELOAD is a feature of Linux",
            hint="no guard is needed there, because no signal suspends a thread",
        )
    file_name, _ = file_names(_PRELOAD_NAME, target)
    # The dynamic linker finds a preloaded library before libc, so handlers.c defines sigaction
    # itself. The library needs no guard.c, which installs hooks in other libraries.
    core = [path for path in guard_sources() if path.name != "guard.c"]
    return build_c_library(
        _PRELOAD_NAME,
        target,
        audit.preload_rules(target, file_name=file_name),
        folders=[_PRELOAD_SOURCES, GUARD_SOURCES],
        sources=[*sorted(_PRELOAD_SOURCES.glob("*.c")), *core],
        includes=[GUARD_SOURCES],
    )


def build_embeddable_guard(target: Target) -> Path:
    """Return the guard as a library whose segments ``gobun.embed`` copies into other libraries.

    It exports nothing, and has no data that is read-only after relocation. A library can have only
    one range of such data, and the host library has one already.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build failed.
    """
    zig = toolchain.zig()
    recipe = build_store.recipe(
        f"embeddable-guard-{target.name}",
        sources=[GUARD_SOURCES, INSTALL_SOURCES],
        settings=(target.zig_triple, zig.version),
    )
    name = "go-guard.so"

    def make(folder: Path) -> None:
        source = folder / "go-guard.c"
        source.write_text(one_file())
        flags = ("-Wl,-z,norelro", "-Wl,-z,max-page-size=4096")
        compiling.c_shared([source], target=target, output=folder / name, exports=(), flags=flags)
        source.unlink()

    return build_store.built(recipe, make) / name
