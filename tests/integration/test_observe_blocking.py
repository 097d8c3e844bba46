"""The waits of threads in real processes, and the threads that can end them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import bun
from machine import system_call

from gobun import observe
from gobun.build import compile as compiling
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gobun.observe import Blocked

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

NATIVE = Path(__file__).parent / "native"
SETTLES_S = 5.0


@pytest.fixture(scope="module")
def waiting_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("waiting") / "waiting"
    source = NATIVE / "waiting.c"
    compiling.c_program(source, target=host_target(), output=program, libraries=["rt"])
    return program


@pytest.fixture(scope="module")
def slow_call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("slow") / "slow_call.so"
    sources, exports = [NATIVE / "slow_call.c"], ["Wait", "WaitFor"]
    compiling.c_shared(sources, target=host_target(), output=library, exports=exports)
    return library


@contextlib.contextmanager
def running(*command: str | Path) -> Iterator[int]:
    """Start a program that prints a line and then waits. Kill its whole group at the end."""
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        assert child.stdout.readline() == b"ready\n"
        yield child.pid
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        child.stdin.close()


def blocked_in(
    pid: int, call: str, *, threads: int = 1, signals: bool = True
) -> tuple[Blocked, ...]:
    """Look until the first threads stay in ``call``. The program prints its line a moment
    before."""
    deadline = time.monotonic() + SETTLES_S
    before: tuple[Blocked, ...] = ()
    while True:
        blocked = observe.blocked_threads(pid, signals=signals)
        all_there = [each.call for each in blocked[:threads]] == [call] * threads
        if (blocked == before and all_there) or time.monotonic() > deadline:
            return blocked
        before = blocked
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("mode", "call", "wakes", "can_return"),
    [
        ("sleep", system_call("clock_nanosleep"), "itself", "yes"),
        ("timed-lock", "futex", "itself", "yes"),
        ("epoll-timed", system_call("epoll_wait"), "itself", "yes"),
        ("poll-timed", "poll", "itself", "yes"),
        ("timerfd", "read", "itself", "yes"),
        ("stdin", "read", "outside", "yes"),
        ("inherited-pipe", "read", "outside", "yes"),
        ("socket", "recvfrom", "outside", "yes"),
        ("accept", "accept", "outside", "yes"),
        ("epoll-socket", system_call("epoll_wait"), "outside", "yes"),
        ("poll", "poll", "outside", "yes"),
        ("select", system_call("pselect6"), "outside", "yes"),
        ("child", "wait4", "outside", "yes"),
        ("file-lock", "flock", "outside", "yes"),
        ("shared-lock", "futex", "outside", "yes"),
        ("lock", "futex", "thread", "no"),
        ("own-pipe", "read", "thread", "no"),
        ("eventfd", "read", "thread", "no"),
        ("epoll-eventfd", system_call("epoll_wait"), "thread", "no"),
        ("timerfd-off", "read", "thread", "no"),
        ("lock-with-timer", "futex", "thread", "unknown"),
        ("lock-with-child", "futex", "thread", "unknown"),
        ("lock-beside-sleeper", "futex", "thread", "unknown"),
        ("lock-beside-spinner", "futex", "thread", "unknown"),
        ("pause", "pause", "signal", "unknown"),
        ("spin", "running", "itself", "yes"),
    ],
)
def test_blocked_thread_names_call_and_who_can_wake_it(  # noqa: PLR0917 - a row of the table
    waiting_program: Path, tmp_path: Path, mode: str, call: str, wakes: str, can_return: str
) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    with running(waiting_program, mode, lock) as pid:
        main, *_ = blocked_in(pid, call)
    assert (main.call, main.wakes, main.can_return) == (call, wakes, can_return), main


def test_blocked_lock_beside_sleeper_names_the_sleeper(waiting_program: Path) -> None:
    with running(waiting_program, "lock-beside-sleeper") as pid:
        main, other = blocked_in(pid, "futex")
    assert main.wakers == (other.tid,)
    assert observe.all_stuck((main, other)) == "no"


def test_blocked_two_threads_in_deadlock_are_stuck(waiting_program: Path) -> None:
    with running(waiting_program, "two-locks") as pid:
        blocked = blocked_in(pid, "futex", threads=2)
    assert [each.can_return for each in blocked] == ["no", "no"]
    assert observe.all_stuck(blocked) == "yes"


def test_blocked_signal_wait_without_sender_is_stuck(waiting_program: Path) -> None:
    with running(waiting_program, "pause") as pid:
        assert observe.all_stuck(blocked_in(pid, "pause")) == "unknown"
        assert observe.all_stuck(blocked_in(pid, "pause", signals=False)) == "yes"


def test_blocked_stopped_thread_can_be_continued(waiting_program: Path) -> None:
    with running(waiting_program, "stopped") as pid:
        deadline = time.monotonic() + SETTLES_S
        while (main := observe.blocked_threads(pid)[0]).state != "T":
            assert time.monotonic() < deadline
    assert (main.wakes, main.is_waiting) == ("outside", False)


@pytest.mark.parametrize(
    ("mode", "call", "kinds"),
    [("epoll-socket", system_call("epoll_wait"), ["epoll"]), ("own-pipe", "read", ["pipe"])],
)
def test_blocked_descriptors_have_their_kinds(
    waiting_program: Path, mode: str, call: str, kinds: list[str]
) -> None:
    with running(waiting_program, mode) as pid:
        main, *_ = blocked_in(pid, call)
    assert [each.kind for each in main.descriptors] == kinds


def test_blocked_relative_timeout_is_read_from_the_process(waiting_program: Path) -> None:
    with running(waiting_program, "poll-timed") as pid:
        assert blocked_in(pid, "poll")[0].timeout_s == pytest.approx(600)
    with running(waiting_program, "select-timed") as pid:
        assert blocked_in(pid, system_call("select"))[0].timeout_s == pytest.approx(600.5)


def test_blocked_threads_of_ended_process_are_empty() -> None:
    assert observe.blocked_threads(2**22 + 1) == ()
    assert observe.blocked_thread(2**22 + 1, 2**22 + 1) is None
    assert observe.all_stuck(()) == "unknown"


@pytest.mark.parametrize("function", ["Wait", "WaitFor"])
def test_blocked_wait_in_bun_names_library_and_function(
    slow_call: Path, tmp_path: Path, function: str
) -> None:
    script = tmp_path / "app.js"
    script.write_text(
        'const { dlopen } = require("bun:ffi");\n'
        f'const api = {{ {function}: {{ args: ["i32"], returns: "i32" }} }};\n'
        f'const library = dlopen("{slow_call}", api);\n'
        'require("fs").writeSync(1, "ready\\n");\n'
        f"library.symbols.{function}({600 if function == 'Wait' else 0});\n"
    )
    call = {"Wait": system_call("clock_nanosleep"), "WaitFor": "read"}[function]
    with running(bun().program, script) as pid:
        main = blocked_in(pid, call)[0]
    assert main.call == call
    assert main.caller is not None
    assert (main.caller.library, main.caller.function) == (str(slow_call), function)
    assert main.can_return == "yes"
