"""Classifies the activity of a process, watched for a few seconds with the rules of the matrix.

A cell of the matrix reports when its event loop turns; an application does not. So a storm must
also keep its thread from everything else, and a main thread that waits in its runtime's event loop
is healthy. Inactivity counts only for the time in which the process could run.
"""

from __future__ import annotations

import collections
import os
import time
from typing import TYPE_CHECKING

import msgspec

from gobun import observe
from gobun.diagnose.records import Activity, Storm
from gobun.diagnose.waiting import native_wait
from gobun.matrix import hang_detector
from gobun.matrix.samples import SAMPLE_EVERY_S, Sampler, counter_growth, senders_in
from gobun.matrix.storms import TIMERS, computes_between
from gobun.observe import EVENT_WAITS, syscall_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gobun.diagnose.records import Movement
    from gobun.matrix.samples import Sample

WORKS_AFTER_S = 1.6
"""Seconds after which a process that waits for events counts as working, and one that sleeps in
another call as waiting."""

GIVE_UP_AFTER_S = 12.0
_LEAST_SAMPLES, _AT_MOST_S = 24, 40.0
"""Where nothing is clear, the watch lasts about ``GIVE_UP_AFTER_S`` and has at least this many
samples, because this program also gets little time on a busy machine. The second value limits the
watch, in seconds."""

STARVED_SHARE = 0.35
"""A process that could run for less than this share of the time is starved."""
_STARVED_LOOK_S = 6.0
CLEAR_SHARE = 0.8
"""A storm shows clearly in a process that could run for at least this share of the time."""
_LEAST_SWITCHES = 20

STORM_SWITCHES = 200
"""Context switches a second at which a signal keeps a thread from its work. Only seconds in which
the process could run count. A thread with a processor to itself switches less: it only has to run
for half of the time, and to have the signal in half of the looks."""
_STORM_LOOK_SHARE = 0.5
_SUSPICIOUS_SAMPLES = 2

_COMPUTES_S, _COMPUTES_AT_MOST_S = 3.2, 25.0
_LOCKED_S = 4.0
_SHORT_S = 0.3
"""Seconds. A shorter sleep is part of normal work."""
_RUNNABLE_SHARE = 0.9
_WAITS_A_SECOND = 5
"""A runnable thread with at most this many voluntary context switches a second only computes."""

_LOCKS = ("futex", "futex_wait", "futex_waitv")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_TAKES_TURNS = 0.5
_LEAST_SHARE = 0.001


def watch_process(pid: int, *, clock: Callable[[], float] = time.monotonic) -> Activity:
    """Watch a process until its activity is clear, for at most about 40 seconds."""
    started = clock()
    samples: list[Sample] = []
    calls: list[str] = []
    senders: collections.Counter[int] = collections.Counter()
    sampler = Sampler(pid, signals=True)
    before = observe.usage(pid)
    while True:
        sample = sampler.take_sample(clock())
        if not sample.threads or (
            sample.main_thread is not None and sample.main_thread.state in "ZX"
        ):
            return Activity("ended", "the process ended", clock() - started)
        senders.update(senders_in(sample))
        samples.append(sample.without_threads(senders_in(sample)))
        calls.append(syscall_of(pid, pid))
        able = observe.able_share(before, observe.usage(pid), clock() - started)
        activity = judge_activity(
            samples, calls, [tid for tid, _ in senders.most_common()], able_share=able
        )
        if activity is not None:
            return _with_native_wait(pid, activity, _still_s(samples))
        time.sleep(SAMPLE_EVERY_S)


def judge_activity(
    samples: Sequence[Sample],
    calls: Sequence[str],
    senders: Sequence[int] = (),
    *,
    able_share: float = 1.0,
) -> Activity | None:
    """Return the activity that these samples show, or None while they are inconclusive.

    ``calls`` are the system calls of the main thread, one for each sample. ``senders`` are the
    threads that were seen to send signals, the most frequent first. ``able_share`` is the share of
    the time in which the process could run, from 0 to 1.
    """
    first, last = samples[0], samples[-1]
    if first.main_thread is None or last.main_thread is None:
        return None
    seconds = last.at - first.at
    ending = hang_detector.judge(samples, first.at)
    suspect = _suspected_storm(samples, senders)
    if ending is not None and ending.kind == "livelock" and suspect is not None:
        if _keeps_from_work(samples, suspect, able_share):
            return Activity("storm", ending.detail, seconds, suspect, able=able_share)
    elif ending is not None and ending.kind == "deadlock":
        return Activity("deadlock", ending.detail, seconds, able=able_share)
    kind = _clear_activity(samples, calls, able_share)
    if kind is None:
        return None
    detail = _DETAILS[kind](samples, calls, able_share)
    return Activity(kind, detail, seconds, suspect=suspect, able=able_share)


def _clear_activity(
    samples: Sequence[Sample], calls: Sequence[str], able_share: float
) -> Movement | None:
    """Return the activity of a process without a storm or a proven deadlock, once it is clear."""
    seconds = samples[-1].at - samples[0].at
    starved = able_share < STARVED_SHARE
    over = seconds >= _AT_MOST_S or (
        seconds >= GIVE_UP_AFTER_S - 1 and len(samples) >= _LEAST_SAMPLES
    )
    still_s = _still_s(samples)
    if still_s > _SHORT_S and calls[-1] not in EVENT_WAITS:
        locked = _is_lock(samples[-1], calls[-1])
        if locked and starved:  # the holder of the lock may not get to run
            return "starved" if over else None
        return "waits" if still_s >= (_LOCKED_S if locked else WORKS_AFTER_S) else None
    if _always_runnable(samples) and not _may_storm(samples):
        if seconds * able_share >= _COMPUTES_S:
            return "busy"
        return "starved" if over and seconds >= _COMPUTES_AT_MOST_S else None
    # On a busy machine, a storm shows in few looks at first. A main thread that waited for events
    # is healthy. Every other main thread gets more time.
    soon = _STARVED_LOOK_S if starved else WORKS_AFTER_S
    if any(call in EVENT_WAITS for call in calls) and not _may_storm(samples):
        return "works" if seconds >= soon else None
    if not over:
        return None
    # On a machine that is not busy, a storm would have been clear long before.
    unclear = _may_storm(samples) if able_share < CLEAR_SHARE else False
    return "starved" if unclear or (starved and not _is_woken(samples, calls)) else "works"


def _with_native_wait(pid: int, activity: Activity, still_s: float) -> Activity:
    """Add the main thread's wait, if known. If a library waits, ``works`` becomes ``waits``.

    The main thread has not run for at least ``still_s`` seconds.
    """
    if activity.kind in {"storm", "busy", "starved"}:
        return activity
    wait = native_wait(pid, still_s if activity.kind != "works" else 0.0)
    if activity.kind != "works":
        return msgspec.structs.replace(activity, wait=wait)
    if wait is None or wait.in_runtime:
        return activity
    return msgspec.structs.replace(activity, kind="waits", wait=wait)


def _may_storm(samples: Sequence[Sample]) -> bool:
    seen = collections.Counter(key for s in samples for key in s.storming if key[1] not in TIMERS)
    return any(
        count >= _SUSPICIOUS_SAMPLES and not computes_between(samples, key)
        for key, count in seen.items()
    )


def _is_woken(samples: Sequence[Sample], calls: Sequence[str]) -> bool:
    """Whether the main thread waits and is woken, as it does during normal work.

    Waits for locks do not count: a thread in an endless loop waits for the collector's threads too.
    """
    if not {*calls} - {"", "running", *_LOCKS}:
        return False
    mains = [sample.main_thread for sample in samples if sample.main_thread is not None]
    return not _may_storm(samples) and mains[-1].voluntary - mains[0].voluntary >= _LEAST_SWITCHES


def _still_s(samples: Sequence[Sample]) -> float:
    """Return for how many seconds the main thread has slept without being scheduled."""
    last = samples[-1].main_thread
    start = samples[-1].at
    for sample in reversed(samples):
        main = sample.main_thread
        if main is None or last is None or main.state not in "SD":
            break
        if main.switches != last.switches:
            break
        start = sample.at
    return samples[-1].at - start


def _is_lock(sample: Sample, call: str) -> bool:
    main = sample.main_thread
    return call in _LOCKS or (not call and main is not None and "futex" in main.waits_in)


def _works_evidence(samples: Sequence[Sample], calls: Sequence[str], _: float) -> str:
    seconds = samples[-1].at - samples[0].at
    cpu_s = (samples[-1].cpu_ticks - samples[0].cpu_ticks) / _TICKS_A_SECOND
    call = collections.Counter(calls).most_common(1)[0][0]
    waits = "it waits for events" if call in EVENT_WAITS else f"its main thread was in {call}"
    where = waits if call not in {"", "running"} else "its main thread works"
    return f"{where}; {cpu_s:.1f} s of CPU time in {seconds:.1f} s"


def _waits_evidence(samples: Sequence[Sample], calls: Sequence[str], _: float) -> str:
    seconds = _still_s(samples)
    return f"the main thread was in {calls[-1] or 'a wait'} and not scheduled in {seconds:.1f} s"


def _busy_evidence(samples: Sequence[Sample], _calls: Sequence[str], _able_share: float) -> str:
    seconds = samples[-1].at - samples[0].at
    return f"the main thread computed for {seconds:.1f} s and never waited for anything"


def _starved_evidence(samples: Sequence[Sample], _: Sequence[str], able_share: float) -> str:
    seconds = samples[-1].at - samples[0].at
    cpu_s = (samples[-1].cpu_ticks - samples[0].cpu_ticks) / _TICKS_A_SECOND
    return (
        f"it could run for {able_share:.0%} of {seconds:.1f} s, and waited for a processor the "
        f"rest; {cpu_s:.1f} s of CPU time"
    )


_DETAILS: dict[Movement, Callable[[Sequence[Sample], Sequence[str], float], str]] = {
    "works": _works_evidence,
    "waits": _waits_evidence,
    "busy": _busy_evidence,
    "starved": _starved_evidence,
}


def _keeps_from_work(samples: Sequence[Sample], storm: Storm, able_share: float) -> bool:
    """Whether a signal interrupts its thread so often that it does nothing else."""
    handles_alone = (
        storm.share >= _STORM_LOOK_SHARE and _running_share(samples, storm.tid) >= _STORM_LOOK_SHARE
    )
    return (
        storm.switches_a_second >= STORM_SWITCHES * max(able_share, _LEAST_SHARE) or handles_alone
    )


def _suspected_storm(samples: Sequence[Sample], senders: Sequence[int]) -> Storm | None:
    """Return the signal that was seen most in one thread, and in two samples or more."""
    looks = sum(sample.look_count for sample in samples)
    signal_counts: collections.Counter[tuple[int, int]] = collections.Counter()
    present: collections.Counter[tuple[int, int]] = collections.Counter()
    for sample in samples:
        counts = {key: n for key, n in sample.storming.items() if key[1] not in TIMERS}
        signal_counts.update(counts)
        present.update(counts.keys())
    often = [key for key, _ in signal_counts.most_common() if present[key] >= _SUSPICIOUS_SAMPLES]
    if not often:
        return None
    tid, number = often[0]
    rates = _switch_rates(samples)
    main = samples[-1].main_thread
    return Storm(
        signal=number,
        tid=tid,
        thread=next((t.name for t in samples[-1].threads if t.tid == tid), "?"),
        is_main=main is not None and main.tid == tid,
        share=signal_counts[tid, number] / looks,
        switches_a_second=round(rates.get(tid, 0.0)),
        sender=_sender(samples, tid, rates, senders),
    )


def _sender(
    samples: Sequence[Sample], tid: int, rates: dict[int, float], senders: Sequence[int]
) -> str:
    """Return the sender, else a thread scheduled at least half as often as the interrupted one."""
    others = {thread.tid: thread for thread in samples[-1].threads if thread.tid != tid}
    for sender in senders:
        if sender in others:
            return f"{others[sender].name} ({sender})"
    busiest = max(others, key=lambda other: rates.get(other, 0.0), default=0)
    if rates.get(busiest, 0.0) < _TAKES_TURNS * rates.get(tid, 0.0):
        return ""
    return f"{others[busiest].name} ({busiest})"


def _always_runnable(samples: Sequence[Sample]) -> bool:
    """Whether the main thread was runnable all the time, even if it got no processor."""
    mains = [sample.main_thread for sample in samples if sample.main_thread is not None]
    runnable = sum(main.state == "R" for main in mains) / len(mains)
    waited = mains[-1].voluntary - mains[0].voluntary
    seconds = samples[-1].at - samples[0].at
    return runnable >= _RUNNABLE_SHARE and waited <= _WAITS_A_SECOND * seconds


def _running_share(samples: Sequence[Sample], tid: int) -> float:
    """Return the share of the time in which a thread ran."""
    seconds = max(samples[-1].at - samples[0].at, 0.001)
    return counter_growth(samples, tid, "cpu_ticks") / _TICKS_A_SECOND / seconds


def _switch_rates(samples: Sequence[Sample]) -> dict[int, float]:
    before = {thread.tid: thread.switches for thread in samples[0].threads}
    seconds = max(samples[-1].at - samples[0].at, 0.001)
    return {
        thread.tid: (thread.switches - before[thread.tid]) / seconds
        for thread in samples[-1].threads
        if thread.tid in before
    }
