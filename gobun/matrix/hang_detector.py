"""Tells a cell that hangs from one that is slow, by looking at how its process moves.

All rules count what the process itself did, not how much time went by, so that a loaded machine
delays a verdict and does not change it:

- a signal storm is seen by a signal that is forever pending or being handled in one thread;
- an idle deadlock is a main thread that was not scheduled once, with no other thread at work.

A spinning main thread looks like a long computation, so only the limit decides that one.
"""

from __future__ import annotations

import collections
import functools
import operator
import os
import signal
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun import observe
from gobun.cells.records import Ending
from gobun.observe import Thread, signal_name

if TYPE_CHECKING:
    from collections.abc import Sequence


SAMPLE_EVERY_S = 0.1
STALE_AFTER_S = 0.25
"""No sample is taken while events are younger than this: a healthy cell costs nothing."""

IDLE_AFTER_S = 4.0
_LOOKS = 60
_BLOCKS_ALL = 16
_LOOKED_AT = 4
"""Threads a sample looks at: the main one, and those with the most context switches."""
TIMERS = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGURG)
"""What interrupts healthy work all the time; SIGURG is Go's, for a goroutine that runs long."""
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class StormRule(msgspec.Struct, frozen=True):
    """What has to be seen before a signal storm is certain."""

    after_s: float
    """Seconds without progress."""
    samples: int
    seen_in: int
    """Samples in which the signal was seen at all."""
    share: float
    """Looks in which it was pending or being handled, of all."""


STORM_RULES = (
    StormRule(after_s=0.6, samples=5, seen_in=5, share=0.08),
    StormRule(after_s=1.0, samples=8, seen_in=4, share=0.02),
)
"""A storm that has a core to itself is plain soon; one on a loaded machine is given time."""

_RAN_TICKS = 10
_SWITCHES = 500
"""What the interrupted thread did meanwhile, one or the other: it ran on through its signals, or
was woken by them. One that is not scheduled has signals pending too."""


class Sample(msgspec.Struct, frozen=True):
    """A process at one moment."""

    at: float
    """Seconds, of the monotonic clock."""
    threads: tuple[Thread, ...]
    looks: int
    """How often the signals of each thread were looked at, in quick succession."""
    storming: dict[tuple[int, int], int]
    """Thread and signal to the number of looks in which it was pending or newly blocked."""

    @property
    def main(self) -> Thread | None:
        """The main thread, if the process was there."""
        return self.threads[0] if self.threads else None

    @property
    def cpu_ticks(self) -> int:
        """What all threads used."""
        return sum(thread.cpu_ticks for thread in self.threads)


def take_sample(pid: int, at: float) -> Sample:
    """Look at a process, a few milliseconds long."""
    threads = observe.threads(pid)
    busiest = sorted(threads[1:], key=lambda thread: -thread.switches)[: _LOOKED_AT - 1]
    storming: dict[tuple[int, int], int] = {}
    for thread in (*threads[:1], *busiest):
        looks = observe.looks_at_signals(pid, thread.tid, _LOOKS)
        if not looks:
            continue
        # A signal that is blocked all the time is a setting, not a handler that comes and goes.
        settled = functools.reduce(operator.and_, (blocked for _, blocked in looks))
        seen: collections.Counter[int] = collections.Counter()
        for pending, blocked in looks:
            seen.update(observe.signal_numbers(pending | (blocked & ~settled)))
        storming |= {(thread.tid, number): count for number, count in seen.items()}
    return Sample(at, threads, _LOOKS, storming)


def judge(samples: Sequence[Sample], stale_since: float) -> Ending | None:
    """Return the hang these samples prove, or None while they prove nothing.

    ``samples`` are those taken since ``stale_since``, when the cell last showed progress.
    """
    if len(samples) < 2:
        return None
    first, last = samples[0], samples[-1]
    if first.main is None or last.main is None:
        return None
    stale_s = last.at - stale_since
    storm = _storm(samples, stale_s)
    if storm is not None:
        tid, number, share = storm
        switches = counter_growth(samples, tid, "switches")
        return Ending(
            "hang",
            f"livelock: {signal_name(number)} was pending or being handled in "
            f"{_thread_name(last, tid)} in {share:.0%} of looks, {switches} context switches and "
            f"no turn of the event loop in {stale_s:.1f} s",
        )
    if last.at - first.at >= IDLE_AFTER_S and _deadlocked(samples):
        where = f" in {last.main.waits_in}" if last.main.waits_in else ""
        return Ending(
            "hang",
            f"deadlock: the main thread slept{where} and no thread worked for {stale_s:.1f} s",
        )
    return None


def verdict_at_limit(samples: Sequence[Sample], stale_s: float, limit_s: float) -> Ending:
    """Return how a cell ended that reached its time limit.

    ``samples`` are those since the last progress, which was ``stale_s`` seconds ago.
    """
    if not samples or stale_s < min(2.0, limit_s / 2):
        return Ending("timeout", f"still progressing at the limit of {limit_s:g} s")
    used_s = (samples[-1].cpu_ticks - samples[0].cpu_ticks) / _TICKS_A_SECOND
    return Ending(
        "hang",
        f"busy: no turn of the event loop in {stale_s:.1f} s, {used_s:.1f} s of CPU time used "
        f"meanwhile (limit {limit_s:g} s)",
    )


def _storm(samples: Sequence[Sample], stale_s: float) -> tuple[int, int, float] | None:
    """Return the thread and the signal of a storm, and in how many of the looks it was seen."""
    due = [r for r in STORM_RULES if stale_s >= r.after_s and len(samples) >= r.samples]
    if not due:
        return None
    looks = sum(sample.looks for sample in samples)
    seen: collections.Counter[tuple[int, int]] = collections.Counter()
    present: collections.Counter[tuple[int, int]] = collections.Counter()
    for sample in samples:
        # A profiler's timer interrupts healthy work all the time.
        senders = senders_in(sample)
        storming = {
            (tid, number): count
            for (tid, number), count in sample.storming.items()
            if number not in TIMERS and tid not in senders
        }
        seen.update(storming)
        present.update(storming.keys())
    for (tid, number), count in seen.most_common():
        ran, switches = (
            counter_growth(samples, tid, "cpu_ticks"),
            counter_growth(samples, tid, "switches"),
        )
        if ran < _RAN_TICKS and switches < _SWITCHES:
            continue
        share, seen_in = count / looks, present[tid, number]
        if any(share >= rule.share and seen_in >= rule.seen_in for rule in due):
            return tid, number, share
    return None


def senders_in(sample: Sample) -> set[int]:
    """Return the threads that block nearly everything for moments.

    glibc's ``pthread_kill`` does, around its system call; a handler of a storm does not.
    """
    blocked = collections.Counter(tid for tid, _ in sample.storming)
    return {tid for tid, count in blocked.items() if count >= _BLOCKS_ALL}


def _thread_name(sample: Sample, tid: int) -> str:
    if sample.main is not None and tid == sample.main.tid:
        return "the main thread"
    return next((f"thread {t.name!r}" for t in sample.threads if t.tid == tid), f"thread {tid}")


def counter_growth(
    samples: Sequence[Sample], tid: int, what: Literal["switches", "cpu_ticks"]
) -> int:
    """Return by how much a counter of a thread grew."""
    counts: list[int] = [
        getattr(t, what) for sample in samples for t in sample.threads if t.tid == tid
    ]
    return counts[-1] - counts[0] if counts else 0


def _deadlocked(samples: Sequence[Sample]) -> bool:
    mains = [sample.main for sample in samples]
    if any(main is None or main.state != "S" for main in mains):
        return False
    if len({main.switches for main in mains if main}) != 1:
        return False
    working = any(t.state in "RD" for sample in samples for t in sample.threads)
    return not working and samples[-1].cpu_ticks - samples[0].cpu_ticks <= 2
