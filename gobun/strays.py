"""Kills stray processes of a cell, which it finds by the cell's private folder.

The supervisor finds its descendants by their parents, and a control group contains all of its
processes. Strays remain if the supervisor was killed and there is no control group, or if the
harness and its supervisors died together.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from gobun.guarded_read import read_memory_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_ENVIRONMENT = 1 << 20
"""Number of bytes of a process's environment that are searched."""
_PAUSE_S = 0.005


def kill_marked(folder: Path, *, within_s: float) -> int:
    """Kill every process that has ``folder`` in its environment or works below it.

    It stops all of them before it kills any, because a stopped process starts no others. It
    returns the number of killed processes, after ``within_s`` seconds at the latest. Outside Linux
    it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return 0
    deadline = time.monotonic() + within_s
    killed: set[int] = set()
    while time.monotonic() < deadline:
        pids = set(_marked_processes(folder))
        if not pids:
            break
        for number in (signal.SIGSTOP, signal.SIGKILL) if pids - killed else (signal.SIGKILL,):
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        killed |= pids
        time.sleep(_PAUSE_S)
    return len(killed)


def _marked_processes(folder: Path) -> Iterator[int]:
    mark = os.fsencode(folder)
    for name in os.listdir("/proc"):  # noqa: PTH208 - thousands of entries, by their names alone
        if name.isdigit() and int(name) != os.getpid() and _is_marked(int(name), mark):
            yield int(name)


def _is_marked(pid: int, mark: bytes) -> bool:
    process = f"/proc/{pid}"
    try:
        with open(f"{process}/stat", "rb") as stream:  # noqa: PTH123 - as above
            if stream.read().rpartition(b")")[2].split()[0] in {b"Z", b"X"}:
                return False
        if _names(read_memory_file(pid, "environ", _MOST_ENVIRONMENT), mark):
            return True
        where = os.readlink(os.fsencode(f"{process}/cwd"))  # noqa: PTH115 - bytes, whatever they are
    except (OSError, IndexError):
        return False
    return where == mark or where.startswith(mark + b"/")


def _names(environment: bytes, mark: bytes) -> bool:
    """Return whether a variable is the folder, or a path below it."""
    for variable in environment.split(b"\0"):
        value = variable.partition(b"=")[2]
        if value == mark or value.startswith(mark + b"/"):
            return True
    return False
