"""Lists the releases of a package, from the registry or else from local data."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING

import msgspec
import semver

from gobun import console
from gobun.errors import FetchError
from gobun.fetch import npm
from gobun.fetch.npm_lock import read_lock
from gobun.fetch.package import check_name
from gobun.fetch.package_cache import cached_versions
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Mapping


class _KnownVersions(msgspec.Struct, frozen=True):
    versions: tuple[str, ...]
    tags: dict[str, str]


def published_versions(name: str) -> tuple[str, ...]:
    """Return the versions of a package, ascending, prereleases included.

    Without a network, return the locked or cached versions and log one line.

    Raises:
        FetchError: the registry refuses, or no version is known without it.
        PrerequisiteError: npm is missing.
        UsageError: the name is not a valid npm name.
    """
    return known_versions(name).versions


def dist_tags(name: str) -> Mapping[str, str]:
    """Return the tags of a package. Without a network, return only ``latest`` from local data.

    Raises:
        FetchError: the registry refuses, or no version is known without it.
        PrerequisiteError: npm is missing.
        UsageError: the name is not a valid npm name.
    """
    return types.MappingProxyType(known_versions(name).tags)


@functools.cache
def known_versions(name: str) -> _KnownVersions:
    """Return a package's versions and tags, with at most one query per process.

    If the registry cannot be reached, use the lock file and the cache.

    Raises:
        FetchError: the registry refuses, or no version is known without it.
        PrerequisiteError: npm is missing.
        UsageError: the name is not a valid npm name.
    """
    check_name(name)
    try:
        about = npm.package_record(name)
    except npm.UnreachableError as error:
        return _known_here(name, error)
    versions = [about.versions] if isinstance(about.versions, str) else about.versions
    valid = (version for version in versions if semver.Version.is_valid(version))
    return _KnownVersions(tuple(sorted(valid, key=rank)), about.dist_tags)


def _known_here(name: str, error: npm.UnreachableError) -> _KnownVersions:
    cached = cached_versions(name)
    known_versions = sorted({*read_lock().versions(name), *cached}, key=rank)
    if not known_versions:
        raise FetchError(
            f"{error.what}; there is no known version of {name} without it",
            hint="connect to the network once; later runs work offline",
        ) from error
    console.log(
        f"{error.what}; using the {len(known_versions)} versions of {name} that are known without "
        f"it (cached: {', '.join(cached) or 'none'})"
    )
    stable = [
        version for version in known_versions if semver.Version.parse(version).prerelease is None
    ]
    return _KnownVersions(tuple(known_versions), {"latest": stable[-1]} if stable else {})
