"""Makes temporary folders that do not stay behind, even if a process is killed.

All temporary folders of one process are in one parent folder, which the process keeps locked. The
kernel releases the lock when the process dies. So a folder with a free lock has no owner. The next
process that needs a temporary folder removes it and kills the processes that still work in it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gobun import files, folder_locks, strays

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "gobun-run-"
_REMOVE_WITHIN_S = 20.0
_STRAYS_WITHIN_S = 2.0

_lock = threading.Lock()
_numbers = itertools.count(1)


class _Parent:
    """The locked folder of this process. It exists while a scratch folder is below it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.lock = folder_locks.new_locked(folder, _PREFIX)
        self.use_count = 0


_parents: dict[Path, _Parent] = {}
"""The parent folders, by the temporary folder that they are in."""


@contextlib.contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """Yield a new folder ``NAME-N``, and remove it with all its content afterwards.

    Raises:
        PrerequisiteError: the temporary folder cannot be written.
    """
    temporary = Path(tempfile.gettempdir()).absolute()
    with _used_parent(temporary) as parent:
        folder = parent / f"{name}-{next(_numbers)}"
        with files.disk_errors(folder):
            folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            _remove(folder)


@contextlib.contextmanager
def _used_parent(folder: Path) -> Iterator[Path]:
    with _lock:
        if folder not in _parents:
            with files.disk_errors(folder):
                sweep()
                _parents[folder] = _Parent(folder)
        parent = _parents[folder]
        parent.use_count += 1
    try:
        yield parent.path
    finally:
        with _lock:
            parent.use_count -= 1
            if parent.use_count == 0:
                del _parents[folder]
                _remove(parent.path)
                os.close(parent.lock)


def sweep() -> None:
    """Remove the folders of killed processes, and kill the processes that still work in them."""
    for each in folder_locks.left_over(Path(tempfile.gettempdir()), _PREFIX):
        strays.kill_marked(each, within_s=_STRAYS_WITHIN_S)
        _remove(each)


def _remove(path: Path) -> None:
    """Remove a folder of any depth and with any file modes."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)
    if not path.exists():
        return
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf", "--"]):
            subprocess.run(
                [*command, str(path)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_REMOVE_WITHIN_S,
            )
