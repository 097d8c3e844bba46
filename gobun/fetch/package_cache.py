"""The package cache: the folders of packages, downloaded if they are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import cache, paths
from gobun.fetch.package import Package, check_package
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def package_folder(package: Package) -> Path:
    """Return the folder for the unpacked content of a package's ``package/``."""
    return paths.cache_root() / "npm" / package.name / package.version


def cached_versions(name: str) -> tuple[str, ...]:
    """Return the cached versions of a package, ascending."""
    folder = paths.cache_root() / "npm" / name
    if not folder.is_dir():
        return ()
    # Skip lock files and partial files, and temporary folders, whose names begin with a dot.
    versions = [
        child.name
        for child in folder.iterdir()
        if child.is_dir() and not child.name.startswith(".")
    ]
    return tuple(sorted(versions, key=rank))


def fetch_packages(packages: Sequence[Package]) -> dict[Package, Path]:
    """Return the folder of each package, after downloading those that are not cached.

    The returned folders cannot be evicted until this process ends. A cached package needs neither
    the network nor npm.

    Raises:
        FetchError: the registry cannot be reached or refuses, or a download does not match the
            lock file.
        PrerequisiteError: npm is missing, or the cache cannot be written.
        UsageError: a name or a version is not valid for npm.
    """
    folders: dict[Package, Path] = {}
    for package in packages:
        check_package(package)
        folders[package] = package_folder(package)
        cache.pin(folders[package])
    missing = sorted(package for package, folder in folders.items() if not folder.is_dir())
    if missing:
        # Importing the HTTP library takes a quarter of a command's start, and few commands need it.
        from gobun.fetch.package_download import fetch_missing  # noqa: PLC0415

        fetch_missing(missing)
    return folders
