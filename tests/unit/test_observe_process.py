"""Names of signals, mappings, and the inspector's output, without a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gobun import observe
from gobun.observe import memory
from gobun.observe.inspector import read_lines
from gobun.observe.memory import Mapping
from gobun.observe.snapshot import Handler
from gobun.observe.snapshot_text import handler_text

MAPS = (
    Mapping(0x1000, 0x3000, "r-xp", "/opt/bun"),
    Mapping(0x3000, 0x4000, "rw-p", ""),
    Mapping(0x8000, 0x9000, "rw-p", ""),
)


@pytest.mark.parametrize(
    ("number", "name"),
    [(30, "SIGPWR"), (10, "SIGUSR1"), (34, "SIGRTMIN"), (36, "SIGRTMIN+2"), (0, "signal 0")],
)
def test_signals_have_names(number: int, name: str) -> None:
    assert observe.signal_name(number) == name


def test_signal_mask_is_described_by_its_shorter_half() -> None:
    assert observe.mask_text(0) == "none"
    assert observe.mask_text(1 << 29) == "SIGPWR"
    assert observe.mask_text((1 << 64) - 1) == "all"
    assert observe.mask_text((1 << 64) - 1 & ~(1 << 10)) == "all but SIGSEGV"


def test_signal_sampling_of_blocked_and_ended_threads_is_correct() -> None:
    main = os.getpid()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
        bit = 1 << (signal.SIGUSR2 - 1)
        looks = observe.looks_at_signals(main, threading.get_native_id(), 3)
        assert [(pending & bit, mask & bit) for pending, mask, _ in looks] == [(bit, bit)] * 3
        assert signal.sigtimedwait([signal.SIGUSR2], 0) is not None
        [(pending, *_)] = observe.looks_at_signals(main, threading.get_native_id(), 1)
        assert not pending & bit
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert observe.looks_at_signals(main, 2**22 + 1, 3) == []


def test_looks_in_turn_without_two_processors_are_none() -> None:
    main = os.getpid()
    assert observe.looks_in_turn(main, (main, main), 3) == {}
    assert observe.looks_in_turn(2**22 + 1, (2**22 + 1, 2**22 + 1), 3) == {}


def test_looks_in_turn_leave_this_thread_where_it_may_run() -> None:
    allowed = os.sched_getaffinity(0)
    spins = (
        "import threading as t\nfor i in 0, 1: t.Thread(target=lambda: any(iter(int, 1))).start()"
    )
    with subprocess.Popen([sys.executable, "-c", spins]) as child:
        try:
            while len(each := observe.threads(child.pid)) < 2:
                time.sleep(0.01)
            looks = observe.looks_in_turn(child.pid, (each[0].tid, each[1].tid), 3)
        finally:
            child.kill()
    assert all(len(of_thread) == 6 for of_thread in looks.values())
    assert os.sched_getaffinity(0) == allowed


def test_address_maps_to_a_file_or_none() -> None:
    assert memory.owner(MAPS, 0x1000) == "/opt/bun"
    assert memory.owner(MAPS, 0x3FFF) == "/opt/bun"  # its zero-initialised data
    assert memory.owner(MAPS, 0x8000) == ""
    assert memory.owner(MAPS, 0x9000) == ""
    assert memory.at_address(MAPS, 0x0FFF) is None


def test_inspector_output_becomes_records() -> None:
    records = read_lines(
        '{"at":"signal","number":30,"handler":4096,"flags":134217728,"mask":0}\n'
        '{"at":"thread","tid":5,"pc":1,"sp":2,"tls":3,"alt_base":4,"alt_size":512,"alt_flags":0,'
        '"stopped_us":9}\n{"at":"thread","tid":6,"problem":"it ended"}\n{"at":"end"}\n',
        pid=5,
    )
    assert records.problem == ""
    assert [signal.number for signal in records.signals] == [30]
    assert [(thread.tid, thread.alt_size) for thread in records.threads] == [(5, 512), (6, 0)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the inspector ended before it was done"),
        ("nonsense\n", "the inspector's words are not understood"),
        ('{"at":"refused","errno":2,"why":"x"}\n', "process 5 is gone"),
        ('{"at":"refused","errno":8,"why":"it runs 32-bit code"}\n', "it runs 32-bit code"),
    ],
)
def test_inspector_failure_gives_its_reason(text: str, problem: str) -> None:
    assert problem in read_lines(text, pid=5).problem


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_inspector_rejection_names_the_kernel_rule() -> None:
    records = read_lines('{"at":"refused","errno":1,"why":"x"}\n', pid=os.getpid())
    assert "may not be traced" in records.problem
    assert any(rule in records.problem for rule in ("ptrace_scope", "SYS_PTRACE", "belongs to"))


def test_signal_handler_text_has_file_and_flags() -> None:
    handler = Handler(30, ignored=False, on_stack=True, flags=0x18000004, address=0x1234,
                      owner="/opt/bun", blocks=0)  # fmt: skip
    assert handler_text(handler) == "handler in bun (0x1234), SA_SIGINFO SA_ONSTACK SA_RESTART"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_snapshot_of_this_process_has_threads_and_a_stack() -> None:
    snapshot = observe.take_snapshot(os.getpid(), inspector=None)
    assert snapshot.threads[0].seen.tid == os.getpid()
    assert snapshot.threads[0].asked is False
    assert "no inspector" in snapshot.problem
    assert observe.threads(2**22 + 1) == ()
    assert observe.mappings(2**22 + 1) == ()
