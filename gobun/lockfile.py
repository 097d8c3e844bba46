"""The shared format of lock files: TOML tables of packages with the digest of each release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import semver

from gobun.errors import FetchError
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REPAIR = "restore the file from the repository (git checkout), then find out who changed it"


def read_text(path: Path) -> str:
    """Return the text of a lock file.

    Raises:
        FetchError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"cannot read the lock file {path}: {error.strerror}"
        raise FetchError(message, hint=REPAIR) from error
    except UnicodeDecodeError as error:
        raise FetchError(f"the lock file {path} is not UTF-8", hint=REPAIR) from error


def check_version(version: str, table: str) -> None:
    """Reject a key of the table ``table`` that is not a version.

    Raises:
        FetchError: ``version`` is not valid in semver.
    """
    if not semver.Version.is_valid(version):
        raise FetchError(f"{table} key {version!r} is not a version", hint=REPAIR)


def render_lock(header: str, tables: Mapping[str, Mapping[str, str]]) -> str:
    """Return a lock file with sorted tables and versions. The values in ``tables`` are TOML."""
    lines = [header]
    for name in sorted(tables):
        lines.append(f"[{name}]\n")
        versions = sorted(tables[name], key=rank)
        lines += [f'"{version}" = {tables[name][version]}\n' for version in versions]
        lines.append("\n")
    return "".join(lines).rstrip("\n") + "\n"
