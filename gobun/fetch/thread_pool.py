"""Runs jobs on a few threads that stop together."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_T = TypeVar("_T")
_GRACE_S = 2.0


def run_all(
    jobs: Sequence[_T], run_one: Callable[[_T, threading.Event], None], *, threads: int
) -> None:
    """Call ``run_one`` for every job. The first failure or an interruption stops the others.

    An interruption must not wait for a silent host or for another process's lock. So the threads
    are daemons, unlike those of a standard pool.

    Raises:
        BaseException: the exception of the first job that failed.
    """
    todo: queue.SimpleQueue[_T] = queue.SimpleQueue()
    for job in jobs:
        todo.put(job)
    finished_jobs: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()

    def take_jobs() -> None:
        while not stop.is_set():
            try:
                finished_jobs.put(_outcome(run_one, todo.get_nowait(), stop))
            except queue.Empty:
                return

    pool = [threading.Thread(target=take_jobs, daemon=True) for _ in range(min(threads, len(jobs)))]
    for thread in pool:
        thread.start()
    try:
        for _ in jobs:
            failure = finished_jobs.get()
            if failure is not None:
                raise failure
    finally:
        stop.set()
        last = time.monotonic() + _GRACE_S
        for thread in pool:
            thread.join(max(0.0, last - time.monotonic()))


def _outcome(
    run_one: Callable[[_T, threading.Event], None], job: _T, stop: threading.Event
) -> BaseException | None:
    try:
        run_one(job, stop)
    except BaseException as error:  # noqa: BLE001  it is raised again in the caller
        return error
    return None
