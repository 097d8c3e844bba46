"""Finds the processor that a thread runs on, and moves this thread to it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from gobun.observe import proc_files

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELD = 36
"""The index of the processor among the fields after the name in a ``stat`` file; see proc(5)."""


def processor_of(pid: int, tid: int) -> int:
    """Return the processor that a thread ran on last; -1 if it has gone."""
    stat = proc_files.read_text(f"{proc_files.PROC}/{pid}/task/{tid}/stat")
    fields = stat.rpartition(")")[2].split()
    return int(fields[_FIELD]) if len(fields) > _FIELD else -1


def move_to(processor: int) -> None:
    """Let this thread run on one processor only.

    Raises:
        OSError: this thread may not run there.
    """
    os.sched_setaffinity(0, {processor})


@contextlib.contextmanager
def affinity_kept() -> Iterator[None]:
    """Restore the processors of this thread after a block that moves it.

    A move that is not possible ends the block early, without an error. So does any ``OSError``.
    """
    allowed = os.sched_getaffinity(0)
    try:
        with contextlib.suppress(OSError):  # a sandbox forbids it, or the processor is offline
            yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, allowed)
