"""Lists the releases, modules and stresses that expectations can name."""

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
    """The names that a row can select by, for selectors without a fixed list of values."""

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
    versions = {version for package in fetch.bun_packages() for version in lock.versions(package)}
    stable = (version for version in versions if semver.Version.parse(version).prerelease is None)
    return tuple(sorted(stable, key=rank))


def known_names() -> Catalogue:
    """Return the names of the suite, and the releases that its lock files list.

    Raises:
        FetchError: a lock file is missing or malformed.
    """
    releases = {
        name: known_releases() if name == "bun" else toolchain.releases(name) for name in RUNTIMES
    }
    return Catalogue(releases, build.MODULES, tuple(read_scenario().stress))


def unmatchable_selectors(row: ExpectationRow, catalogue: Catalogue) -> list[str]:
    """Return a line for each unknown name in a row, and for a range without a known release.

    A range that names a canary is accepted unchecked, because no list here has canaries.
    """
    runtimes = () if row.runtime is None else (row.runtime,)
    lines = [
        f"{key} names the unknown {name!r}"
        for key, values, names in (
            ("runtime", runtimes, catalogue.releases),
            ("stresses", row.stresses, catalogue.stresses),
            ("modules", row.modules, catalogue.modules),
        )
        for name in values or ()
        if name not in names
    ]
    candidates = [
        version
        for runtime, versions in catalogue.releases.items()
        for version in versions
        if row.runtime in {None, runtime}
    ]
    canary = "canary" in (row.versions or "")
    if candidates and not canary and not any(map(row.selects_version, candidates)):
        lines.append(f"versions = {row.versions!r} holds no release that is known")
    return lines
