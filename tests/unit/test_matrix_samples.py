"""Samples of a silent process: only threads that may change, only while looks learn more."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from gobun import observe
from gobun.matrix.samples import Sample, Sampler, sample_is_due

if TYPE_CHECKING:
    from collections.abc import Iterator

SLEEPER_BESIDE_A_BUSY_THREAD = (
    "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start();"
    "print('up', flush=True)\nwhile True: pass"
)
SIGPWR = 30


class LookLog:
    """Records the inspected threads, and the number of looks in a row."""

    def __init__(self, pending: tuple[int, ...] = (0,), apart_ns: int = 10_000) -> None:
        self.calls: list[tuple[int, int]] = []
        self._pending = pending
        self._apart_ns = apart_ns

    def __call__(self, pid: int, tid: int, count: int) -> list[observe.Look]:
        del pid
        self.calls.append((tid, count))
        each = self._pending
        return [observe.Look(each[i % len(each)], 0, i * self._apart_ns) for i in range(count)]


@pytest.fixture
def busy_process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER_BESIDE_A_BUSY_THREAD], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while not _sleeps(process.pid):  # the thread may not have reached its sleep
            pass
        yield process
        process.kill()


def _sleeps(pid: int) -> bool:
    """Whether the process's second thread sleeps, and slept for the last 50 ms."""
    before = observe.threads(pid)
    time.sleep(0.05)
    after = observe.threads(pid)
    return after[1].state == "S" and before[1].switches == after[1].switches


def test_sampler_thread_asleep_since_last_sample_is_skipped(
    busy_process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = busy_process.pid
    log = LookLog()
    monkeypatch.setattr(observe, "looks_at_signals", log)
    sampler = Sampler(pid, signals=False)
    sampler.take_sample(0.0)
    assert len({tid for tid, _ in log.calls}) == 2
    log.calls.clear()
    sample = sampler.take_sample(1.0)
    assert {tid for tid, _ in log.calls} == {pid}
    assert len(sample.threads) == 2


COMES_AND_GOES = (0, 1 << (SIGPWR - 1))


def test_sampler_lively_sample_needs_no_further_looks(
    busy_process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for pending, is_lively in ((COMES_AND_GOES, True), ((0,), False)):
        log = LookLog(pending)
        monkeypatch.setattr(observe, "looks_at_signals", log)
        sample = Sampler(busy_process.pid, signals=False).take_sample(0.0)
        assert sample.is_lively is is_lively
        assert (len(log.calls) == 1) is is_lively


def test_sampler_changes_count_between_quick_looks_only(
    busy_process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A thread that a profiler suspends once a millisecond differs in every look, if looks are slow.
    log = LookLog(COMES_AND_GOES, apart_ns=1_000_000)
    monkeypatch.setattr(observe, "looks_at_signals", log)
    sample = Sampler(busy_process.pid, signals=False).take_sample(0.0)
    assert not sample.is_lively
    assert sample.storming[busy_process.pid, SIGPWR] == 30


def test_sampler_looks_after_a_pause_may_show_the_storm(
    busy_process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet, stormy = LookLog(), LookLog(COMES_AND_GOES)
    logs = iter([quiet, quiet, stormy])  # the two threads, and one of them after a pause

    def look(pid: int, tid: int, count: int) -> list[observe.Look]:
        return next(logs)(pid, tid, count)

    monkeypatch.setattr(observe, "looks_at_signals", look)
    sample = Sampler(busy_process.pid, signals=False).take_sample(0.0)
    assert sample.is_lively
    assert (sample.storming[busy_process.pid, SIGPWR], sample.look_count) == (30, 60)


def test_sampler_looks_from_two_processors_show_the_storm(
    busy_process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = busy_process.pid
    monkeypatch.setattr(observe, "looks_at_signals", LookLog())
    first, second = observe.threads(pid)
    both_run = tuple(msgspec.structs.replace(thread, state="R") for thread in (first, second))
    monkeypatch.setattr(observe, "threads", lambda _: both_run)
    slow = [observe.Look(COMES_AND_GOES[i % 2], 0, i * 2_000_000) for i in range(20)]
    asked: list[tuple[int, int]] = []

    def looks_in_turn(_: int, tids: tuple[int, int], rounds: int) -> dict[int, list[observe.Look]]:
        asked.append(tids)
        return {pid: slow[: 2 * rounds]}

    monkeypatch.setattr(observe, "looks_in_turn", looks_in_turn)
    sample = Sampler(pid, signals=False).take_sample(0.0)
    assert asked == [(first.tid, second.tid)]
    assert sample.is_lively
    assert (sample.storming[pid, SIGPWR], sample.look_count) == (10, 80)


def test_sample_is_due_after_a_lively_one_without_delay() -> None:
    assert sample_is_due(0.012, 0.2, after_lively=True)
    assert not sample_is_due(0.012, 0.2)
    assert not sample_is_due(0.012, 0.05, after_lively=True)
    assert not sample_is_due(0.012, 4.0, slowness=20, after_lively=True)


def test_sample_sender_of_signals_is_not_lively() -> None:
    # pthread_kill of glibc blocks nearly every signal around its system call.
    keys = [(8, number) for number in range(1, 31)]
    sending = Sample(1.0, (), 60, dict.fromkeys(keys, 30), dict.fromkeys(keys, 30))
    assert not sending.is_lively
    receiver = {(7, SIGPWR): 30}
    both = Sample(1.0, (), 60, sending.storming | receiver, sending.changes | {(7, SIGPWR): 6})
    assert both.is_lively
    assert both.without_threads({8}).changes == {(7, SIGPWR): 6}
