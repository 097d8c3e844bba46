"""Puts built libraries into a folder with checksums and a manifest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from gobun import files
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gobun.build.library import BuiltLibrary

SUMS = {"linux": "SHA256SUMS", "darwin": "SHA256SUMS-darwin"}
"""The checksum file of each system. The download scripts of older packages read one of them."""

_MANIFEST = "manifest.json"
_SUM_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)")


class ManifestEntry(msgspec.Struct, frozen=True):
    """The entry of one library in a manifest."""

    file: str
    header: str
    """Empty if it has none."""
    target: str
    size: int
    """Bytes."""
    sha256: str
    go: str
    """Empty if it contains no Go."""
    zig: str
    zig_target: str
    flags: tuple[str, ...]


def publish(built: Sequence[BuiltLibrary], out: Path) -> list[ManifestEntry]:
    """Copy libraries and headers to ``out``, and update the checksums and the manifest.

    Entries of other libraries stay if their files still exist.

    Raises:
        PrerequisiteError: ``out`` cannot be written.
    """
    entries = place(built, out)
    for system, name in SUMS.items():
        sums = {
            entry.file: entry.sha256
            for entry, library in zip(entries, built, strict=True)
            if library.target.os == system
        }
        other_entries = {
            file: digest
            for file, digest in _read_sums(out / name).items()
            if (out / file).is_file()
        }
        merged = other_entries | sums
        if merged:
            _write_changed(out / name, sums_text(merged))
        else:  # `sha256sum -c` rejects an empty list, and a list of missing files
            with files.disk_errors(out / name):
                (out / name).unlink(missing_ok=True)
    merged_entries = {
        entry.file: entry for entry in _read_manifest(out) if (out / entry.file).is_file()
    }
    merged_entries |= {entry.file: entry for entry in entries}
    listed = [merged_entries[file] for file in sorted(merged_entries)]
    _write_changed(out / _MANIFEST, files.readable_json({"libraries": listed}).decode())
    return entries


def place(built: Sequence[BuiltLibrary], out: Path) -> list[ManifestEntry]:
    """Copy libraries and headers to ``out``, without checksums and manifest.

    Raises:
        PrerequisiteError: ``out`` cannot be written.
    """
    return [_place(library, out) for library in built]


def sums_text(digests: Mapping[str, str]) -> str:
    """Return digests by file name in the form of ``sha256sum``."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def _place(built: BuiltLibrary, out: Path) -> ManifestEntry:
    digest = files.sha256_of(built.library)
    for source in filter(None, (built.library, built.header)):
        placed = out / source.name
        if not (placed.is_file() and files.sha256_of(placed) == files.sha256_of(source)):
            files.copy_whole(source, placed)
    return ManifestEntry(
        file=built.library.name,
        header=built.header.name if built.header else "",
        target=built.target.name,
        size=built.library.stat().st_size,
        sha256=digest,
        go=built.go_version,
        zig=built.zig_version,
        zig_target=built.target.zig_triple,
        flags=built.flags,
    )


def _read_sums(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = files.read_input(path).decode(errors="replace").splitlines()
    matches = (_SUM_LINE.fullmatch(line) for line in lines)
    return {match["name"]: match["digest"] for match in matches if match}


class _ManifestFile(msgspec.Struct):
    libraries: list[ManifestEntry]


def _read_manifest(out: Path) -> list[ManifestEntry]:
    try:
        return msgspec.json.decode(files.read_input(out / _MANIFEST), type=_ManifestFile).libraries
    except (UsageError, ValueError, RecursionError):
        return []  # Start over. A manifest only repeats facts about the libraries.


def _write_changed(path: Path, text: str) -> None:
    if not (path.is_file() and path.read_bytes() == text.encode()):
        files.write_whole(path, text)
