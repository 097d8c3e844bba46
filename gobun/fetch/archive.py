"""Unpacks an npm archive, which may only contain plain files and folders below ``package/``."""

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
HEADERS_BYTES = 64 << 20
_LARGEST_RATIO = 200
"""Largest ratio of unpacked to packed size. Bun's packages have a ratio of three."""
_LARGEST_READ = 1 << 20
"""Largest single read. Headers are read whole, and content in smaller pieces."""
_LONGEST_NAME = 255
_LONGEST_PATH = 1024
_SYNCED_ONE_BY_ONE = 64
"""Above this number of files, one flush of the whole system is cheaper."""
_DAMAGE_ERRORS = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    ValueError,
    OverflowError,
)
"""Exceptions from bytes that are not an archive. BadGzipFile is the only OSError here, because the
others are errors of the disk."""
_FILES = {tarfile.REGTYPE, tarfile.AREGTYPE}
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


def unpack(archive: Path, folder: Path, label: str) -> None:
    """Unpack the content of ``package/`` into the empty ``folder``. Messages use ``label``.

    Memory use is bounded for every archive.

    Raises:
        FetchError: the archive is damaged, or has a member that is not allowed.
        PrerequisiteError: a write to the disk failed.
    """
    paths: list[Path] = []
    try:
        with (
            gzip.open(archive) as stream,
            tarfile.open(  # type: ignore[call-overload]  # tarfile calls only read, seek, tell
                fileobj=_ForwardStream(stream, _largest_unpacked(archive), label), mode="r:"
            ) as opened,
        ):
            for member, path in _checked_members(opened, label):
                if member.isfile():
                    paths.append(folder / path)
                _write(opened, member, folder / path)
    except _DAMAGE_ERRORS as error:
        raise FetchError(
            f"the archive of {label} is damaged: {error}", hint="run the same command again"
        ) from error
    _flush(paths)


def _largest_unpacked(archive: Path) -> int:
    """Return the largest unpacked size in bytes of an archive of this size, with headers."""
    ratio = archive.stat().st_size * _LARGEST_RATIO
    return min(LARGEST_BYTES, ratio) + HEADERS_BYTES


class _ForwardStream:
    """A stream for ``tarfile`` that goes back by at most one byte, and ends at a size limit.

    Tarfile steps back by one byte before it reads a header. A gzip stream would then decompress
    from the start again, which takes minutes with many small members. So this stream keeps the last
    byte. Tarfile also reads a header of any announced size at once, so this stream rejects a read
    of more than 1 MiB.
    """

    def __init__(self, stream: gzip.GzipFile, largest: int, label: str) -> None:
        self._stream = stream
        self._largest_bytes = largest
        self._label = label
        self._at = 0
        self._read_before = b""
        self._back = False

    def tell(self) -> int:
        """Return the position."""
        return self._at - self._back

    def seek(self, position: int) -> int:
        """Seek to a position that is not before the last byte."""
        self._back = False
        if position == self._at - 1 and self._read_before:
            self._back = True
        elif position < self._at:
            raise tarfile.ReadError("a member lies before one that was read already")
        while self._at < position:
            if not self.read(min(position - self._at, _LARGEST_READ)):
                break
        return self.tell()

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes."""
        if size > _LARGEST_READ:
            raise _refusal(self._label, f"a header of {size:,} bytes")
        before = self._read_before if self._back and size else b""
        self._back = False
        data = self._stream.read(size - len(before))
        self._at += len(data)
        if self._at > self._largest_bytes:
            raise _refusal(self._label, f"it unpacks to more than {self._largest_bytes >> 20} MiB")
        self._read_before = data[-1:] or self._read_before
        return before + data


def _checked_members(
    archive: tarfile.TarFile, label: str
) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Yield the members with their paths below the root, and reject the first bad one."""
    file_paths: set[PurePosixPath] = set()
    folders = {PurePosixPath()}
    total = 0
    for count, member in enumerate(archive, start=1):
        path = _path(member, label)
        if member.type not in _FILES and not member.isdir():
            raise _refuse_member(
                label, member, _KINDS.get(member.type, "neither a file nor a folder")
            )
        parents = path.parents
        if (
            path in file_paths
            or not file_paths.isdisjoint(parents)
            or (path in folders and member.isfile())
        ):
            raise _refuse_member(label, member, "in the place of another file")
        total += max(member.size, 0)
        if total > LARGEST_BYTES or count > MOST_MEMBERS:
            raise _refuse_member(
                label, member, f"beyond {LARGEST_BYTES >> 20} MiB or too many files"
            )
        folders.update(parents, [path] if member.isdir() else [])
        file_paths.update([] if member.isdir() else [path])
        yield member, path


def _path(member: tarfile.TarInfo, label: str) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if path.is_absolute():
        raise _refuse_member(label, member, "an absolute path")
    if ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise _refuse_member(label, member, "a path that leads outside")
    if not path.parts or path.parts[0] != _ROOT:
        raise _refuse_member(label, member, f"outside of {_ROOT}/")
    longest = max(len(os.fsencode(part)) for part in path.parts)
    if longest > _LONGEST_NAME or len(os.fsencode(path)) > _LONGEST_PATH:
        raise _refuse_member(label, member, "a name longer than file systems take")
    return PurePosixPath(*path.parts[1:])


def _refuse_member(label: str, member: tarfile.TarInfo, reason: str) -> FetchError:
    return _refusal(label, f"{member.name[:200]!r} is {reason}")


def _refusal(label: str, reason: str) -> FetchError:
    return FetchError(
        f"the archive of {label} is refused: {reason}",
        hint="nothing was kept; do not use this release, and tell its publisher",
    )


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    with files.disk_errors(path):
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        source = archive.extractfile(member)
        if source is None:  # only for members that _checked_members rejects
            raise tarfile.ReadError(f"{member.name} has no content")
        with source, path.open("xb") as stream:
            shutil.copyfileobj(source, stream)
        path.chmod(0o755 if member.mode & 0o100 else 0o644)


def _flush(paths: list[Path]) -> None:
    if len(paths) > _SYNCED_ONE_BY_ONE:
        os.sync()
        return
    for path in paths:
        with files.disk_errors(path), path.open("rb+") as stream:
            os.fsync(stream.fileno())
