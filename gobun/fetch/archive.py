"""Opens an npm archive: plain files and folders below ``package/``, and nothing else."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gobun import files
from gobun.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ROOT = "package"
LARGEST_BYTES = 1 << 30
MOST_MEMBERS = 20_000
_FILES = {tarfile.REGTYPE, tarfile.AREGTYPE}
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


def unpack(archive: Path, folder: Path, label: str) -> None:
    """Unpack the inside of ``package/`` into the empty ``folder``; ``label`` is for messages.

    Raises:
        FetchError: the archive is damaged, or holds what a package must not.
        PrerequisiteError: the disk refused.
    """
    try:
        with tarfile.open(archive, "r:gz") as opened:
            for member, path in _checked(opened, label):
                _write(opened, member, folder / path)
    # BadGzipFile is an OSError without a number, so the disk's own errors pass.
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FetchError(
            f"the archive of {label} is damaged: {error}", hint="run the same command again"
        ) from error


def _checked(
    opened: tarfile.TarFile, label: str
) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Yield the members, each with its path below the root, refusing the first bad one."""
    plain: set[PurePosixPath] = set()
    folders = {PurePosixPath()}
    total = 0
    for count, member in enumerate(opened, start=1):
        path = _path(member, label)
        if member.type not in _FILES and not member.isdir():
            raise _refused(label, member, _KINDS.get(member.type, "neither a file nor a folder"))
        above = path.parents
        if path in plain or not plain.isdisjoint(above) or (path in folders and member.isfile()):
            raise _refused(label, member, "in the place of another file")
        total += max(member.size, 0)
        if total > LARGEST_BYTES or count > MOST_MEMBERS:
            raise _refused(label, member, f"beyond {LARGEST_BYTES >> 20} MiB or too many files")
        folders.update(above, [path] if member.isdir() else [])
        plain.update([] if member.isdir() else [path])
        yield member, path


def _path(member: tarfile.TarInfo, label: str) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if path.is_absolute():
        raise _refused(label, member, "an absolute path")
    if ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise _refused(label, member, "a path that leads outside")
    if not path.parts or path.parts[0] != _ROOT:
        raise _refused(label, member, f"outside of {_ROOT}/")
    return PurePosixPath(*path.parts[1:])


def _refused(label: str, member: tarfile.TarInfo, why: str) -> FetchError:
    return FetchError(
        f"the archive of {label} is refused: {member.name!r} is {why}",
        hint="nothing of it was kept; do not use this release, and tell who publishes it",
    )


def _write(opened: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    with files.disk_errors(path):
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        source = opened.extractfile(member)
        if source is None:  # only for what _checked refuses
            raise tarfile.ReadError(f"{member.name} has no content")
        with source, path.open("xb") as stream:
            shutil.copyfileobj(source, stream)
            stream.flush()
            os.fsync(stream.fileno())
        path.chmod(0o755 if member.mode & 0o100 else 0o644)
