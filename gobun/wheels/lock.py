"""The lock file of wheels: which bytes each release of a Python package is known to have."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated

import msgspec
import semver

from gobun import files, paths
from gobun.errors import FetchError
from gobun.ranges import rank

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
"""What pip's option ``--hash`` takes."""

Digests = Annotated[tuple[Digest, ...], msgspec.Meta(min_length=1)]

Lock = dict[str, dict[str, Digests]]
"""Package to release to the digests of its wheels, one a platform."""

_HEADER = """\
# Package, release, and the SHA-256 that its wheel must have, of each platform. An entry is never
# changed: what is published under a version stays what it was. `invoke lock` adds new releases.
"""
_REPAIR = "restore the file from the repository (git checkout), then look at who changed it"


def read_lock(path: Path | None = None) -> Lock:
    """Read the lock file; ``path`` is the repository's own unless given.

    Raises:
        FetchError: it is missing or malformed; names the table and the key.
    """
    path = path or paths.WHEELS_LOCK_FILE
    try:
        lock = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Lock)
    except OSError as error:
        raise FetchError(f"the lock file {path} is missing", hint=_REPAIR) from error
    except ValueError as error:  # TOML's, msgspec's and Unicode's are of it
        raise FetchError(f"the lock file {path} is malformed: {error}", hint=_REPAIR) from error
    for package, releases in lock.items():
        for version in releases:
            if not semver.Version.is_valid(version):
                what = f"{path}: [{package}] key {version!r} is not a version"
                raise FetchError(what, hint=_REPAIR)
    return lock


def format_lock(lock: Mapping[str, Mapping[str, Digests]]) -> str:
    """Return the text of a lock file: packages by name, versions ascending."""
    lines = [_HEADER]
    for package in sorted(lock):
        lines.append(f"[{package}]\n")
        for version in sorted(lock[package], key=rank):
            digests = "".join(f'  "{digest}",\n' for digest in lock[package][version])
            lines.append(f'"{version}" = [\n{digests}]\n')
        lines.append("\n")
    return "".join(lines).rstrip("\n") + "\n"


def write_lock(lock: Mapping[str, Mapping[str, Digests]], path: Path | None = None) -> None:
    """Write the lock file whole.

    Raises:
        PrerequisiteError: it cannot be written.
    """
    files.write_whole(path or paths.WHEELS_LOCK_FILE, format_lock(lock))
