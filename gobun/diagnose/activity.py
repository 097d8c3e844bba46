"""How a process moves: watched for a few seconds, with the rules that the matrix watches by.

A cell of the matrix says when its event loop turns; somebody's own process does not. So a storm
also has to keep its thread from everything else, and a process that waits for events is well.
"""

from __future__ import annotations

import collections
import os
import time
from typing import TYPE_CHECKING

import msgspec

from gobun.diagnose.records import Activity, Storm
from gobun.matrix import hang_detector
from gobun.observe import EVENT_WAITS, syscall_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gobun.matrix.hang_detector import Sample

WORKS_AFTER_S = 1.6
"""A process that does something else than wait for one of its own threads is well by then."""

GIVE_UP_AFTER_S = 12.0
STORM_SWITCHES = 200
"""Context switches a second below which a thread is interrupted, but not kept from its work: unless
it has a core to itself, uses it, and was found in its handler half the time."""
_HALF = 0.5

_RUNNABLE_SHARE = 0.9
_WAITS_A_SECOND = 5
"""Voluntary context switches a second up to which a runnable thread does nothing but compute."""


_LOCKS = ("futex", "futex_wait", "futex_waitv")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_TAKES_TURNS = 0.5


def watch_process(pid: int, *, clock: Callable[[], float] = time.monotonic) -> Activity:
    """Watch a process until it is clear how it moves, for some seconds at most."""
    started = clock()
    samples: list[Sample] = []
    calls: list[str] = []
    senders: collections.Counter[int] = collections.Counter()
    sampler = hang_detector.Sampler(pid, signals=True)
    while clock() - started < GIVE_UP_AFTER_S:
        sample = sampler.take(clock())
        if not sample.threads or (sample.main is not None and sample.main.state in "ZX"):
            return Activity("ended", "the process ended", clock() - started)
        senders.update(hang_detector.senders_in(sample))
        samples.append(_without(sample, hang_detector.senders_in(sample)))
        calls.append(syscall_of(pid, pid))
        found = judge_activity(samples, calls, [tid for tid, _ in senders.most_common()])
        if found is not None:
            return found
        time.sleep(hang_detector.SAMPLE_EVERY_S)
    return Activity("works", "it was seen to work", clock() - started)


def judge_activity(
    samples: Sequence[Sample], calls: Sequence[str], senders: Sequence[int] = ()
) -> Activity | None:
    """Return how a process moves by these samples, or None while they do not tell.

    ``calls`` are the system calls its main thread was in, ``senders`` the threads that were seen
    to send signals, most of all first.
    """
    first, last = samples[0], samples[-1]
    if first.main is None or last.main is None:
        return None
    seconds = last.at - first.at
    ending = hang_detector.judge(samples, first.at)
    if ending is not None and ending.kind == "livelock":
        storm = _storm(samples, senders)
        if storm is not None:
            return Activity("storm", ending.detail, seconds, storm)
    locked = _waits_for_a_thread(samples, calls)
    if locked and ending is not None and ending.kind == "deadlock":
        return Activity("deadlock", ending.detail, seconds)
    if _computes(samples) and not _may_storm(samples):
        if seconds < 2 * WORKS_AFTER_S:
            return None
        detail = f"the main thread computed for {seconds:.1f} s and never waited for anything"
        return Activity("busy", detail, seconds)
    # On a busy machine a storm is seen in few looks at first. A main thread that was seen to wait
    # for events is well; any other is given the time to show what it does.
    waited = any(call in EVENT_WAITS for call in calls)
    if seconds < (WORKS_AFTER_S if waited and not _may_storm(samples) else GIVE_UP_AFTER_S - 1):
        return None
    if not locked:
        return Activity("works", _works(samples, calls), seconds)
    return None


def _may_storm(samples: Sequence[Sample]) -> bool:
    stormy = [
        s for s in samples if any(number not in hang_detector.TIMERS for _, number in s.storming)
    ]
    return len(stormy) >= 2


def _waits_for_a_thread(samples: Sequence[Sample], calls: Sequence[str]) -> bool:
    """Whether the main thread was found in a lock all the time, and never got on."""
    mains = [sample.main for sample in samples]
    still = len({main.switches for main in mains if main is not None}) == 1
    locked = all(
        call in _LOCKS or (not call and main is not None and "futex" in main.waits_in)
        for call, main in zip(calls, mains, strict=True)
    )
    return still and locked


def _works(samples: Sequence[Sample], calls: Sequence[str]) -> str:
    seconds = samples[-1].at - samples[0].at
    used = (samples[-1].cpu_ticks - samples[0].cpu_ticks) / _TICKS_A_SECOND
    call = collections.Counter(calls).most_common(1)[0][0]
    waits = "it waits for events" if call in EVENT_WAITS else f"its main thread was in {call}"
    where = waits if call not in {"", "running"} else "its main thread works"
    return f"{where}; {used:.1f} s of CPU time in {seconds:.1f} s"


def _storm(samples: Sequence[Sample], senders: Sequence[int]) -> Storm | None:
    looks = sum(sample.looks for sample in samples)
    seen: collections.Counter[tuple[int, int]] = collections.Counter()
    for sample in samples:
        seen.update(
            {key: n for key, n in sample.storming.items() if key[1] not in hang_detector.TIMERS}
        )
    (tid, number), count = seen.most_common(1)[0]
    rates = _switch_rates(samples)
    rate = rates.get(tid, 0.0)
    handles_alone = count / looks >= _HALF and _used(samples, tid) >= _HALF
    if rate < STORM_SWITCHES and not handles_alone:
        return None
    main = samples[-1].main
    return Storm(
        signal=number,
        tid=tid,
        thread=next((t.name for t in samples[-1].threads if t.tid == tid), "?"),
        is_main=main is not None and main.tid == tid,
        share=count / looks,
        switches_a_second=round(rate),
        sender=_sender(samples, tid, rates, senders),
    )


def _sender(
    samples: Sequence[Sample], tid: int, rates: dict[int, float], senders: Sequence[int]
) -> str:
    """Return the thread that sends, else the one scheduled as often as the one it interrupts."""
    others = {thread.tid: thread for thread in samples[-1].threads if thread.tid != tid}
    for sender in senders:
        if sender in others:
            return f"{others[sender].name} ({sender})"
    busiest = max(others, key=lambda other: rates.get(other, 0.0), default=0)
    if rates.get(busiest, 0.0) < _TAKES_TURNS * rates.get(tid, 0.0):
        return ""
    return f"{others[busiest].name} ({busiest})"


def _without(sample: Sample, tids: set[int]) -> Sample:
    kept = {key: n for key, n in sample.storming.items() if key[0] not in tids}
    return msgspec.structs.replace(sample, storming=kept)


def _computes(samples: Sequence[Sample]) -> bool:
    """Whether the main thread could run all the time, also where others kept it from it."""
    mains = [sample.main for sample in samples if sample.main is not None]
    runnable = sum(main.state == "R" for main in mains) / len(mains)
    waited = mains[-1].voluntary - mains[0].voluntary
    seconds = samples[-1].at - samples[0].at
    return runnable >= _RUNNABLE_SHARE and waited <= _WAITS_A_SECOND * seconds


def _used(samples: Sequence[Sample], tid: int) -> float:
    """Return the share of the time that a thread ran."""
    seconds = max(samples[-1].at - samples[0].at, 0.001)
    return hang_detector.counter_growth(samples, tid, "cpu_ticks") / _TICKS_A_SECOND / seconds


def _switch_rates(samples: Sequence[Sample]) -> dict[int, float]:
    before = {thread.tid: thread.switches for thread in samples[0].threads}
    seconds = max(samples[-1].at - samples[0].at, 0.001)
    return {
        thread.tid: (thread.switches - before[thread.tid]) / seconds
        for thread in samples[-1].threads
        if thread.tid in before
    }
