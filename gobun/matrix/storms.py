"""The rules for a storm: signals that interrupt a thread so often that it does nothing else.

A healthy thread gets signals too. A profiler suspends it a thousand times a second, also while it
computes for seconds without a turn of the event loop, and a garbage collector at any time. Two
things distinguish a storm:

- The interrupted thread does nothing else. It runs for 2 to 40 microseconds between two context
  switches. A thread that a profiler suspends runs for 80 or more.
- The signals are dense: tens of thousands a second while both threads run.

A busy machine makes a storm slower and its signals harder to see. It does not make a healthy thread
look like one.

A slow machine, such as an emulated one, is different. Looks are slower there too, so each of them
may find another signal of a healthy profiler. So every duration grows by the ``slowness``, and the
rules that count changes within one sample do not apply.
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
"""Signals that interrupt healthy work regularly. Go sends SIGURG to a goroutine that runs long."""


class StormRule(msgspec.Struct, frozen=True):
    """The evidence that makes a signal storm certain."""

    after_s: float
    """Seconds without progress."""
    samples: int
    seen_in: int
    """Number of samples in which the signal came or went."""
    share: float
    """Share of the looks in which it was pending or being handled."""


STORM_RULES = (
    StormRule(after_s=0.6, samples=5, seen_in=5, share=0.08),
    StormRule(after_s=1.0, samples=8, seen_in=4, share=0.02),
)

_AT_ONCE_S = 0.15
_LEAST_LIVELY_SAMPLES = 2
_LEAST_CHANGES = 24
"""Changes in all lively samples together. A storm shows 25 in each, on average."""
_LIVELY_SHARE = 1 / 3
_LEAST_DENSE_SAMPLES = 5
_DENSE_SHARE = 0.1
_QUICK_LOOKS = 2.0
"""Largest slowness at which looks are quick enough to count changes."""

_TURN_SWITCHES = 100
"""Context switches of a thread that another one wakes for a signal, between samples that show the
signal. A busy machine delays this evidence and does not distort it."""
_TURN_PAIRS = 3
_MOST_SAMPLES_APART = 3
"""The signal must be seen again within this many samples: one look in two misses it."""
_TURN_NS = 50_000
"""Most processor time that such a thread uses between two switches, on average, in nanoseconds."""


_COMPUTED_NS = 200_000_000
"""Least processor time of a thread that clearly computes, in nanoseconds."""
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Storm(NamedTuple):
    """A storm that was proven."""

    tid: int
    """The interrupted thread."""
    signal: int
    share: float
    """Share of the looks in quick succession that showed the signal."""


def find_storm(samples: Sequence[Sample], stale_s: float, slowness: float = 1.0) -> Storm | None:
    """Return the storm that the samples since the last progress prove.

    That progress was ``stale_s`` seconds ago. ``slowness`` is the factor by which this machine is
    slower than a usual one.
    """
    received = [_without_senders(sample) for sample in samples]
    counts: collections.Counter[Key] = collections.Counter()
    for sample in received:
        counts.update({**dict.fromkeys(sample.seen_after_pauses, 0), **sample.storming})
    look_count = sum(sample.look_count for sample in samples)
    for (tid, number), count in counts.most_common():
        # A profiler's timer interrupts healthy work regularly.
        if number not in TIMERS and (
            (slowness <= _QUICK_LOOKS and _comes_and_goes(received, (tid, number), stale_s))
            or _is_seen_often(received, (tid, number), stale_s, slowness)
            or _takes_turns(received, (tid, number))
        ):
            return Storm(tid, number, count / look_count)
    return None


def computes_between(samples: Sequence[Sample], key: Key) -> bool:
    """Whether a thread clearly computes between the signals that it gets, as under a profiler."""
    switches, ran_ns = _usage_between(samples[0], samples[-1], key[0])
    dense = sum(key in sample.dense for sample in samples)
    return ran_ns >= max(_COMPUTED_NS, switches * _TURN_NS) and dense < _LEAST_LIVELY_SAMPLES


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
        and _is_turning([_usage_between(samples[0], samples[-1], key[0])])
    )


def _is_seen_often(
    samples: Sequence[Sample], key: Key, stale_s: float, slowness: float = 1.0
) -> bool:
    """Whether a signal was in many looks, and came or went within many samples.

    A signal that is pending in all looks of a sample may belong to a thread that is not scheduled.
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
        for rule in STORM_RULES
    ) and _is_turning([_usage_between(samples[0], samples[-1], key[0])], slowness)


def _takes_turns(samples: Sequence[Sample], key: Key) -> bool:
    """Whether a thread was woken for a signal again and again, and did nothing else.

    Counts from one sample that shows the signal to the next, with few samples between them. Another
    thread, the sender, must be scheduled as often.
    """
    tid, _ = key
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
    own_usage = [_usage_between(*pair, tid) for pair in pairs]
    if sum(switches > 1 for switches, _ in own_usage) < _TURN_PAIRS or not _is_turning(own_usage):
        return False
    total = sum(switches for switches, _ in own_usage)
    for other in samples[-1].threads:
        other_usage = (
            [_usage_between(*pair, other.tid) for pair in pairs] if other.tid != tid else []
        )
        if (
            _is_turning(other_usage)
            and total / 2 <= sum(each for each, _ in other_usage) <= total * 2
        ):
            return True
    return False


def _is_turning(usage_pairs: Sequence[tuple[int, int]], slowness: float = 1.0) -> bool:
    """Whether a thread was woken again and again, and did next to nothing each time."""
    switches, ran_ns = (
        (sum(part) for part in zip(*usage_pairs, strict=True)) if usage_pairs else (0, 0)
    )
    return switches >= _TURN_SWITCHES and ran_ns <= switches * _TURN_NS * slowness


def _usage_between(before: Sample, after: Sample, tid: int) -> tuple[int, int]:
    """Return a thread's switches and processor time (in nanoseconds) between two samples."""
    first = next((thread for thread in before.threads if thread.tid == tid), None)
    then = next((thread for thread in after.threads if thread.tid == tid), None)
    if first is None or then is None:
        return 0, 0
    ticks = then.cpu_ticks - first.cpu_ticks
    ran_ns = then.ran_ns - first.ran_ns if then.ran_ns else ticks * _TICK_NS
    return then.switches - first.switches, ran_ns
