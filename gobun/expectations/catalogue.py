"""What there is to expect something of: releases, modules and stresses that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
import semver

from gobun import build, fetch, toolchain
from gobun.cells.scenario import read_scenario
from gobun.runtimes import RUNTIMES
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from gobun.expectations.rows import ExpectationRow


class Catalogue(msgspec.Struct, frozen=True):
    """Every name that a row can select by, where the list of them is not closed."""

    releases: Mapping[str, tuple[str, ...]]
    """The versions of each runtime."""
    modules: tuple[str, ...]
    stresses: tuple[str, ...]


def known_releases() -> tuple[str, ...]:
    """Return the stable releases of Bun that the lock file names for any platform, ascending.

    Raises:
        FetchError: the lock file is missing or malformed.
    """
    lock = fetch.read_lock()
    found = {version for package in fetch.bun_packages() for version in lock.versions(package)}
    stable = (version for version in found if semver.Version.parse(version).prerelease is None)
    return tuple(sorted(stable, key=rank))


def known_names() -> Catalogue:
    """Return what the suite has, and the releases it can name.

    Raises:
        FetchError: a lock file is missing or malformed.
    """
    releases = {
        name: known_releases() if name == "bun" else toolchain.releases(name) for name in RUNTIMES
    }
    return Catalogue(releases, build.MODULES, tuple(read_scenario().stress))


def unmatchable_selectors(row: ExpectationRow, known: Catalogue) -> list[str]:
    """Return what a row selects by that is not there, so that it matches less than it says.

    A range that names a canary is taken at its word: no list here has them.
    """
    runtimes = () if row.runtime is None else (row.runtime,)
    lines = [
        f"{key} names {name!r}, which is unknown"
        for key, given, names in (
            ("runtime", runtimes, known.releases),
            ("stresses", row.stresses, known.stresses),
            ("modules", row.modules, known.modules),
        )
        for name in given or ()
        if name not in names
    ]
    among = [
        version
        for runtime, versions in known.releases.items()
        for version in versions
        if row.runtime in {None, runtime}
    ]
    canary = "canary" in (row.versions or "")
    if among and not canary and not any(map(row.selects_version, among)):
        lines.append(f"versions = {row.versions!r} holds no release that is known")
    return lines
