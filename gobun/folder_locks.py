"""Marks temporary folders as owned with a lock, which the kernel releases if the owner dies.

So a folder with a free lock is left over from a killed process and can be removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def new_locked(parent: Path, prefix: str) -> tuple[Path, int]:
    """Make a folder in ``parent``; return it and the open descriptor that holds its lock.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # Until the folder is locked, another process may remove it as a left-over.
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            parent.stat()  # raises if the parent is gone too
            continue
        if _lock(fd) and _is_still(folder, fd):
            return folder, fd
        os.close(fd)


def left_over(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield this user's folders ``PREFIX...`` in ``parent`` that no process has locked.

    The generator holds the lock of each folder until the caller requests the next one.
    """
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(prefix)]
        for name in names:
            path = parent / name
            with contextlib.suppress(OSError):
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    is_ours = os.fstat(fd).st_uid == os.getuid()
                    if is_ours and _lock(fd, without_locks=False) and _is_still(path, fd):
                        yield path
                finally:
                    os.close(fd)


def _lock(fd: int, *, without_locks: bool = True) -> bool:
    """Lock a folder. If its file system has no locks, return ``without_locks``."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return without_locks and error.errno not in {errno.EWOULDBLOCK, errno.EAGAIN}
    return True


def _is_still(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except OSError:
        return False
