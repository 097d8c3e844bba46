"""The npm lock file, which records the digest of each release of a package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun import files, lockfile, paths
from gobun.errors import FetchError
from gobun.fetch import integrity
from gobun.fetch.integrity import Integrity
from gobun.fetch.package import Package, is_name
from gobun.lockfile import REPAIR
from gobun.toml_config import parse_toml
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_HEADER = """\
# Package, release, and the SHA-512 of its archive. Entries never change, because a published
# version never changes. `invoke lock` adds the new releases.
"""


class Lock(msgspec.Struct, frozen=True):
    """The validated content of the lock file."""

    entries: dict[Package, Integrity]

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the locked versions of a package, ascending."""
        versions = (package.version for package in self.entries if package.name == name)
        return tuple(sorted(versions, key=rank))


def read_lock(path: Path | None = None) -> Lock:
    """Read the lock file at ``path``, by default the repository's own.

    Raises:
        FetchError: it is missing or malformed. The message names the table and the key.
    """
    path = path or paths.LOCK_FILE
    return parse_lock(lockfile.read_text(path), str(path))


def parse_lock(text: str, label: str) -> Lock:
    """Parse the text of a lock file. Errors call it ``label``.

    Raises:
        FetchError: it is malformed. The message names the table and the key.
    """
    try:
        tables = parse_toml(text.encode())
    except ValueError as error:
        raise FetchError(f"{label} is not TOML: {error}", hint=REPAIR) from error
    entries: dict[Package, Integrity] = {}
    for name, table in tables.items():
        if not is_name(name):
            raise FetchError(f"{label}: [{name!r}] is not a package name", hint=REPAIR)
        if not isinstance(table, dict):
            raise FetchError(f"{label}: {name!r} must be a table, not a value", hint=REPAIR)
        for version, value in table.items():
            entries[Package(name, version)] = _entry(version, value, f"{label}: [{name!r}]")
    return Lock(entries)


def _entry(version: str, value: object, label: str) -> Integrity:
    lockfile.check_version(version, label)
    if not isinstance(value, str):
        raise FetchError(f"{label} key {version!r} must be a string", hint=REPAIR)
    try:
        return integrity.parse(value)
    except ValueError as error:
        raise FetchError(f"{label} key {version!r} {error}", hint=REPAIR) from error


def format_lock(entries: Mapping[Package, Integrity]) -> str:
    """Return the text of a lock file: packages by name, versions ascending."""
    tables: dict[str, dict[str, str]] = {}
    for package, digest in entries.items():
        tables.setdefault(f'"{package.name}"', {})[package.version] = f'"{digest}"'
    return lockfile.render_lock(_HEADER, tables)


def write_lock(entries: Mapping[Package, Integrity], path: Path | None = None) -> None:
    """Write the lock file atomically.

    Raises:
        PrerequisiteError: it cannot be written.
    """
    files.write_whole(path or paths.LOCK_FILE, format_lock(entries))
