"""Opens and reads files that a process has mapped, safely even if the process is hostile.

A process chooses the paths and files in its ``/proc`` folder, and root examines the processes of
other users. So only regular files are opened for reading: a named pipe would block, and opening a
device may have side effects. Nothing is mapped into our memory, because the file's owner may
truncate the file, and a read would then kill us. If another user owns the process, files on FUSE
are skipped, because that user's program would answer each read, or never answer.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gobun.observe.proc_files import read_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gobun.observe.memory import Mapping

CHUNK_BYTES = 4 << 20
_LAST_OPTIONAL = "-"


def open_mapped(pid: int, mapping: Mapping) -> int | None:
    """Open the file of a mapping for reading and return its descriptor, which the caller closes.

    Uses ``map_files``, which needs a privilege (see proc(5)), else the path that the process sees.
    Returns None if neither leads to a regular file with the inode of the mapping.
    """
    names = [f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"]
    names += [] if mapping.is_deleted else [f"/proc/{pid}/root{mapping.raw_path or mapping.path}"]
    for name in names:
        if (handle := _open_regular(pid, name, mapping.inode)) is not None:
            return handle
    return None


def open_program(pid: int) -> int | None:
    """Open the executable of a process as ``open_mapped`` opens a file; None if that fails."""
    return _open_regular(pid, f"/proc/{pid}/exe", None)


def chunks(handle: int, most: int, overlap: int) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the bytes of each chunk of a file, at most ``most`` bytes in all.

    Each chunk begins with the last ``overlap`` bytes of the one before.

    Raises:
        OSError: the file cannot be read.
    """
    at, previous_end = 0, b""
    while at < most and (data := os.pread(handle, min(CHUNK_BYTES, most - at), at)):
        yield at - len(previous_end), previous_end + data
        at += len(data)
        previous_end = (previous_end + data)[-overlap:]


def _open_regular(pid: int, name: str, inode: int | None) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        handle = os.open(name, os.O_PATH | os.O_CLOEXEC)  # O_PATH does not open the file itself
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or inode not in {None, status.st_ino}:
                return None
            if _is_strangers(pid) and _is_fuse(pid, status.st_dev):
                return None
            return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(handle)
    return None


def _is_strangers(pid: int) -> bool:
    return Path(f"/proc/{pid}").stat().st_uid != os.geteuid()


def _is_fuse(pid: int, device: int) -> bool:
    number = f"{os.major(device)}:{os.minor(device)}"
    for where in ("self", str(pid)):
        for line in read_lines(Path(f"/proc/{where}/mountinfo")):
            words = line.split(" ")
            if len(words) > 2 and words[2] == number and _LAST_OPTIONAL in words:
                kind = words[words.index(_LAST_OPTIONAL) + 1 :][:1]
                if kind and kind[0].startswith("fuse"):
                    return True
    return False
