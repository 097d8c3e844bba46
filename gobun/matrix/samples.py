"""Samples of a silent process: the activity of its threads and the signals they handled.

A sample takes a few milliseconds. It looks at a thread's signals many times in quick succession, so
that it can count changes. If these looks show no storm, more follow: from two processors in
turn, and after pauses.
"""

from __future__ import annotations

import collections
import functools
import itertools
import operator
import time
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun import observe
from gobun.observe import Blocked, Thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.observe import Look

SAMPLE_EVERY_S = 0.1
STALE_AFTER_S = 0.06
"""Seconds. No sample is taken while events are more recent than this, so a healthy cell costs
nothing."""
_STARTS_WITHIN_S = 0.3
"""Seconds. Before its first event, a cell may be silent for this long, because a runtime takes that
long to start."""

_CADENCE = ((0.6, 0.025), (3.0, SAMPLE_EVERY_S))
"""Lengths of silence, and the interval between samples until then, in seconds. A storm shows within
a few samples."""
_RARELY_S = 0.25
"""The interval after a longer silence, in seconds."""
SUSPICIOUS_S = 0.005
"""The interval after a lively sample, in seconds. A storm uses every core, so its proof must be
quick."""
LIVELY_CHANGES = 6
"""Minimum number of changes, in 59 intervals between looks, that means thousands of signals a
second. A profiler sends one thousand, which seldom shows as more than two changes."""
_DENSE_CHANGES, _DENSE_A_MS = 12, 25.0
"""Minimum number of dense changes between quick looks: in total, and in a millisecond. We never saw
a profiler cause both. A storm often causes 50 a millisecond."""
_WAITS_EVERY_S = 0.2
"""Seconds between two looks at the waits of all threads, while the main thread sleeps."""

_LOOKS_PER_SAMPLE = 60
_PAUSES_S = (0.0007, 0.0011, 0.0016, 0.0009, 0.0013)
"""Pauses in seconds before further looks. They differ, so that no periodic signal keeps step with
them."""
_LOOKS_AFTER_A_PAUSE = 2
_QUICK_NS = 200_000
"""A change counts only if its two looks are at most this many nanoseconds apart. In a longer time
even a profiler changes something."""
_ROUNDS = 10
"""Rounds of looks from the processors of two threads in turn."""
_SUSPENDED_IN = "sigsuspend"
"""The kernel function in which JavaScriptCore's handler waits for the signal that resumes."""
_BLOCKS_ALL = 16
"""A thread that blocks this many signals for a moment blocks nearly all of them."""
_LOOKED_AT = 4
"""Maximum number of threads that a sample looks at: the main one, and those scheduled most."""

Key = tuple[int, int]
"""The id of a thread, and the number of a signal."""


class Sample(msgspec.Struct, frozen=True):
    """A process at one moment."""

    at: float
    """Time of the sample in seconds, on the monotonic clock."""
    threads: tuple[Thread, ...]
    look_count: int
    """The number of looks at the signals of each thread, without those after pauses."""
    storming: dict[Key, int]
    """For each thread and signal, the number of looks that saw it pending or blocked for a time."""
    changes: dict[Key, int] = {}
    """For each thread and signal, the number of changes between one look and the next."""
    dense: frozenset[Key] = frozenset()
    """The threads and signals with dense changes."""
    seen_after_pauses: frozenset[Key] = frozenset()
    """The threads and signals that were seen in the looks after pauses."""
    suspended: frozenset[int] = frozenset()
    """The threads whose signal handler waited for another signal."""
    waits: tuple[Blocked, ...] = ()
    """The waits of all threads; empty if this sample did not look at them."""

    @property
    def main_thread(self) -> Thread | None:
        """The main thread, if the process still existed."""
        return self.threads[0] if self.threads else None

    @property
    def is_lively(self) -> bool:
        """Whether a signal came and went in a thread so often that only a storm explains it.

        The signals of threads that send signals do not count.
        """
        received = self.without_threads(senders_in(self))
        return max(received.changes.values(), default=0) >= LIVELY_CHANGES

    @property
    def cpu_ticks(self) -> int:
        """Processor time of all threads, in clock ticks."""
        return sum(thread.cpu_ticks for thread in self.threads)

    def without_threads(self, tids: set[int]) -> Sample:
        """Return this sample without the signals of the threads ``tids``."""
        return msgspec.structs.replace(
            self,
            storming={key: n for key, n in self.storming.items() if key[0] not in tids},
            changes={key: n for key, n in self.changes.items() if key[0] not in tids},
            dense=frozenset(key for key in self.dense if key[0] not in tids),
            seen_after_pauses=frozenset(
                key for key in self.seen_after_pauses if key[0] not in tids
            ),
        )


class Sampler:
    """Takes samples of one process, each a few milliseconds long."""

    def __init__(self, pid: int, *, signals: bool) -> None:
        """Sample ``pid``. ``signals`` is True if other processes may send it signals."""
        self._pid = pid
        self._signals = signals
        self._previous_switches: dict[int, int] = {}
        self._asked_at = float("-inf")

    def take_sample(self, at: float) -> Sample:
        """Return a sample of this moment; ``at`` is its time on the monotonic clock."""
        threads = observe.threads(self._pid)
        sample = _look(self._pid, at, threads, self._moving_threads(threads))
        asleep = bool(threads) and threads[0].state == "S" and self._is_still(threads[0])
        self._previous_switches = {thread.tid: thread.switches for thread in threads}
        if not asleep or at - self._asked_at < _WAITS_EVERY_S:
            return sample
        self._asked_at = at
        waits = observe.blocked_threads(self._pid, callers=False, signals=self._signals)
        return msgspec.structs.replace(sample, waits=waits)

    def _moving_threads(self, threads: Sequence[Thread]) -> list[Thread]:
        """Return the main thread and those scheduled most, without those that slept all the time.

        A thread that sleeps, and has not been scheduled since the last sample, handles no signals.
        """

        def scheduled(thread: Thread) -> int:
            return thread.switches - self._previous_switches.get(thread.tid, 0)

        busiest = [
            *threads[:1],
            *sorted(threads[1:], key=scheduled, reverse=True)[: _LOOKED_AT - 1],
        ]
        return [thread for thread in busiest if thread.state != "S" or scheduled(thread)]

    def _is_still(self, main_thread: Thread) -> bool:
        return self._previous_switches.get(main_thread.tid) == main_thread.switches


def sample_is_due(
    since_last_s: float,
    silent_s: float,
    slowness: float = 1.0,
    *,
    after_lively: bool = False,
    is_starting: bool = False,
) -> bool:
    """Return whether to sample a process that has been silent for ``silent_s`` seconds.

    ``after_lively`` is True if the last sample, ``since_last_s`` seconds ago, was lively.
    ``is_starting`` is True before the first event of the cell. ``slowness`` multiplies all
    intervals.
    """
    since_last_s, silent_s = since_last_s / slowness, silent_s / slowness
    if silent_s < (_STARTS_WITHIN_S if is_starting else STALE_AFTER_S):
        return False
    every_s = next((every_s for until_s, every_s in _CADENCE if silent_s < until_s), _RARELY_S)
    return since_last_s >= (SUSPICIOUS_S if after_lively else every_s)


def senders_in(sample: Sample) -> set[int]:
    """Return the threads that block nearly every signal for a moment.

    glibc's ``pthread_kill`` does this around its system call. A handler of a storm does not.
    """
    blocked = collections.Counter(tid for tid, _ in sample.storming)
    return {tid for tid, count in blocked.items() if count >= _BLOCKS_ALL}


def counter_growth(
    samples: Sequence[Sample], tid: int, counter: Literal["switches", "cpu_ticks"]
) -> int:
    """Return the growth of a thread's counter over the samples."""
    counts: list[int] = [
        getattr(t, counter) for sample in samples for t in sample.threads if t.tid == tid
    ]
    return counts[-1] - counts[0] if counts else 0


def _look(
    pid: int, at: float, threads: tuple[Thread, ...], chosen_threads: Sequence[Thread]
) -> Sample:
    suspended = frozenset(thread.tid for thread in threads if _SUSPENDED_IN in thread.waits_in)
    sample = Sample(at, threads, _LOOKS_PER_SAMPLE, {}, suspended=suspended)
    settings: dict[int, int] = {}
    for thread in chosen_threads:
        looks = observe.looks_at_signals(pid, thread.tid, _LOOKS_PER_SAMPLE)
        if not looks:
            continue
        sample = _with_looks(sample, thread.tid, looks)
        if sample.is_lively:
            return sample  # Further looks would add nothing.
        settings[thread.tid] = _always_blocked(looks)
    if not settings:
        return sample
    running = [thread.tid for thread in chosen_threads if thread.state == "R"]
    if len(running) > 1:
        sample = _with_looks_in_turn(pid, sample, (running[0], running[1]))
    return sample if sample.is_lively else _look_after_pauses(pid, sample, settings)


def _with_looks_in_turn(pid: int, sample: Sample, tids: tuple[int, int]) -> Sample:
    in_turn = observe.looks_in_turn(pid, tids, _ROUNDS)
    for tid, looks in in_turn.items():
        sample = _with_looks(sample, tid, looks, in_turn=True)
    more = max(map(len, in_turn.values()), default=0)
    return msgspec.structs.replace(sample, look_count=sample.look_count + more)


def _look_after_pauses(pid: int, sample: Sample, settings: dict[int, int]) -> Sample:
    """Look again after pauses, in which a process on a busy machine gets to run.

    ``settings`` are the signals that each thread always blocks. Looks that show a storm replace the
    earlier ones.
    """
    seen: set[Key] = set()
    suspended = set(sample.suspended)
    first = next(iter(settings))
    for pause_s in _PAUSES_S:
        time.sleep(pause_s)
        if _SUSPENDED_IN in observe.kernel_function_of(pid, first):
            suspended.add(first)
        for tid, setting in settings.items():
            count = _LOOKS_PER_SAMPLE if tid == first else _LOOKS_AFTER_A_PAUSE
            looks = observe.looks_at_signals(pid, tid, count)
            again = Sample(sample.at, sample.threads, count, {}, suspended=frozenset(suspended))
            again = _with_looks(again, tid, looks)
            if again.is_lively:
                return again
            for look in looks:
                numbers = observe.signal_numbers((look.pending | look.blocked) & ~setting)
                if len(numbers) < _BLOCKS_ALL:
                    seen.update((tid, number) for number in numbers)
    return msgspec.structs.replace(
        sample, seen_after_pauses=frozenset(seen), suspended=frozenset(suspended)
    )


def _with_looks(
    sample: Sample, tid: int, looks: Sequence[Look], *, in_turn: bool = False
) -> Sample:
    """Add looks at the signals of a thread to a sample.

    Unless they were made ``in_turn``, changes count only between quick looks.
    """
    storming, changes, dense = dict(sample.storming), dict(sample.changes), set(sample.dense)
    # A signal that is always blocked is a setting, not a handler that comes and goes.
    setting = _always_blocked(looks)
    active = [(look.pending | look.blocked) & ~setting for look in looks]
    gaps = [then.at_ns - first.at_ns for first, then in itertools.pairwise(looks)]
    counts = [in_turn or gap <= _QUICK_NS for gap in gaps]
    quick_ms = sum(itertools.compress(gaps, counts)) / 1e6
    for number in observe.signal_numbers(functools.reduce(operator.or_, active, 0)):
        key = tid, number
        was_active = [mask >> (number - 1) & 1 for mask in active]
        changed = sum(itertools.compress(map(operator.ne, was_active, was_active[1:]), counts))
        storming[key] = storming.get(key, 0) + sum(was_active)
        changes[key] = max(changes.get(key, 0), changed)
        if changed >= _DENSE_CHANGES and (in_turn or changed >= _DENSE_A_MS * quick_ms):
            dense.add(key)
    return msgspec.structs.replace(
        sample, storming=storming, changes=changes, dense=frozenset(dense)
    )


def _always_blocked(looks: Sequence[Look]) -> int:
    return functools.reduce(operator.and_, (look.blocked for look in looks), ~0)
