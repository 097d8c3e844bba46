"""The wheels lock file, which records the digests of each release of a Python package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from gobun import files, lockfile, paths
from gobun.errors import FetchError
from gobun.toml_config import parse_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
"""The format of pip's option ``--hash``."""

Digests = Annotated[tuple[Digest, ...], msgspec.Meta(min_length=1)]

Lock = dict[str, dict[str, Digests]]
"""For each package and each of its releases, the digests of the wheels for all platforms."""

_HEADER = """\
# Package, release, and the SHA-256 of its wheel for each platform. Entries never change, because a
# published version never changes. `invoke lock` adds the new releases.
"""


def read_lock(path: Path | None = None) -> Lock:
    """Read the lock file at ``path``, by default the repository's own.

    Raises:
        FetchError: it is missing or malformed. The message names the table and the key.
    """
    path = path or paths.WHEELS_LOCK_FILE
    text = lockfile.read_text(path)
    try:
        lock = msgspec.convert(parse_toml(text.encode()), Lock)
    except ValueError as error:  # includes msgspec's errors
        message = f"the lock file {path} is malformed: {error}"
        raise FetchError(message, hint=lockfile.REPAIR) from error
    for package, releases in lock.items():
        for version in releases:
            lockfile.check_version(version, f"{path}: [{package}]")
    return lock


def format_lock(lock: Mapping[str, Mapping[str, Digests]]) -> str:
    """Return the text of a lock file: packages by name, versions ascending."""
    tables = {
        package: {version: _digests_text(digests) for version, digests in releases.items()}
        for package, releases in lock.items()
    }
    return lockfile.render_lock(_HEADER, tables)


def _digests_text(digests: Digests) -> str:
    return "[\n" + "".join(f'  "{digest}",\n' for digest in digests) + "]"


def write_lock(lock: Mapping[str, Mapping[str, Digests]], path: Path | None = None) -> None:
    """Write the lock file atomically.

    Raises:
        PrerequisiteError: it cannot be written.
    """
    files.write_whole(path or paths.WHEELS_LOCK_FILE, format_lock(lock))
