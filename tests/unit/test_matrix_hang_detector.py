"""The rules that detect a hang, on handmade samples."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import msgspec
import pytest

from gobun.matrix.hang_detector import judge, verdict_at_limit
from gobun.matrix.samples import Sample, sample_is_due
from gobun.observe import Blocked, Thread, signal_name, signal_numbers

if TYPE_CHECKING:
    from gobun.cells.records import Ending

MAIN_THREAD = Thread(
    tid=7, name="bun", state="S", cpu_ticks=5, switches=40, waits_in="futex", pending=0, blocked=0
)
OTHER_THREAD = msgspec.structs.replace(MAIN_THREAD, tid=8, name="worker")
LOCKED = Blocked(
    tid=7, name="bun", state="S", call="futex", wakes="thread", can_return="no", why="a lock"
)
SLEEPS = msgspec.structs.replace(
    LOCKED, call="clock_nanosleep", wakes="itself", can_return="yes", why="it sleeps"
)
READS_OWN_PIPE = msgspec.structs.replace(LOCKED, call="read", why="pipe (read)")


def samples(
    seconds: float,
    *,
    storming: dict[tuple[int, int], int] | None = None,
    main: Thread = MAIN_THREAD,
    other: Thread = OTHER_THREAD,
    switches: int = 0,
    turns: int = 0,
    other_ticks: int = 0,
) -> list[Sample]:
    """Ten samples per second of a main thread, which makes no progress by default.

    Both threads are switched ``turns`` times between two samples, and the main one ``switches``
    times more.
    """
    return [
        Sample(
            at=100 + i / 10,
            threads=(
                msgspec.structs.replace(main, switches=40 + i * (switches + turns)),
                msgspec.structs.replace(
                    other, switches=40 + i * turns, cpu_ticks=5 + i * other_ticks
                ),
            ),
            look_count=60,
            storming=storming or {},
        )
        for i in range(int(seconds * 10) + 1)
    ]


def test_judge_single_sample_proves_nothing() -> None:
    assert judge(samples(0), 0.0) is None
    assert judge([], 0.0) is None


def test_judge_constant_signal_on_slow_machine_is_a_storm_later() -> None:
    def seen(seconds: float, looks: int) -> Ending | None:
        return judge(samples(seconds, storming={(7, 30): looks}, turns=1000), 100, slowness=20)

    assert seen(18, 2) is None
    assert seen(24, 2) is not None
    assert seen(10, 12) is None
    ending = seen(14, 12)
    assert ending is not None
    assert ending.outcome == "hang"
    assert "SIGPWR was pending or being handled in the main thread in 20% of looks" in ending.detail


def turning_samples(
    seconds: float,
    *,
    switches: int,
    ran_ns: int,
    partner: bool = True,
    queued_ns: int = 99_000_000,
    storming: dict[tuple[int, int], int] | None = None,
    changes: int = 0,
) -> list[Sample]:
    """Return samples of two threads on a busy machine, by default with a signal in every look.

    The sender waits for a processor for ``queued_ns`` of the 100 ms between two samples.
    """

    storming = {(7, 30): 60} if storming is None else storming

    def moved(thread: Thread, i: int) -> Thread:
        return msgspec.structs.replace(
            thread, switches=thread.switches + i * switches, ran_ns=i * ran_ns
        )

    return [
        msgspec.structs.replace(
            sample,
            threads=(
                moved(MAIN_THREAD, i),
                msgspec.structs.replace(moved(OTHER_THREAD, i), queued_ns=i * queued_ns)
                if partner
                else OTHER_THREAD,
            ),
            changes=dict.fromkeys(storming, changes),
        )
        for i, sample in enumerate(samples(seconds, storming=storming))
    ]


@pytest.mark.parametrize(
    ("switches", "ran_ns", "is_storm"),
    [
        pytest.param(1_100, 40_000_000, True, id="a storm: 36 µs a switch"),
        pytest.param(480, 53_000_000, False, id="a profiled computation: 110 µs a switch"),
        pytest.param(5, 20_000_000, False, id="few switches"),
    ],
)
def test_judge_profiled_computation_is_no_storm(switches: int, ran_ns: int, is_storm: bool) -> None:
    # A profiler may be seen in a third of the looks, and change a signal 10 times in a sample.
    series = turning_samples(
        20, switches=switches, ran_ns=ran_ns, storming={(8, 30): 20}, changes=10
    )
    assert (judge(series, 100) is not None) is is_storm


def test_judge_dense_signals_are_a_storm_without_switches() -> None:
    def dense(seconds: float, every: int) -> Ending | None:
        series = turning_samples(seconds, switches=0, ran_ns=90_000_000, storming={(8, 30): 30})
        return judge(
            [
                msgspec.structs.replace(each, dense=frozenset({(8, 30)} if i % every == 0 else ()))
                for i, each in enumerate(series)
            ],
            100,
        )

    assert dense(0.3, 1) is None  # four samples
    ending = dense(0.4, 1)
    assert ending is not None
    assert ending.kind == "livelock"
    assert dense(6, 8) is not None
    assert dense(20, 15) is None


def test_judge_unscheduled_thread_with_pending_signals_is_no_storm() -> None:
    assert judge(samples(3.5, storming={(7, 30): 60}, switches=1), 100) is None


def test_judge_storm_in_another_thread_names_it() -> None:
    series = turning_samples(1.2, switches=1000, ran_ns=8_000_000, storming={(8, 10): 30})
    ending = judge(series, 100)
    assert ending is not None
    assert "SIGUSR1 was pending or being handled in thread 'worker' in 50% of looks" in (
        ending.detail
    )


def test_judge_occasional_signal_is_no_storm() -> None:
    assert judge(samples(3, storming={(7, 30): 1}, switches=200), 100) is None
    rare = samples(3, switches=200)
    rare[3] = msgspec.structs.replace(rare[3], storming={(7, 30): 60})
    rare[9] = msgspec.structs.replace(rare[9], storming={(7, 30): 60})
    assert judge(rare, 100) is None


@pytest.mark.parametrize("number", [signal.SIGPROF, signal.SIGURG])
def test_judge_profiler_timer_and_go_preemption_are_no_storm(number: int) -> None:
    assert judge(samples(3, storming={(7, number): 40}, turns=1000), 100) is None
    storming = {(7, signal.SIGPROF): 40, (8, 30): 20}
    both = turning_samples(3, switches=1000, ran_ns=8_000_000, storming=storming)
    assert judge(both, 100) is not None


def waiting_samples(seconds: float, *waits: Blocked) -> list[Sample]:
    """Return samples that each contain the waits of all threads."""
    return [msgspec.structs.replace(sample, waits=waits) for sample in samples(seconds)]


def test_judge_unopened_locks_are_a_deadlock_soon() -> None:
    other = msgspec.structs.replace(LOCKED, tid=8)
    assert judge(waiting_samples(0.3, LOCKED, other), 100) is None
    ending = judge(waiting_samples(0.5, LOCKED, other), 100)
    assert ending is not None
    assert ending.kind == "deadlock"
    assert ending.detail.startswith("deadlock: the main thread slept in futex")


def test_judge_unwritten_own_files_are_a_deadlock_later() -> None:
    assert judge(waiting_samples(1.5, READS_OWN_PIPE), 100) is None
    ending = judge(waiting_samples(2.5, READS_OWN_PIPE), 100)
    assert ending is not None
    assert ending.kind == "deadlock"


def test_judge_returnable_wait_is_never_a_deadlock() -> None:
    beside = msgspec.structs.replace(LOCKED, can_return="unknown")
    for waits in ((SLEEPS,), (beside, SLEEPS), (SLEEPS, LOCKED)):
        assert judge(waiting_samples(60, *waits), 100) is None


def test_judge_without_blocking_facts_finds_no_deadlock() -> None:
    assert judge(samples(60), 100) is None


def test_judge_thread_woken_since_is_no_deadlock() -> None:
    series = waiting_samples(3, LOCKED)
    woken = msgspec.structs.replace(MAIN_THREAD, switches=MAIN_THREAD.switches + 1)
    series[-1] = msgspec.structs.replace(series[-1], threads=(woken, OTHER_THREAD), waits=())
    assert judge(series, 100) is None


def test_judge_scheduled_main_thread_is_no_deadlock() -> None:
    moving = [
        msgspec.structs.replace(
            sample, threads=(msgspec.structs.replace(MAIN_THREAD, switches=40 + i), OTHER_THREAD)
        )
        for i, sample in enumerate(waiting_samples(6, LOCKED))
    ]
    assert judge(moving, 100) is None


def test_judge_running_or_disk_waiting_thread_is_no_deadlock() -> None:
    for state, wakes in (("R", "itself"), ("D", "outside")):
        busy = msgspec.structs.replace(LOCKED, tid=8, state=state, wakes=wakes, can_return="yes")
        beside = msgspec.structs.replace(LOCKED, can_return="unknown")
        assert judge(waiting_samples(6, beside, busy), 100) is None


def test_judge_fast_changing_signal_is_a_storm_at_once() -> None:
    def stormy(seconds: float, changes: int) -> Ending | None:
        series = [
            msgspec.structs.replace(sample, changes={(7, 30): changes})
            for sample in samples(seconds, storming={(7, 30): 20}, turns=1000)
        ]
        return judge(series, 100)

    assert stormy(0.09, 50) is None  # one sample
    ending = stormy(0.2, 20)
    assert ending is not None
    assert ending.kind == "livelock"
    assert stormy(0.2, 7) is None  # three samples with 21 changes
    assert stormy(0.3, 7) is not None


def test_judge_starved_threads_waking_each_other_are_a_storm() -> None:
    ending = judge(turning_samples(1.2, switches=12, ran_ns=12 * 20_000), 100)
    assert ending is not None
    assert ending.kind == "livelock"


def test_judge_starved_thread_computing_is_no_storm() -> None:
    assert judge(turning_samples(60, switches=5, ran_ns=5 * 3_000_000), 100) is None
    assert judge(turning_samples(8, switches=12, ran_ns=240_000, partner=False), 100) is None


@pytest.mark.parametrize("queued_ns", [0, 45_000_000, 70_000_000])
def test_judge_profiled_wait_is_no_storm(queued_ns: int) -> None:
    # A profiler suspends the sleeping thread a thousand times a second, and sleeps in between.
    free = (100_000_000 - queued_ns) / 100_000_000
    turns = round(340 * free)
    series = turning_samples(20, switches=turns, ran_ns=turns * 8_000, queued_ns=queued_ns)
    assert judge(series, 100) is None


def test_judge_profiler_on_slow_machine_is_no_storm() -> None:
    # Looks take 20 times longer there, so each finds another signal of a healthy profiler.
    series = [
        msgspec.structs.replace(each, changes={(7, 30): 40})
        for each in samples(60, storming={(7, 30): 30}, switches=200, turns=20)
    ]
    assert judge(series, 100, slowness=20) is None


def test_judge_slow_machine_waits_longer_for_a_deadlock() -> None:
    assert judge(waiting_samples(3, LOCKED), 100) is not None
    assert judge(waiting_samples(3, LOCKED), 100, slowness=20) is None
    ending = judge(waiting_samples(9, LOCKED), 100, slowness=20)
    assert ending is not None
    assert ending.kind == "deadlock"


def test_sample_on_slow_machine_is_due_later() -> None:
    assert sample_is_due(0.03, 0.2)
    assert not sample_is_due(0.03, 0.2, slowness=20)
    assert sample_is_due(0.6, 4.0, slowness=20)


def test_judge_storm_missed_by_some_samples_is_still_proven() -> None:
    def seen_in_every(step: int) -> Ending | None:
        rare = [
            msgspec.structs.replace(sample, storming=sample.storming if i % step == 0 else {})
            for i, sample in enumerate(turning_samples(2.4, switches=1000, ran_ns=1000 * 15_000))
        ]
        return judge(rare, 100)

    assert seen_in_every(3) is not None
    assert seen_in_every(4) is None


def test_judge_storm_seen_after_pauses_alone_is_proven() -> None:
    later = [
        msgspec.structs.replace(sample, storming={}, seen_after_pauses=frozenset({(7, 30)}))
        for sample in turning_samples(0.5, switches=1000, ran_ns=1000 * 15_000)
    ]
    ending = judge(later, 100)
    assert ending is not None
    assert ending.kind == "livelock"


def test_judge_thread_computing_between_suspensions_is_no_storm() -> None:
    # A profiler with an interval of 500 us sends two thousand signals per second, for ever.
    suspended = [
        msgspec.structs.replace(sample, storming={(7, 30): 1})
        for sample in turning_samples(60, switches=200, ran_ns=200 * 250_000)
    ]
    assert judge(suspended, 100) is None


def test_judge_suspended_thread_is_no_storm() -> None:
    # Its handler waits for the signal that resumes it. In a storm, the handler returns at once.
    series = samples(3, storming={(7, 30): 20}, turns=1000)
    assert judge(series, 100) is not None
    series[5] = msgspec.structs.replace(series[5], suspended=frozenset({7}))
    assert judge(series, 100) is None


def test_judge_ended_process_is_no_hang() -> None:
    series = [Sample(at=100 + i, threads=(), look_count=60, storming={}) for i in range(9)]
    assert judge(series, 100) is None


def test_judge_at_the_limit_separates_progress_from_hang() -> None:
    assert verdict_at_limit([], 0.1, 20).kind == "progressing"
    assert verdict_at_limit(samples(30), 30, 20, able_s=0.5).kind == "progressing"
    assert verdict_at_limit(samples(0.5), 0.6, 20).outcome == "timeout"
    ending = verdict_at_limit(samples(9, other_ticks=10), 9.1, 20)
    assert ending.outcome == "hang"
    assert ending.kind == "busy"
    assert "9.1 s, 9.0 s of CPU time" in ending.detail


def test_judge_at_the_limit_names_a_returnable_wait() -> None:
    ending = verdict_at_limit(waiting_samples(9, SLEEPS), 9.1, 9)
    assert (ending.outcome, ending.kind) == ("hang", "waiting")
    assert "in clock_nanosleep (it sleeps), which can return" in ending.detail
    stopped = msgspec.structs.replace(MAIN_THREAD, state="T")
    assert verdict_at_limit(samples(9, main=stopped), 9.1, 9).kind == "stopped"


def test_judge_signals_have_names() -> None:
    assert signal_name(30) == "SIGPWR"
    assert signal_name(36) == "SIGRTMIN+2"
    assert signal_numbers(1 << 29 | 1) == [1, 30]
