"""Distinguishes a hung cell from a slow one by the activity of its process.

Every rule counts actions of the process itself, and none counts time alone. So a busy machine
delays a verdict, but does not change it. There are two rules:

- In a signal storm, a signal comes and goes in one thread, look after look, or two threads wake
  each other for it after microseconds of work (``storms``).
- In a deadlock, no thread of the process can ever be woken (``observe.blocking``).

A main thread that computes, or that waits for something outside the process, looks like one that
works. So only the limit ends such a cell.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from gobun import observe
from gobun.cells.records import Ending
from gobun.matrix.samples import counter_growth
from gobun.matrix.storms import find_storm
from gobun.observe import signal_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.matrix.samples import Sample


_LOCKED_S = 0.4
_ELSEWISE_S = 2.0
"""Seconds for which a process must be stuck: if all its threads wait for locks, and if some wait
for files that only this process has open. The kernel itself may write to such files."""

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def judge(samples: Sequence[Sample], stale_since: float, slowness: float = 1.0) -> Ending | None:
    """Return the hang that these samples prove, or None while they prove nothing.

    ``samples`` are those taken since ``stale_since``, the monotonic time in seconds when the cell
    last progressed. ``slowness`` is the factor by which this machine is slower than a usual one.
    """
    if len(samples) < 2:
        return None
    last = samples[-1]
    if samples[0].main_thread is None or last.main_thread is None:
        return None
    stale_s = last.at - stale_since
    storm = find_storm(samples, stale_s, slowness)
    if storm is not None:
        switches = counter_growth(samples, storm.tid, "switches")
        return Ending(
            "hang",
            f"livelock: {signal_name(storm.signal)} was pending or being handled in "
            f"{_thread_name(last, storm.tid)} in {storm.share:.0%} of looks, {switches} context "
            f"switches and no turn of the event loop in {stale_s:.1f} s",
            "livelock",
        )
    if _deadlocked(samples, slowness):
        where = f" in {last.main_thread.waits_in}" if last.main_thread.waits_in else ""
        return Ending(
            "hang",
            f"deadlock: the main thread slept{where} and no thread worked for {stale_s:.1f} s; "
            f"it waits for {_main_wait(samples)}, and no thread alive can end that",
            "deadlock",
        )
    return None


def verdict_at_limit(
    samples: Sequence[Sample], stale_s: float, limit_s: float, *, able_s: float | None = None
) -> Ending:
    """Return the ending of a cell that reached its limit of ``limit_s`` seconds.

    ``samples`` are those since the last progress, ``stale_s`` seconds ago. The cell was able to run
    for ``able_s`` of these seconds, by default for all.
    """
    if not samples or (stale_s if able_s is None else able_s) < min(2.0, limit_s / 2):
        detail = f"still progressing at the limit of {limit_s:g} s"
        return Ending("timeout", detail, "progressing")
    main = samples[-1].main_thread
    if main is not None and main.state in "Tt":
        detail = f"stopped: a signal stopped it {stale_s:.1f} s ago (limit {limit_s:g} s)"
        return Ending("hang", detail, "stopped")
    used_s = (samples[-1].cpu_ticks - samples[0].cpu_ticks) / _TICKS_A_SECOND
    tail = f"{used_s:.1f} s of CPU time used meanwhile (limit {limit_s:g} s)"
    if (wait := _constant_wait(samples)) is not None:
        return Ending("hang", f"waiting: {wait} for {stale_s:.1f} s, {tail}", "waiting")
    return Ending("hang", f"busy: no turn of the event loop in {stale_s:.1f} s, {tail}", "busy")


def starved_ending(stale_s: float, able_s: float, seen_s: float) -> Ending:
    """Return the ending of a cell that got too little processor time to be judged.

    It could run for ``able_s`` of ``seen_s`` seconds, and last progressed ``stale_s`` seconds ago.
    """
    return Ending(
        "timeout",
        f"starved: it could run for {able_s:.1f} s of {seen_s:.1f} s, and last progressed "
        f"{stale_s:.1f} s ago: the machine is too busy to tell",
        "starved",
    )


def _thread_name(sample: Sample, tid: int) -> str:
    if sample.main_thread is not None and tid == sample.main_thread.tid:
        return "the main thread"
    return next((f"thread {t.name!r}" for t in sample.threads if t.tid == tid), f"thread {tid}")


def _deadlocked(samples: Sequence[Sample], slowness: float) -> bool:
    """Whether nothing has moved since a look found every thread in a wait that nobody can end."""
    looked_at = [sample for sample in reversed(samples) if sample.waits]
    stuck = list(
        itertools.takewhile(lambda sample: observe.all_stuck(sample.waits) == "yes", looked_at)
    )
    if len(stuck) < 2 or _switches(stuck[-1]) != _switches(samples[-1]):
        return False
    in_locks = all(wait.call.startswith("futex") for wait in stuck[0].waits if wait.state != "Z")
    return stuck[0].at - stuck[-1].at >= slowness * (_LOCKED_S if in_locks else _ELSEWISE_S)


def _switches(sample: Sample) -> dict[int, int]:
    return {thread.tid: thread.switches for thread in sample.threads}


def _main_wait(samples: Sequence[Sample]) -> str:
    waits = next((sample.waits for sample in reversed(samples) if sample.waits), ())
    return waits[0].why if waits else "nothing that is known"


def _constant_wait(samples: Sequence[Sample]) -> str | None:
    """Return the wait that the main thread was in all the time; None if it did anything else."""
    waits = [sample.waits[0] for sample in samples if sample.waits]
    mains = [sample.main_thread for sample in samples if sample.main_thread is not None]
    if not waits or any(main.state != "S" for main in mains) or not waits[-1].is_waiting:
        return None
    if len({main.switches for main in mains}) > 1:
        return None
    last = waits[-1]
    ends = {
        "yes": "can return",
        "unknown": "may return, for others of its threads can run",
        "no": "will not return",
    }[last.can_return]
    return f"the main thread was in {last.call} ({last.why}), which {ends},"
