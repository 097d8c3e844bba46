"""Writes files atomically: to a temporary sibling that is flushed to disk and then renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

import filelock
import msgspec

from gobun import folder_locks, paths
from gobun.errors import PrerequisiteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 1 << 20
_LARGEST_INPUT = 64 << 20
_DISK_ERRNOS = {
    errno.ENOSPC: "no space is left on its disk",
    errno.EFBIG: "files may not grow that large here",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "its file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.ENOTDIR: "part of the path is a file, not a folder",
    errno.ENOENT: "a folder on the way to it is not there, and cannot be made",
    errno.ELOOP: "links on the way to it lead in a circle",
    errno.EEXIST: "a file is in the way",
    errno.EISDIR: "a folder is in the way",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EIO: "its disk reports an error",
}


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a disk error into an error with the path and a hint.

    Raises:
        PrerequisiteError: ``path`` cannot be written (full, read-only, not allowed).
    """
    try:
        yield
    except OSError as error:
        reason = _DISK_ERRNOS.get(error.errno or 0)
        if reason is None:
            raise
        raise PrerequisiteError(
            f"cannot write {path}: {reason}",
            hint="free space, or choose another folder (--out, or GOBUN_CACHE for the cache)",
        ) from error


@contextlib.contextmanager
def temporary_sibling(path: Path) -> Iterator[Path]:
    """Yield a fresh folder next to ``path``, on the same file system, and remove it afterwards.

    First remove the folders that a killed process left for the same ``path``. The yielded path is
    absolute, so a tool with another working folder finds it.

    Raises:
        PrerequisiteError: the folder cannot be made.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        parent = path.parent.absolute()
        for stale in folder_locks.left_over(parent, f".{path.name}."):
            shutil.rmtree(stale, ignore_errors=True)
        folder, lock = folder_locks.new_locked(parent, f".{path.name}.")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def read_input(
    path: Path, *, most: int = _LARGEST_INPUT, hint: str = "give the path of a regular file"
) -> bytes:
    """Read a file that a person or another program names, at most ``most`` bytes of it.

    A pipe or a device would block or never end, so only regular files are read. ``hint`` is the
    next step if the file is missing or is not a regular file.

    Raises:
        UsageError: it is missing, not a regular file, larger than ``most``, or unreadable.
    """
    try:
        # Opening a pipe without O_NONBLOCK waits for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:  # noqa: PTH123 - a descriptor
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                name, kind = paths.display_path(path), _kind(about.st_mode)
                raise UsageError(f"cannot read {name}: it is {kind}, not a file", hint=hint)
            data = stream.read(most + 1)
    except (OSError, ValueError) as error:  # a name with a NUL byte is a ValueError
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {paths.display_path(path)}: {reason}", hint=hint) from error
    if len(data) > most:
        message = f"cannot read {paths.display_path(path)}: it is larger than {most >> 20} MiB"
        raise UsageError(message, hint=hint)
    return data


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def path_below(root: Path, name: str) -> Path | None:
    """Return the path of ``name`` below ``root``, or None if ``name`` or a link leads out of it."""
    path = root / name
    try:
        is_inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # a NUL byte, or links in a circle
        return None
    return path if is_inside and ".." not in path.parts[len(root.parts) :] else None


def write_whole(path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one.

    Raises:
        PrerequisiteError: ``path`` cannot be written.
    """
    payload = data.encode() if isinstance(data, str) else data
    with temporary_sibling(path) as folder, disk_errors(path):
        staged = folder / path.name
        with staged.open("wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        staged.chmod(mode)
        staged.replace(path)


def readable_json(record: object) -> bytes:
    """Return a record as indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def copy_whole(source: Path, path: Path) -> None:
    """Copy ``source`` with its mode to ``path``, whole or not at all.

    Raises:
        PrerequisiteError: ``path`` cannot be written.
    """
    with temporary_sibling(path) as folder, disk_errors(path):
        staged = folder / path.name
        copy_filled(source, staged)
        staged.chmod(source.stat().st_mode & 0o777)
        staged.replace(path)


def copy_filled(source: Path, path: Path, *, most: int | None = None) -> int:
    """Copy a sparse file without filling its holes, and return the number of bytes of data.

    A core file can have a size of gigabytes, and hold a few megabytes of data.

    Raises:
        OSError: it holds more than ``most`` bytes of data, or ``path`` cannot be written.
    """
    copied = 0
    with source.open("rb") as reader, path.open("wb") as writer:
        length = reader.seek(0, os.SEEK_END)
        for begin, end in _data_ranges(reader.fileno(), length):
            copied += end - begin
            if most is not None and copied > most:
                raise OSError(errno.EFBIG, f"{source.name} holds more than {most:,} bytes")
            reader.seek(begin)
            writer.seek(begin)
            remaining = end - begin
            while remaining and (data := reader.read(min(remaining, _CHUNK))):
                writer.write(data)
                remaining -= len(data)
        writer.truncate(length)
        writer.flush()
        os.fsync(writer.fileno())
    return copied


def _data_ranges(fd: int, length: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at < length:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # a file system without holes
                yield at, length
            return
        at = os.lseek(fd, begin, os.SEEK_HOLE)
        yield begin, at


def publish_folder(staged: Path, path: Path) -> None:
    """Move a finished folder to ``path``. The first of several writers wins.

    Raises:
        PrerequisiteError: ``path`` cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.rename(path)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock that guards ``path`` among all processes of this user.

    Raises:
        PrerequisiteError: the lock file cannot be made.
        filelock.Timeout: another process holds it, and ``wait`` is false.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(path.name + ".lock"))
        lock.acquire(blocking=wait)
    try:
        yield
    finally:
        lock.release()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
