"""Adds new releases to the lock file, and never changes existing entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun import paths
from gobun.errors import FetchError
from gobun.fetch import npm
from gobun.fetch.npm_lock import Lock, read_lock, write_lock
from gobun.fetch.package import (
    ENGINE_PACKAGE,
    HEADERS_PACKAGE,
    Package,
    bun_packages,
    check_name,
    webkit_packages,
)
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.fetch.integrity import Integrity

_BUN_RANGE = ">=1.0.0"
"""Stable releases only: a range that names no prerelease contains none."""


class LockSummary(msgspec.Struct, frozen=True):
    """The result of an update of the lock file."""

    added_packages: tuple[Package, ...]
    kept_count: int


def update_lock(names: Sequence[str] = (), *, path: Path | None = None) -> LockSummary:
    """Add the new releases of ``names`` (all locked packages unless given) to the lock file.

    For Bun's packages, these are the stable releases from 1.0.0. For Bun's WebKit, they are the
    commits that this project builds Bun with. For any other package, it is the newest release.

    Raises:
        FetchError: the registry cannot be queried, or has another digest for a locked release.
        PrerequisiteError: npm is missing, or the file cannot be written.
        UsageError: a name is not a valid npm name.
    """
    path = path or paths.LOCK_FILE
    lock = read_lock(path) if path.exists() else Lock({})
    entries = dict(lock.entries)
    webkits = {package.name: package.version for package in webkit_packages()}
    for name in names or (*bun_packages(), *webkits, HEADERS_PACKAGE, ENGINE_PACKAGE):
        check_name(name)
        version_range = _BUN_RANGE if name in bun_packages() else webkits.get(name, "latest")
        entries |= _check_published(lock, _published_integrities(name, version_range))
    added_packages = sorted(
        entries.keys() - lock.entries.keys(),
        key=lambda package: (package.name, rank(package.version)),
    )
    if added_packages:
        write_lock(entries, path)
    return LockSummary(tuple(added_packages), len(lock.entries))


def _published_integrities(name: str, version_range: str) -> dict[Package, Integrity]:
    releases = npm.releases_in_range(name, version_range)
    if not releases:
        raise FetchError(
            f"the registry has no release of {name} {version_range}",
            hint="check `npm config get registry`: a mirror may hold only some packages",
        )
    return {package: release.integrity for package, release in releases.items()}


def _check_published(lock: Lock, published: dict[Package, Integrity]) -> dict[Package, Integrity]:
    for package, digest in published.items():
        expected = lock.entries.get(package, digest)
        if expected != digest:
            raise FetchError(
                f"the registry now has another digest for {package}; nothing was written:\n"
                f"  expected (lock file): {expected}\n"
                f"  found (registry):     {digest}",
                hint="a published release does not change: find out why before going on",
            )
    return published
