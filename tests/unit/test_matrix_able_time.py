"""The time in which a process was able to run, and the limit that uses it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from gobun import observe
from gobun.matrix.able_time import GAP_S, AbleClock
from gobun.observe import Usage, able_share

SECOND_NS = 10**9


def usage_of(
    ran_s: float, queued_s: float, *, threads: int = 1, runnable: bool = False, **kwargs: int
) -> Usage:
    """Return the usage of threads, each with its time on a processor and in the queue."""
    each = (int(ran_s * SECOND_NS), int(queued_s * SECOND_NS))
    return Usage(
        thread_times=dict.fromkeys(range(threads), each),
        cores=kwargs.get("cores", 2),
        throttled_ns=kwargs.get("throttled_ns", 0),
        major_faults=kwargs.get("major_faults", 0),
        on_disk=bool(kwargs.get("on_disk", 0)),
        runnable=frozenset(range(threads if runnable else 0)),
    )


ZERO_USAGE = usage_of(0, 0)


@pytest.mark.parametrize(
    ("after", "share"),
    [
        (usage_of(0, 0), 1.0),  # asleep: needs no processor
        (usage_of(1, 0), 1.0),
        (usage_of(0.1, 0.9), 0.1),
        (usage_of(0.05, 0.15), 0.85),
        (usage_of(0.02, 0.98, threads=100), 1.0),  # uses both processors, and starves itself
        (usage_of(0.1, 0, throttled_ns=SECOND_NS * 9 // 10), 0.1),
        (
            usage_of(0, 0, throttled_ns=SECOND_NS),
            1.0,
        ),  # its group has no time left, and it needs none
        (usage_of(1, 0, major_faults=500), 0.0),
        (usage_of(0, 0, on_disk=1), 0.0),
    ],
)
def test_able_share_is_received_part_of_requested_time(after: Usage, share: float) -> None:
    assert able_share(ZERO_USAGE, after, 1.0) == pytest.approx(share)


def test_able_share_ignores_threads_seen_once() -> None:
    before = usage_of(5, 5, threads=2)
    assert able_share(before, usage_of(5.1, 5.9), 1.0) == pytest.approx(0.1)
    assert able_share(ZERO_USAGE, usage_of(0.5, 0.5, threads=2), 1.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("after", "share"),
    [
        (usage_of(0, 0, runnable=True), 0.0),  # in the queue all the time, which is not counted yet
        (usage_of(0.5, 0.5, runnable=True), 0.5),
        (usage_of(1, 0, runnable=True), 1.0),
        (usage_of(0, 0, threads=8, runnable=True), 0.0),
    ],
)
def test_able_share_thread_still_in_queue_was_not_able(after: Usage, share: float) -> None:
    before = usage_of(0, 0, threads=len(after.thread_times))
    assert able_share(before, after, 1.0) == pytest.approx(share)


def test_able_clock_counts_a_harness_pause_as_short() -> None:
    clock = AbleClock(20.0, now=0.0)
    clock.look([], 0.25)
    clock.look([], 3600.0)
    assert clock.able_s == pytest.approx(0.25 + GAP_S)
    assert not clock.is_over
    assert not clock.out_of_patience


def test_able_clock_ends_after_the_limit() -> None:
    clock = AbleClock(1.0, now=0.0)
    for tenth in range(1, 11):
        clock.look([], tenth / 10)
    assert clock.is_over
    assert not clock.is_starved


def test_able_clock_new_process_counts_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "usage", lambda _: usage_of(0.05, 0.2))
    clock = AbleClock(1.0, now=0.0)
    clock.look([7], 0.25)
    assert clock.able_s == pytest.approx(0.05)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_usage_of_a_real_process_counts_its_time() -> None:
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        deadline = time.monotonic() + 10
        while (
            sum(ran for ran, _ in observe.usage(spinning.pid).thread_times.values())
            < SECOND_NS // 20
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        spinning.kill()
        spinning.wait()
    assert observe.usage(spinning.pid).thread_times == {}
    assert observe.usage(os.getpid()).cores >= 1
