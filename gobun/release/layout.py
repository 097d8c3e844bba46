"""The layout of a release: the names of its files, and the records in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from gobun.build import ManifestEntry
from gobun.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MANIFEST = "manifest.json"
SBOM = "sbom.cdx.json"
PROVENANCE = "provenance.json"
NOTES = "RELEASE_NOTES.md"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Checksums of earlier releases prefix names with `./`, and `*` marks binary mode.
_SUM_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?:\./)?(?P<name>[^/]+)")
_T = TypeVar("_T")


class ReleaseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a release."""

    name: str
    size: int
    """Bytes."""
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest of a release."""

    version: str
    names: tuple[str, ...]
    """The prefixes of its libraries' file names."""
    libraries: tuple[ManifestEntry, ...]
    files: tuple[ReleaseFile, ...]
    """All files except this one and the provenance, which lists this one."""


def read_sums(text: str, label: str) -> dict[str, str]:
    """Return the digest of each file in a list of checksums.

    Raises:
        FetchError: a line is not in the format of ``sha256sum``, or two lines disagree.
    """
    digests: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _SUM_LINE.fullmatch(line)
        if match is None or not _NAME.fullmatch(match["name"]):
            raise FetchError(
                f"{label}, line {number} is not a checksum and a file name: {line[:100]!r}",
                hint="check the address; it may be a login page",
            )
        if digests.setdefault(match["name"], match["digest"]) != match["digest"]:
            raise FetchError(
                f"{label} has two checksums of {match['name']}",
                hint="fetch the file of checksums again; somebody changed it",
            )
    return digests


def read_json(data: bytes, kind: type[_T], label: str) -> _T:
    """Decode a record of a release.

    Raises:
        FetchError: the record is malformed.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:
        raise FetchError(
            f"{label} has an unknown form: {error}",
            hint="it is damaged, or belongs to another release of this project",
        ) from error


def check_names(names: Iterable[str]) -> None:
    """Reject names that lead out of a release's folder.

    Raises:
        FetchError: a name leads out of it.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise FetchError(
                f"{MANIFEST} names {name!r}, which is not the name of a file",
                hint="fetch the release again; somebody changed its manifest",
            )


def files_below(folder: Path) -> list[str]:
    """Return the names of the files and folders in a release's folder."""
    return sorted(path.name for path in folder.iterdir())
