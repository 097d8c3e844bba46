"""The content-addressed store of builds: same inputs, same folder, built once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import cache, console, files, paths, toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gobun.targets import Target


class Recipe(msgspec.Struct, frozen=True):
    """Everything that determines the bytes of a build. Equal recipes give equal bytes."""

    name: str
    """First part of the folder's name, for people. The digest after it makes the name unique."""
    sources: tuple[tuple[str, str], ...]
    """Name and SHA-256 of each source file."""
    settings: tuple[str, ...]
    """Tool versions, flags, and the rules that the result must pass."""

    @property
    def digest(self) -> str:
        """The identity of this recipe, in hexadecimal."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


def recipe(name: str, *, sources: Iterable[Path], settings: Iterable[str]) -> Recipe:
    """Return the recipe for a build from ``sources``, which are files or folders of files.

    Every recipe also contains the code of this package.
    """
    source_files: list[Path] = []
    for source in (*sources, Path(__file__).parent):
        candidates = [source] if source.is_file() else sorted(source.rglob("*"))
        source_files += [path for path in candidates if path.is_file() and path.suffix != ".pyc"]
    digests = (
        (path.relative_to(paths.ROOT).as_posix(), files.sha256_of(path)) for path in source_files
    )
    return Recipe(name, tuple(digests), tuple(settings))


def builds_root() -> Path:
    """Return the folder of all builds."""
    return paths.cache_root() / "build"


def built(build_recipe: Recipe, make: Callable[[Path], None]) -> Path:
    """Return the folder of the build for ``build_recipe``. Run ``make`` if it is missing.

    ``make`` receives an empty folder and fills it. Other processes see the folder only once it is
    complete. If several processes need it, one builds it and the others wait.

    Raises:
        PrerequisiteError: the cache cannot be written.
    """
    folder = builds_root() / f"{build_recipe.name}-{build_recipe.digest[:20]}"
    cache.pin(folder)
    if not folder.is_dir():
        with files.locked(folder):
            if not folder.is_dir():
                with files.temporary_sibling(folder) as staged, files.disk_errors(folder):
                    console.log(f"building {build_recipe.name}")
                    result = staged / "result"
                    result.mkdir()
                    make(result)
                    files.publish_folder(result, folder)
    return folder


def built_with_pins(
    name: str, sources: Iterable[Path], target: Target, make: Callable[[Path], None]
) -> Path:
    """Return the folder of a build for ``target``. Run ``make`` if it is missing.

    The recipe contains the versions of all pinned tools, so a new version starts a new build.

    Raises:
        PrerequisiteError: the cache cannot be written.
    """
    pins = {**toolchain.pins(), **toolchain.npm_pins(), **toolchain.pip_pins()}
    settings = (target.zig_triple, *(f"{tool} {pins[tool]}" for tool in sorted(pins)))
    return built(recipe(name, sources=sources, settings=settings), make)
