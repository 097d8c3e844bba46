"""The rules for a storm: signals that interrupt a thread so often that it does nothing else.

A healthy thread gets signals too. A garbage collector suspends it at any time. A profiler suspends
it a thousand times a second, even during a call in which the event loop does not turn. So a storm
must show one of two things:

- Two threads do nothing but wake each other. Each runs for at most 50 microseconds between two
  context switches. A thread that computes runs for 80 or more. The interrupted thread is switched
  at least 5,000 times in a second in which neither waits for a processor. A storm causes 10,000 and
  more. A profiler causes 3,000, because it sleeps after each suspension.
- The signals are dense: 25 changes or more in a millisecond.

A busy machine makes a storm slower and its signals harder to see. It does not make a healthy thread
look like one.

A slow machine, such as an emulated one, has rules of its own. Looks are slower there too, and
between any two of them a healthy profiler may send another signal.
"""

from __future__ import annotations

import collections
import itertools
import os
import signal
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gobun.matrix.samples import LIVELY_CHANGES, Key, Sample, senders_in

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMERS = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGURG)
"""Signals that interrupt healthy work regularly. Go sends SIGURG to preempt a goroutine."""


class _SlowRule(msgspec.Struct, frozen=True):
    """The minimum evidence for a storm on a slow machine."""

    after_s: float
    """Seconds without progress, on a usual machine."""
    samples: int
    seen_in: int
    """Number of samples in which the signal came or went."""
    share: float
    """Share of the looks in which it was pending or being handled."""


_SLOW_RULES = (
    _SlowRule(after_s=0.6, samples=5, seen_in=5, share=0.08),
    _SlowRule(after_s=1.0, samples=8, seen_in=4, share=0.02),
)

_AT_ONCE_S = 0.1
"""Seconds without progress before changes can prove a storm."""
_LEAST_LIVELY_SAMPLES = 2
_LEAST_CHANGES = 24
"""Minimum number of changes in all lively samples. A storm shows 25 in each, on average."""
_LIVELY_SHARE = 1 / 3
_LEAST_DENSE_SAMPLES = 5
_DENSE_SHARE = 0.1
_QUICK_LOOKS = 2.0
"""Largest slowness at which looks are quick enough to count changes."""

_TURN_SWITCHES = 100
"""Minimum context switches of each of two threads that wake each other."""
_TURN_PAIRS = 4
"""Minimum number of pairs of samples between which the interrupted thread was scheduled."""
_MOST_SAMPLES_APART = 3
"""The signal must be seen again within this many samples: one look in two misses it."""
_TURN_NS = 50_000
"""Maximum processor time of such a thread between two switches, on average, in nanoseconds."""
_TURNS_A_SECOND = 5000
"""Minimum switches of the interrupted thread in a second in which neither waits for a processor."""
_WRONG_WAITS = 2
"""Number of waits for a processor that may count for the wrong period."""
_SIMILAR = 3
"""Largest ratio between the switches of two threads that wake each other."""

_COMPUTED_NS = 200_000_000
"""Minimum processor time of a thread that clearly computes, in nanoseconds."""
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Storm(NamedTuple):
    """A storm that was proven."""

    tid: int
    """The interrupted thread."""
    signal: int
    share: float
    """Share of the looks in quick succession that showed the signal."""


class _Usage(NamedTuple):
    """The growth of a thread's counters."""

    switches: int
    ran_ns: int
    """Time on a processor, in nanoseconds."""
    queued_ns: int
    """Time in which it waited for a processor, in nanoseconds."""

    @property
    def mean_wait_s(self) -> float:
        """The mean time that it waited for a processor before it ran, in seconds."""
        return self.queued_ns / max(self.switches, 1) / 1e9

    def is_turning(self, slowness: float = 1.0) -> bool:
        """Whether the thread was woken again and again, and did next to nothing each time."""
        return (
            self.switches >= _TURN_SWITCHES and self.ran_ns <= self.switches * _TURN_NS * slowness
        )


_Pair = tuple[Sample, Sample]
"""Two samples, to count the events between them."""


def find_storm(samples: Sequence[Sample], stale_s: float, slowness: float = 1.0) -> Storm | None:
    """Return the storm that the samples since the last progress prove; None if they prove none.

    That progress was ``stale_s`` seconds ago. ``slowness`` is the factor by which this machine is
    slower than a usual one.
    """
    received = [_without_senders(sample) for sample in samples]
    counts: collections.Counter[Key] = collections.Counter()
    for sample in received:
        counts.update({**dict.fromkeys(sample.seen_after_pauses, 0), **sample.storming})
    look_count = sum(sample.look_count for sample in samples)
    for key, count in counts.most_common():
        tid, number = key
        if number in TIMERS or _was_suspended(samples, tid):
            continue
        if slowness > _QUICK_LOOKS:
            is_proven = _is_seen_often(received, key, stale_s, slowness)
        else:
            is_proven = _comes_and_goes(received, key, stale_s) or _takes_turns(received, key)
        if is_proven:
            return Storm(tid, number, count / look_count)
    return None


def _was_suspended(samples: Sequence[Sample], tid: int) -> bool:
    """Whether a signal suspended the thread, as a profiler does. In a storm, that never succeeds.

    On a busy machine a profiler waits for a processor too, so the thread stays suspended for long.
    """
    return any(tid in sample.suspended for sample in samples)


def computes_between(samples: Sequence[Sample], key: Key) -> bool:
    """Whether a thread clearly computes between the signals that it gets, as under a profiler."""
    usage = _usage_in([(samples[0], samples[-1])], key[0])
    dense = sum(key in sample.dense for sample in samples)
    return (
        usage.ran_ns >= max(_COMPUTED_NS, usage.switches * _TURN_NS)
        and dense < _LEAST_LIVELY_SAMPLES
    )


def _without_senders(sample: Sample) -> Sample:
    senders = senders_in(sample)
    return sample.without_threads(senders) if senders else sample


def _comes_and_goes(samples: Sequence[Sample], key: Key, stale_s: float) -> bool:
    """Whether a signal changed within samples so fast that only a storm explains it."""
    if stale_s < _AT_ONCE_S:
        return False
    dense = sum(key in sample.dense for sample in samples)
    if dense >= max(_LEAST_DENSE_SAMPLES, _DENSE_SHARE * len(samples)):
        return True
    changes = [sample.changes.get(key, 0) for sample in samples]
    lively = [count for count in changes if count >= LIVELY_CHANGES]
    return (
        len(lively) >= max(_LEAST_LIVELY_SAMPLES, _LIVELY_SHARE * len(samples))
        and sum(lively) >= _LEAST_CHANGES
        and _does_nothing_else([(samples[0], samples[-1])], key[0])
    )


def _is_seen_often(samples: Sequence[Sample], key: Key, stale_s: float, slowness: float) -> bool:
    """Whether many looks saw a signal, and it came or went within many samples.

    A sample in which all looks saw it does not count: its thread may just not be scheduled.
    """
    partly = [
        sample.storming[key]
        for sample in samples
        if 0 < sample.storming.get(key, 0) < sample.look_count
    ]
    share = sum(partly) / sum(sample.look_count for sample in samples)
    return any(
        stale_s >= rule.after_s * slowness
        and len(samples) >= rule.samples
        and len(partly) >= rule.seen_in
        and share >= rule.share
        for rule in _SLOW_RULES
    ) and _does_nothing_else([(samples[0], samples[-1])], key[0], slowness)


def _takes_turns(samples: Sequence[Sample], key: Key) -> bool:
    """Whether a thread was woken for a signal again and again, and did nothing else.

    It compares each sample that shows the signal with the next such sample, if that follows soon.
    """
    showing = [
        index
        for index, sample in enumerate(samples)
        if key in sample.storming or key in sample.seen_after_pauses
    ]
    pairs = [
        (samples[first], samples[then])
        for first, then in itertools.pairwise(showing)
        if then - first <= _MOST_SAMPLES_APART
    ]
    scheduled = sum(_usage_in([pair], key[0]).switches > 1 for pair in pairs)
    return scheduled >= _TURN_PAIRS and _does_nothing_else(pairs, key[0])


def _does_nothing_else(pairs: Sequence[_Pair], tid: int, slowness: float = 1.0) -> bool:
    """Whether a thread and another one did nothing but wake each other, between these samples."""
    own = _usage_in(pairs, tid)
    if not own.is_turning(slowness):
        return False
    seconds = sum(then.at - first.at for first, then in pairs)
    others = (_usage_in(pairs, each.tid) for each in pairs[-1][1].threads if each.tid != tid)
    return any(
        other.is_turning(slowness)
        and max(own.switches, other.switches) <= min(own.switches, other.switches) * _SIMILAR
        and own.switches >= _TURNS_A_SECOND * _free_s(seconds, own, other) / slowness
        for other in others
    )


def _free_s(seconds: float, own: _Usage, other: _Usage) -> float:
    """Return the time in which neither thread waited for a processor, in seconds."""
    queued_s = (own.queued_ns + other.queued_ns) / 1e9
    # The kernel counts a wait when it ends, so a few of them may be in the wrong period.
    return max(seconds - queued_s, 0.0) + _WRONG_WAITS * (own.mean_wait_s + other.mean_wait_s)


def _usage_in(pairs: Sequence[_Pair], tid: int) -> _Usage:
    switches = ran_ns = queued_ns = 0
    for before, after in pairs:
        first = next((thread for thread in before.threads if thread.tid == tid), None)
        then = next((thread for thread in after.threads if thread.tid == tid), None)
        if first is None or then is None:
            continue
        ticks = then.cpu_ticks - first.cpu_ticks
        switches += then.switches - first.switches
        ran_ns += then.ran_ns - first.ran_ns if then.ran_ns else ticks * _TICK_NS
        queued_ns += then.queued_ns - first.queued_ns
    return _Usage(switches, ran_ns, queued_ns)
