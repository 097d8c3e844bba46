"""Tells a cell that hangs from one that is slow, by looking at how its process moves.

Every rule counts what the process itself did, and none counts time alone, so that a busy machine
delays a verdict and does not change it:

- a signal storm is seen by a signal that comes and goes in one thread, look after look, or by two
  threads that wake each other for it after microseconds of work;
- a deadlock is a process of whose threads none can ever be woken (``observe.blocking``).

A main thread that computes or that waits for something outside looks like one that works, so only
the limit decides those.
"""

from __future__ import annotations

import collections
import functools
import itertools
import operator
import os
import signal
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun import observe
from gobun.cells.records import Ending
from gobun.observe import Blocked, Thread, signal_name

if TYPE_CHECKING:
    from collections.abc import Sequence


SAMPLE_EVERY_S = 0.1
STALE_AFTER_S = 0.1
"""No sample is taken while events are younger than this: a healthy cell costs nothing."""

_CADENCE = ((0.6, 0.025), (3.0, SAMPLE_EVERY_S))
"""Up to so many seconds of silence, a sample is due so often: a storm shows within a few."""
_RARELY_S = 0.25
_WAITS_EVERY_S = 0.2
"""How often a process whose main thread sleeps is asked what all its threads wait for."""
_LOCKED_S = 0.4
_ELSEWISE_S = 2.0
"""How long a process has to be stuck: where all its threads are in locks, and where some wait for
open files of their own, which the kernel may write to on behalf of nobody."""

_LOOKS = 60
_BLOCKS_ALL = 16
_LOOKED_AT = 4
"""Threads a sample looks at: the main one, and those that were scheduled most."""
TIMERS = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGURG)
"""What interrupts healthy work all the time; SIGURG is Go's, for a goroutine that runs long."""
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class StormRule(msgspec.Struct, frozen=True):
    """What has to be seen before a signal storm is certain."""

    after_s: float
    """Seconds without progress."""
    samples: int
    seen_in: int
    """Samples in which the signal was seen to come or go."""
    share: float
    """Looks in which it was pending or being handled, of all."""


STORM_RULES = (
    StormRule(after_s=0.6, samples=5, seen_in=5, share=0.08),
    StormRule(after_s=1.0, samples=8, seen_in=4, share=0.02),
)

_AT_ONCE_S = 0.15
_LIVELY_CHANGES = 6
"""Changes between two looks, of 59, from which on a sample alone shows thousands of signals a
second. A profiler sends one thousand, which shows as two."""
_LIVELY_SAMPLES = 5

_TURNS = 100
"""Switches of a thread that another one wakes for a signal, over pauses between two samples that
both show the signal: evidence that a busy machine does not spoil, only delays."""
_TURN_PAIRS = 3
_TURN_NS = 150_000
"""Processor time that such a thread uses between two switches at most, on average."""

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
    changes: dict[tuple[int, int], int] = {}
    """Thread and signal to how often that changed from one look to the next."""
    waits: tuple[Blocked, ...] = ()
    """What all threads wait for; empty where nobody asked."""

    @property
    def main(self) -> Thread | None:
        """The main thread, if the process was there."""
        return self.threads[0] if self.threads else None

    @property
    def cpu_ticks(self) -> int:
        """What all threads used."""
        return sum(thread.cpu_ticks for thread in self.threads)


class Sampler:
    """Takes samples of one process, each a few milliseconds long."""

    def __init__(self, pid: int, *, signals: bool) -> None:
        """Look at ``pid``. Other processes may send it ``signals``, or are known to send none."""
        self._pid = pid
        self._signals = signals
        self._before: dict[int, int] = {}
        self._asked_at = float("-inf")

    def take(self, at: float) -> Sample:
        """Return a sample of this moment, which is ``at`` on the monotonic clock."""
        threads = observe.threads(self._pid)
        sample = _look(self._pid, at, threads, self._busiest(threads))
        asleep = bool(threads) and threads[0].state == "S" and self._is_still(threads[0])
        self._before = {thread.tid: thread.switches for thread in threads}
        if not asleep or at - self._asked_at < _WAITS_EVERY_S:
            return sample
        self._asked_at = at
        waits = observe.blocked_threads(self._pid, callers=False, signals=self._signals)
        return msgspec.structs.replace(sample, waits=waits)

    def _busiest(self, threads: Sequence[Thread]) -> list[Thread]:
        """Return the main thread, and those that were scheduled most since the last sample."""

        def scheduled(thread: Thread) -> int:
            return thread.switches - self._before.get(thread.tid, 0)

        return [*threads[:1], *sorted(threads[1:], key=scheduled, reverse=True)[: _LOOKED_AT - 1]]

    def _is_still(self, main: Thread) -> bool:
        return self._before.get(main.tid) == main.switches


def sample_is_due(since_last_s: float, silent_s: float) -> bool:
    """Return whether to take a sample of a process that has been silent for a while."""
    if silent_s < STALE_AFTER_S:
        return False
    every_s = next((every_s for until_s, every_s in _CADENCE if silent_s < until_s), _RARELY_S)
    return since_last_s >= every_s


def _look(pid: int, at: float, threads: tuple[Thread, ...], chosen: Sequence[Thread]) -> Sample:
    storming: dict[tuple[int, int], int] = {}
    changes: dict[tuple[int, int], int] = {}
    for thread in chosen:
        looks = observe.looks_at_signals(pid, thread.tid, _LOOKS)
        if not looks:
            continue
        # A signal that is blocked all the time is a setting, not a handler that comes and goes.
        settled = functools.reduce(operator.and_, (blocked for _, blocked in looks))
        active = [(pending | blocked) & ~settled for pending, blocked in looks]
        for number in observe.signal_numbers(functools.reduce(operator.or_, active)):
            seen = [mask >> (number - 1) & 1 for mask in active]
            storming[thread.tid, number] = sum(seen)
            changes[thread.tid, number] = sum(map(operator.ne, seen, seen[1:]))
    return Sample(at, threads, _LOOKS, storming, changes)


def judge(samples: Sequence[Sample], stale_since: float) -> Ending | None:
    """Return the hang these samples prove, or None while they prove nothing.

    ``samples`` are those taken since ``stale_since``, when the cell last showed progress.
    """
    if len(samples) < 2:
        return None
    last = samples[-1]
    if samples[0].main is None or last.main is None:
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
            "livelock",
        )
    if _deadlocked(samples):
        where = f" in {last.main.waits_in}" if last.main.waits_in else ""
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
    """Return how a cell ended that reached its time limit.

    ``samples`` are those since the last progress, which was ``stale_s`` seconds ago. The cell was
    able to run for ``able_s`` of them, by default for all.
    """
    if not samples or (stale_s if able_s is None else able_s) < min(2.0, limit_s / 2):
        detail = f"still progressing at the limit of {limit_s:g} s"
        return Ending("timeout", detail, "progressing")
    main = samples[-1].main
    if main is not None and main.state in "Tt":
        detail = f"stopped: a signal stopped it {stale_s:.1f} s ago (limit {limit_s:g} s)"
        return Ending("hang", detail, "stopped")
    used_s = (samples[-1].cpu_ticks - samples[0].cpu_ticks) / _TICKS_A_SECOND
    tail = f"{used_s:.1f} s of CPU time used meanwhile (limit {limit_s:g} s)"
    if (wait := _waiting(samples)) is not None:
        return Ending("hang", f"waiting: {wait} for {stale_s:.1f} s, {tail}", "waiting")
    return Ending("hang", f"busy: no turn of the event loop in {stale_s:.1f} s, {tail}", "busy")


def starved(stale_s: float, able_s: float, seen_s: float) -> Ending:
    """Return that a cell could not be judged: it got too little of the machine."""
    return Ending(
        "timeout",
        f"starved: it could run for {able_s:.1f} s of {seen_s:.1f} s, and last progressed "
        f"{stale_s:.1f} s ago: the machine is too busy to tell",
        "starved",
    )


def _storm(samples: Sequence[Sample], stale_s: float) -> tuple[int, int, float] | None:
    """Return the thread and the signal of a storm, and in how many of the looks it was seen."""
    senders = [senders_in(sample) for sample in samples]
    victims = [
        {
            (tid, number): count
            for (tid, number), count in sample.storming.items()
            # A profiler's timer interrupts healthy work all the time.
            if number not in TIMERS and tid not in sending
        }
        for sample, sending in zip(samples, senders, strict=True)
    ]
    seen: collections.Counter[tuple[int, int]] = collections.Counter()
    for storming in victims:
        seen.update(storming)
    looks = sum(sample.looks for sample in samples)
    for key, count in seen.most_common():
        if (
            _comes_and_goes(samples, victims, key, stale_s)
            or _is_seen_often(samples, victims, key, stale_s)
            or _takes_turns(samples, victims, key)
        ):
            return (*key, count / looks)
    return None


def _comes_and_goes(
    samples: Sequence[Sample],
    victims: Sequence[dict[tuple[int, int], int]],
    key: tuple[int, int],
    stale_s: float,
) -> bool:
    """Whether a signal changed within samples so fast that nothing but a storm does it."""
    lively = sum(
        key in storming and sample.changes.get(key, 0) >= _LIVELY_CHANGES
        for sample, storming in zip(samples, victims, strict=True)
    )
    return stale_s >= _AT_ONCE_S and lively >= _LIVELY_SAMPLES


def _is_seen_often(
    samples: Sequence[Sample],
    victims: Sequence[dict[tuple[int, int], int]],
    key: tuple[int, int],
    stale_s: float,
) -> bool:
    """Whether a signal was there in many looks, and came or went within many samples.

    One that is pending in all looks of a sample may be that of a thread that is not scheduled.
    """
    tid, _ = key
    if counter_growth(samples, tid, "cpu_ticks") < _RAN_TICKS and (
        counter_growth(samples, tid, "switches") < _SWITCHES
    ):
        return False
    partly = [
        storming[key]
        for sample, storming in zip(samples, victims, strict=True)
        if 0 < storming.get(key, 0) < sample.looks
    ]
    share = sum(partly) / sum(sample.looks for sample in samples)
    return any(
        stale_s >= rule.after_s
        and len(samples) >= rule.samples
        and len(partly) >= rule.seen_in
        and share >= rule.share
        for rule in STORM_RULES
    )


def _takes_turns(
    samples: Sequence[Sample],
    victims: Sequence[dict[tuple[int, int], int]],
    key: tuple[int, int],
) -> bool:
    """Whether a thread was woken for a signal again and again, and did nothing else.

    Counts over the pauses between two samples that both show the signal. Another thread has to be
    scheduled as often, which is the one that sends.
    """
    tid, _ = key
    pairs = [
        (samples[i], samples[i + 1])
        for i in range(len(samples) - 1)
        if key in victims[i] and key in victims[i + 1]
    ]
    own = [_moved(*pair, tid) for pair in pairs]
    if sum(switches > 1 for switches, _ in own) < _TURN_PAIRS or not _is_turning(own):
        return False
    total = sum(switches for switches, _ in own)
    for other in samples[-1].threads:
        theirs = [_moved(*pair, other.tid) for pair in pairs] if other.tid != tid else []
        if _is_turning(theirs) and total / 2 <= sum(each for each, _ in theirs) <= total * 2:
            return True
    return False


def _is_turning(moves: Sequence[tuple[int, int]]) -> bool:
    switches, ran_ns = (sum(part) for part in zip(*moves, strict=True)) if moves else (0, 0)
    return switches >= _TURNS and 0 < ran_ns <= switches * _TURN_NS


def _moved(before: Sample, after: Sample, tid: int) -> tuple[int, int]:
    """Return the switches and the processor time of a thread between two samples."""
    first = next((thread for thread in before.threads if thread.tid == tid), None)
    then = next((thread for thread in after.threads if thread.tid == tid), None)
    if first is None or then is None:
        return 0, 0
    return then.switches - first.switches, then.ran_ns - first.ran_ns


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
    """Whether nothing moved since a look that found every thread in a wait that nobody ends."""
    asked = [sample for sample in reversed(samples) if sample.waits]
    stuck = list(
        itertools.takewhile(lambda sample: observe.all_stuck(sample.waits) == "yes", asked)
    )
    if len(stuck) < 2 or _switches(stuck[-1]) != _switches(samples[-1]):
        return False
    in_locks = all(wait.call.startswith("futex") for wait in stuck[0].waits if wait.state != "Z")
    return stuck[0].at - stuck[-1].at >= (_LOCKED_S if in_locks else _ELSEWISE_S)


def _switches(sample: Sample) -> dict[int, int]:
    return {thread.tid: thread.switches for thread in sample.threads}


def _main_wait(samples: Sequence[Sample]) -> str:
    waits = next((sample.waits for sample in reversed(samples) if sample.waits), ())
    return waits[0].why if waits else "nothing that is known"


def _waiting(samples: Sequence[Sample]) -> str | None:
    """Return in what the main thread waited all the time; None where it did something else."""
    waits = [sample.waits[0] for sample in samples if sample.waits]
    mains = [sample.main for sample in samples if sample.main is not None]
    if not waits or any(main.state != "S" for main in mains) or not waits[-1].waits:
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
