"""The lock file: which bytes each release of a package is known to have."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import msgspec
import semver

from gobun import files, paths
from gobun.errors import FetchError
from gobun.fetch import integrity
from gobun.fetch.integrity import Integrity
from gobun.fetch.names import Package, is_name
from gobun.ranges import rank

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_HEADER = """\
# Package, release, and the SHA-512 its archive must have. An entry is never changed: what is
# published under a version stays what it was. `invoke lock` adds the new releases.
"""
_REPAIR = "restore the file from the repository (git checkout), then look at who changed it"


class Lock(msgspec.Struct, frozen=True):
    """The lock file's content, checked."""

    entries: dict[Package, Integrity]

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the locked versions of a package, ascending."""
        found = (package.version for package in self.entries if package.name == name)
        return tuple(sorted(found, key=rank))


def read_lock(path: Path | None = None) -> Lock:
    """Read the lock file; ``path`` is the repository's own unless given.

    Raises:
        FetchError: it is missing or malformed; names the table and the key.
    """
    path = path or paths.LOCK_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FetchError(f"the lock file {path} is missing", hint=_REPAIR) from error
    except UnicodeDecodeError as error:
        raise FetchError(f"the lock file {path} is not UTF-8", hint=_REPAIR) from error
    return parse_lock(text, str(path))


def parse_lock(text: str, where: str) -> Lock:
    """Read the text of a lock file; ``where`` names it in errors.

    Raises:
        FetchError: it is malformed; names the table and the key.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FetchError(f"{where} is not TOML: {error}", hint=_REPAIR) from error
    entries: dict[Package, Integrity] = {}
    for name, table in tables.items():
        if not is_name(name):
            raise FetchError(f"{where}: [{name!r}] is not a package name", hint=_REPAIR)
        if not isinstance(table, dict):
            raise FetchError(f"{where}: {name!r} must be a table, not a value", hint=_REPAIR)
        for version, value in table.items():
            entries[Package(name, version)] = _entry(version, value, f"{where}: [{name!r}]")
    return Lock(entries)


def _entry(version: str, value: object, where: str) -> Integrity:
    if not semver.Version.is_valid(version):
        raise FetchError(f"{where} key {version!r} is not a version", hint=_REPAIR)
    if not isinstance(value, str):
        raise FetchError(f"{where} key {version!r} must be a string", hint=_REPAIR)
    try:
        return integrity.parse(value)
    except ValueError as error:
        raise FetchError(f"{where} key {version!r} {error}", hint=_REPAIR) from error


def format_lock(entries: Mapping[Package, Integrity]) -> str:
    """Return the text of a lock file: packages by name, versions ascending."""
    lines = [_HEADER]
    for name in sorted({package.name for package in entries}):
        lines.append(f'["{name}"]\n')
        known = [package for package in entries if package.name == name]
        known.sort(key=lambda package: rank(package.version))
        lines += [f'"{package.version}" = "{entries[package]}"\n' for package in known]
        lines.append("\n")
    return "".join(lines).rstrip("\n") + "\n"


def write_lock(entries: Mapping[Package, Integrity], path: Path | None = None) -> None:
    """Write the lock file whole.

    Raises:
        PrerequisiteError: it cannot be written.
    """
    files.write_whole(path or paths.LOCK_FILE, format_lock(entries))
