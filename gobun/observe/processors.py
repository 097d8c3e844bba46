"""The processors that threads run on, and moves of this thread to one of them."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from gobun.observe import proc_files

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELD = 36
"""The index of the processor in the fields behind the name in a ``stat`` file."""


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
    """Undo the moves of this thread at the end, and end early if one is not possible."""
    allowed = os.sched_getaffinity(0)
    try:
        with contextlib.suppress(OSError):  # a sandbox, or a processor that went offline
            yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, allowed)
