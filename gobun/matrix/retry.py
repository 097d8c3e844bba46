"""Repeats an attempt that a busy machine spoiled, once the machine is less busy."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING

import msgspec

from gobun import observe
from gobun.cells.records import Ending
from gobun.matrix.attempt import attempt_cell
from gobun.matrix.monitor import StoppedError

if TYPE_CHECKING:
    import threading

    from gobun.cells.records import Cell
    from gobun.matrix.attempt import Attempt
    from gobun.matrix.run_context import RunContext

RETRIES = 1
_WAIT_S = 30.0
_LOOK_EVERY_S = 0.2
_TASK_COUNTS = 5
"""The median of this many counts of runnable tasks decides."""
_TASKS_A_CORE = 4
"""Maximum runnable tasks for each core when another attempt starts. Our own jobs make up half."""


def attempt_until_judged(context: RunContext, cell: Cell, stop: threading.Event) -> Attempt:
    """Run a cell once, and once more if the machine gave it too little time to be judged.

    Raises:
        StoppedError: ``stop`` was set meanwhile.
    """
    attempt = attempt_cell(context, cell, stop)
    for _ in range(RETRIES):
        if not _is_doubtful(attempt):
            break
        _wait_until_allowed(stop)
        attempt = attempt_cell(context, cell, stop)
    return _as_unjudged(attempt) if _is_doubtful(attempt) else attempt


def _is_doubtful(attempt: Attempt) -> bool:
    """Return whether a busy machine may have caused this ending.

    A cell's own deadlines use wall-clock time, so a starved cell may fail or report a hang.
    """
    ending = attempt.ending
    own_word = ending.outcome == "fail" or ending.kind == "reported"
    return ending.kind == "starved" or (attempt.observation.is_starved and own_word)


def _as_unjudged(attempt: Attempt) -> Attempt:
    """Return an attempt; a hang that a starved process reported becomes a ``starved`` timeout."""
    if attempt.ending.kind != "reported":
        return attempt
    detail = (
        f"starved: the machine was too busy to judge the cell; it reported: {attempt.ending.detail}"
    )
    return msgspec.structs.replace(attempt, ending=Ending("timeout", detail, "starved"))


def _wait_until_allowed(stop: threading.Event) -> None:
    """Wait until the machine has few runnable tasks, for half a minute at most.

    Raises:
        StoppedError: ``stop`` was set meanwhile.
    """
    most = _TASKS_A_CORE * (os.cpu_count() or 1)
    task_counts: list[int] = []
    for _ in range(int(_WAIT_S / _LOOK_EVERY_S)):
        task_counts = [*task_counts[1 - _TASK_COUNTS :], observe.runnable_tasks()]
        if len(task_counts) == _TASK_COUNTS and statistics.median(task_counts) <= most:
            return
        if stop.wait(_LOOK_EVERY_S):
            raise StoppedError
