"""Writes the loader's npm package into a folder: its scripts, the guards, and their digests."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from gobun import files, paths
from gobun.build import build_store
from gobun.build.guard import build_guard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.build.library import BuiltLibrary
    from gobun.targets import Target


def build_loader(target: Target) -> Path:
    """Return the folder of a package that has only the guard for ``target``.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build of the guard failed.
    """
    guards = build_guard([target])

    def make(folder: Path) -> None:
        fill_loader(folder / "package", "0.0.0", guards, [])

    sources = [paths.LOADER_SOURCES, paths.ROOT / "LICENSE"]
    settings = [files.sha256_of(each.library) for each in guards]
    recipe = build_store.recipe(f"npm-package-{target.name}", sources=sources, settings=settings)
    return build_store.built(recipe, make) / "package"


def fill_loader(
    package: Path,
    version: str,
    guards: Sequence[BuiltLibrary],
    libraries: Sequence[BuiltLibrary],
) -> None:
    """Write the package into the new folder ``package``, with ``guards`` inside.

    ``libraries`` belong to the other packages. This package contains their digests.

    Raises:
        PrerequisiteError: the folder cannot be written.
    """
    with files.disk_errors(package):
        shutil.copytree(paths.LOADER_SOURCES, package, copy_function=shutil.copyfile)
        shutil.copyfile(paths.ROOT / "LICENSE", package / "LICENSE")
        # Edit the text, so that the rest of the file stays as a person wrote it.
        manifest = package / "package.json"
        manifest.write_text(manifest.read_text().replace('"0.0.0"', f'"{version}"'))
        (package / "lib").mkdir()
        for each in guards:
            shutil.copyfile(each.library, package / "lib" / each.library.name)
        all_libraries = [*guards, *libraries]
        sums = {each.library.name: files.sha256_of(each.library) for each in all_libraries}
        (package / "sums.json").write_bytes(files.readable_json(dict(sorted(sums.items()))))
