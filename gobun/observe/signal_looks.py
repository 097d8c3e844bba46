"""Looks at the signals of threads in quick succession, to see them come and go."""

from __future__ import annotations

import contextlib
import os
import time
from typing import NamedTuple

from gobun.observe import proc_files, processors, procfs

_STATUS_BYTES = 8192
"""Upper bound for the size of a ``status`` file."""
_RAN_SHARE = 0.75
"""A thread that runs for a smaller share of the time during ``looks_in_turn`` shares its processor
with other threads. A signal may then be pending only because the thread waits for the processor."""


class Look(NamedTuple):
    """The signals of a thread at one moment, as bit masks."""

    pending: int
    blocked: int
    """Includes the signal that the thread handles now, unless its handler has ``SA_NODEFER``."""
    at_ns: int
    """Time of the look in nanoseconds, on the monotonic clock."""


def looks_at_signals(pid: int, tid: int, count: int) -> list[Look]:
    """Look at a thread's signals ``count`` times in quick succession.

    There are fewer looks if the thread ends meanwhile. The file stays open, which makes a look five
    times as fast.
    """
    looks: list[Look] = []
    with contextlib.suppress(OSError, ValueError):
        file = os.open(f"{proc_files.PROC}/{pid}/task/{tid}/status", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for _ in range(count):
                text = os.pread(file, _STATUS_BYTES, 0)
                pending, blocked = _mask_in(text, b"\nSigPnd:"), _mask_in(text, b"\nSigBlk:")
                looks.append(Look(pending, blocked, time.monotonic_ns()))
        finally:
            os.close(file)
    return looks


def looks_in_turn(pid: int, tids: tuple[int, int], rounds: int) -> dict[int, list[Look]]:
    """Look at two threads, in turn from the processor of the first and that of the second.

    Two threads may use every processor, one to send signals and one to handle them. A look needs a
    processor too, so it interrupts one of them. If that is always the sender, no look finds a
    signal. Each of the ``rounds`` interrupts first one thread and then the other.

    Returns the looks at each thread that ran for three quarters of the time or more. The result is
    empty if the threads share a processor, or if this program may not run on both processors.
    """
    places = tuple(processors.processor_of(pid, tid) for tid in tids)
    if places[0] == places[1] or not os.sched_getaffinity(0).issuperset(places):
        return {}
    looks: dict[int, list[Look]] = {tid: [] for tid in tids}
    ran_before, started = {tid: _ran_ns(pid, tid) for tid in tids}, time.monotonic_ns()
    with processors.affinity_kept():
        for _ in range(rounds):
            for place in places:
                processors.move_to(place)
                for tid in tids:
                    looks[tid] += looks_at_signals(pid, tid, 1)
    least_ns = _RAN_SHARE * (time.monotonic_ns() - started)
    return {tid: looks[tid] for tid in tids if _ran_ns(pid, tid) - ran_before[tid] >= least_ns}


def _ran_ns(pid: int, tid: int) -> int:
    return procfs.scheduler_times(f"{proc_files.PROC}/{pid}/task/{tid}")[0]


def _mask_in(status: bytes, key: bytes) -> int:
    start = status.index(key) + len(key)
    return int(status[start : status.index(b"\n", start)], 16)
