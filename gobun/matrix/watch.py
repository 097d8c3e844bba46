"""Tells a cell that hangs from one that is slow, by looking at how its process moves.

All rules count what the process itself did, not how much time went by, so that a loaded machine
delays a verdict and does not change it:

- a signal storm is seen by a signal that is forever pending or being handled in the main thread;
- an idle deadlock is a main thread that was not scheduled once, with no other thread at work.

A spinning main thread looks like a long computation, so only the limit decides that one.
"""

from __future__ import annotations

import collections
import os
import signal
from typing import TYPE_CHECKING

import msgspec

from gobun.matrix import procfs
from gobun.matrix.procfs import Thread
from gobun.matrix.records import Ending

if TYPE_CHECKING:
    from collections.abc import Sequence


SAMPLE_EVERY_S = 0.1
STALE_AFTER_S = 0.25
"""No sample is taken while events are younger than this: a healthy cell costs nothing."""

STORM_AFTER_S = 1.0
STORM_SAMPLES = 8
STORM_SHARE = 0.05
STORM_SEEN_IN = 4
IDLE_AFTER_S = 4.0
_LOOKS = 60
_TIMERS = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF)
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Sample(msgspec.Struct, frozen=True):
    """A process at one moment."""

    at: float
    """Seconds, of the monotonic clock."""
    threads: tuple[Thread, ...]
    looks: int
    """How often the main thread's signals were looked at, in quick succession."""
    storming: dict[int, int]
    """Signal number to the number of looks in which it was pending or newly blocked."""

    @property
    def main(self) -> Thread | None:
        """The main thread, if the process was there."""
        return self.threads[0] if self.threads else None

    @property
    def cpu_ticks(self) -> int:
        """What all threads used."""
        return sum(thread.cpu_ticks for thread in self.threads)


def take_sample(pid: int, at: float) -> Sample:
    """Look at a process, about two milliseconds long."""
    threads = procfs.threads(pid)
    looks = [procfs.main_signals(pid) for _ in range(_LOOKS)]
    # A signal that is blocked all the time is a setting, not a handler that comes and goes.
    settled = looks[0][1]
    for _, blocked in looks:
        settled &= blocked
    seen: collections.Counter[int] = collections.Counter()
    for pending, blocked in looks:
        seen.update(procfs.signal_numbers(pending | (blocked & ~settled)))
    return Sample(at, threads, len(looks), dict(seen))


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
    if stale_s >= STORM_AFTER_S and len(samples) >= STORM_SAMPLES:
        storm = _storm(samples)
        if storm is not None:
            number, share = storm
            switches = last.main.switches - first.main.switches
            return Ending(
                "hang",
                f"livelock: {signal_name(number)} was pending or being handled in the main "
                f"thread in {share:.0%} of looks, {switches} context switches and no turn of "
                f"the event loop in {stale_s:.1f} s",
            )
    if last.at - first.at >= IDLE_AFTER_S and _deadlocked(samples):
        where = f" in {last.main.waits_in}" if last.main.waits_in else ""
        return Ending(
            "hang",
            f"deadlock: the main thread slept{where} and no thread worked for {stale_s:.1f} s",
        )
    return None


def at_limit(samples: Sequence[Sample], stale_s: float, limit_s: float) -> Ending:
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


def signal_name(number: int) -> str:
    """Return a signal's name, as ``SIGPWR``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - 34}" if number >= 34 else f"signal {number}"


def _storm(samples: Sequence[Sample]) -> tuple[int, float] | None:
    looks = sum(sample.looks for sample in samples)
    seen: collections.Counter[int] = collections.Counter()
    present: collections.Counter[int] = collections.Counter()
    for sample in samples:
        seen.update(sample.storming)
        present.update(sample.storming.keys())
    for timer in _TIMERS:  # A profiler's timer interrupts healthy work all the time.
        del seen[timer]
    for number, count in seen.most_common(1):
        if count / looks >= STORM_SHARE and present[number] >= STORM_SEEN_IN:
            return number, count / looks
    return None


def _deadlocked(samples: Sequence[Sample]) -> bool:
    mains = [sample.main for sample in samples]
    if any(main is None or main.state != "S" for main in mains):
        return False
    if len({main.switches for main in mains if main}) != 1:
        return False
    working = any(t.state in "RD" for sample in samples for t in sample.threads)
    return not working and samples[-1].cpu_ticks - samples[0].cpu_ticks <= 2
