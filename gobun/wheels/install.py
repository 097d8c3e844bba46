"""Installs one release of a Python package into the cache with pip, and checks the lock file."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from gobun import cache, files, paths
from gobun.errors import FetchError, PrerequisiteError, UsageError
from gobun.process import ToolTimeoutError, run_tool
from gobun.wheels.wheels_lock import read_lock

_TIMEOUT_S = 1800.0


class WheelRequest(msgspec.Struct, frozen=True):
    """A release of a package, and its place in the cache."""

    package: str
    version: str
    kind: str
    """The cache folder that contains it."""
    program: Path
    """The needed file, relative to ``folder``."""
    display_name: str
    """The package's name in messages."""
    failure_hint: str = ""
    """Text to add to the hint if it cannot be installed."""
    platforms: tuple[str, ...] = ()
    """Platform tags of acceptable wheels. Empty means this machine's own."""

    @property
    def folder(self) -> Path:
        """Its folder in the cache."""
        return paths.cache_root() / self.kind / self.version


def is_installed(request: WheelRequest) -> bool:
    """Return whether the cache has the program of a release."""
    return (request.folder / request.program).is_file()


def installed(request: WheelRequest) -> Path:
    """Return the program of a release, and install it if it is missing.

    A release in the lock file must match its digest there.

    Raises:
        PrerequisiteError: pip is missing, or a write to the disk fails.
        UsageError: there is no such release.
        FetchError: it could not be installed, or does not match the lock file.
    """
    folder = request.folder
    program = folder / request.program
    cache.pin(folder)
    with files.locked(folder):
        if not program.is_file():
            _install(request, folder)
            if not program.is_file():
                message = f"{request.package} {request.version} has no {request.program}"
                raise FetchError(message, hint=f"remove {folder}")
    return program


def _install(release: WheelRequest, folder: Path) -> None:
    requirement = f"{release.package}=={release.version}"
    digests = read_lock().get(release.package, {}).get(release.version, ())
    with files.temporary_sibling(folder) as staged:
        listed = staged / "wanted.txt"
        files.write_whole(listed, " ".join([requirement, *(f"--hash={each}" for each in digests)]))
        command: list[str | Path] = [sys.executable, "-m", "pip", "install", "--quiet"]
        command += ["--no-deps"]
        strict = ["--require-hashes"] if digests else []
        command += [word for tag in release.platforms for word in ("--platform", tag)]
        command += ["--only-binary=:all:", *strict, "--target"]
        command += [staged / "it", "--requirement", listed]
        try:
            completed = run_tool(command, timeout_s=_TIMEOUT_S)
        except ToolTimeoutError as error:
            raise FetchError(
                f"pip did not install {requirement} within {_TIMEOUT_S / 60:.0f} minutes",
                hint="check the network and pip's configuration",
            ) from error
        if completed.code == 0:
            files.publish_folder(staged / "it", folder)
            return
    if "No module named pip" in completed.err:
        raise PrerequisiteError(
            f"pip is missing, and {requirement} needs it",
            hint=f"{sys.executable} -m ensurepip{release.failure_hint}",
        )
    if "DO NOT MATCH THE HASHES" in completed.err:
        raise FetchError(
            f"{requirement} is not what {paths.WHEELS_LOCK_FILE.name} names:\n{completed.tail}",
            hint="find out where these bytes come from; a published release never changes",
        )
    if "No matching distribution" in completed.err:
        listing = [line for line in completed.err.splitlines() if "from versions:" in line]
        known_versions = (
            listing[0].partition("from versions:")[2].strip(" )").split(", ") if listing else []
        )
        if known_versions and known_versions != ["none"]:
            raise UsageError.unknown(
                f"{release.display_name} release", release.version, known_versions
            )
    raise FetchError(
        f"pip could not install {requirement}:\n{completed.tail}",
        hint=f"check the network and pip's configuration{release.failure_hint}",
    )
