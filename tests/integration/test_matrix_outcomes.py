"""The classifier on real processes that really end, hang, crash, spin and flood."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cells import build_child, run_known
from commands import wait_until
from machine import ON_MUSL, system_call

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_child(tmp_path_factory.mktemp("child"))


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Run one busy process more than there are cores."""
    spin = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(spin) for _ in range((os.cpu_count() or 1) + 1)]
    yield
    for other in others:
        other.kill()
        other.wait()


@pytest.mark.parametrize(
    ("mode", "outcome", "detail"),
    [
        ("pass", "pass", ""),
        ("exit-7", "fail", "exit code 7 after 'start'"),
        ("quiet-end", "fail", "ended by itself after 'called', before it was done"),
        ("fail", "fail", "Error: it is broken"),
        ("skip", "skip", "there is none"),
        ("segv", "crash", "SIGSEGV after 'start'"),
        ("bus", "crash", "SIGBUS after 'start'"),
        ("abort", "crash", "SIGABRT after 'start'"),
        (
            "panic",
            "crash",
            "panic(main thread): Segmentation fault at address 0x0 (exit code 134, after 'start')",
        ),
        ("slow", "pass", ""),
        ("zombies", "pass", ""),
        ("flood", "pass", ""),
        ("no-newline", "pass", ""),
    ],
)
def test_cell_that_ends_gets_its_outcome(
    child: Path, tmp_path: Path, mode: str, outcome: str, detail: str
) -> None:
    result, _ = run_known(child, mode, tmp_path)
    assert (result.outcome, result.detail) == (outcome, detail)


def test_cell_that_ends_records_code_signal_and_usage(child: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    ended, _ = run_known(child, "exit-7", tmp_path)
    took_ms = (time.monotonic() - began) * 1000
    crashed, _ = run_known(child, "bus", tmp_path)
    assert (ended.exit_code, ended.signal) == (7, None)
    assert (crashed.exit_code, crashed.signal) == (None, "SIGBUS")
    least_kb = 100 if ON_MUSL else 500  # musl itself takes less memory
    assert least_kb < ended.max_rss_kb < 100_000
    assert 0 < ended.wall_ms <= took_ms


def test_cell_with_signal_storm_hangs_with_signal_name(child: Path, tmp_path: Path) -> None:
    result, _ = run_known(child, "storm", tmp_path)
    assert (result.outcome, result.kind) == ("hang", "livelock")
    assert "livelock: SIGUSR1 was pending or being handled" in result.detail
    assert result.wall_ms < 10_000


def test_cell_with_storm_on_busy_machine_still_hangs(
    child: Path, tmp_path: Path, busy_machine: None
) -> None:
    result, _ = run_known(child, "storm", tmp_path)
    assert result.outcome == "hang"
    assert "livelock: SIGUSR1" in result.detail


def test_cell_with_deadlock_hangs_before_the_limit(child: Path, tmp_path: Path) -> None:
    result, _ = run_known(child, "deadlock", tmp_path)
    assert (result.outcome, result.kind) == ("hang", "deadlock")
    assert result.detail.startswith("deadlock: the main thread slept")
    assert result.wall_ms < 12_000


@pytest.mark.parametrize(
    ("mode", "call"), [("sleep", system_call("clock_nanosleep")), ("reads-socket", "recvfrom")]
)
def test_cell_in_returnable_wait_hangs_at_the_limit(
    child: Path, tmp_path: Path, mode: str, call: str
) -> None:
    result, _ = run_known(child, mode, tmp_path, limit_s=3.0)
    assert (result.outcome, result.kind) == ("hang", "waiting")
    assert f"the main thread was in {call}" in result.detail
    assert result.wall_ms >= 3_000


def test_cell_in_wait_longer_than_deadlock_time_passes(child: Path, tmp_path: Path) -> None:
    result, _ = run_known(child, "waits-5-s", tmp_path)
    assert result.outcome == "pass"


def test_cell_that_stops_itself_is_reported_as_stopped(child: Path, tmp_path: Path) -> None:
    result, _ = run_known(child, "stops-itself", tmp_path, limit_s=2.5)
    assert (result.outcome, result.kind) == ("hang", "stopped")


def test_cell_starved_gets_its_full_processor_time(
    child: Path, tmp_path: Path, busy_machine: None
) -> None:
    """It needs 1.5 s of processor time, and shares two processors with three others."""
    result, _ = run_known(child, "works-1.5-s", tmp_path, limit_s=2.2)
    assert result.outcome == "pass"


def test_cell_judgement_ignores_time_the_harness_paused(child: Path, tmp_path: Path) -> None:
    """It is stopped for longer than the limit, while the cell beats and then ends."""
    code = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[3:]\n"
        "import cells\n"
        "result, _ = cells.run_known(Path(sys.argv[1]), 'beats-3-s', Path(sys.argv[2]), 2.0)\n"
        "print(result.outcome, result.detail)\n"
    )
    here = Path(__file__).parent
    words = [sys.executable, "-c", code, child, tmp_path, here, here.parent.parent]
    harness = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
    try:
        wait_until((tmp_path / "note").exists, within_s=20)
        harness.send_signal(signal.SIGSTOP)
        time.sleep(4.0)
        harness.send_signal(signal.SIGCONT)
        out, _ = harness.communicate(timeout=20)
    finally:
        harness.kill()
        harness.wait()
    assert out.strip() == "pass"


@pytest.mark.parametrize("mode", ["spin", "waits-for-worker", "ping-pong"])
def test_cell_without_loop_turn_is_decided_at_the_limit(
    child: Path, tmp_path: Path, mode: str
) -> None:
    result, _ = run_known(child, mode, tmp_path, limit_s=6.0)
    assert result.outcome == "hang"
    assert result.kind in {"busy", "waiting"}
    assert result.detail.startswith(f"{result.kind}: ")
    assert result.wall_ms >= 6_000


def test_cell_progressing_at_the_limit_is_a_timeout(child: Path, tmp_path: Path) -> None:
    result, _ = run_known(child, "beats-for-ever", tmp_path, limit_s=1.0)
    assert result.outcome == "timeout"
    assert result.detail == "still progressing at the limit of 1 s"


def test_cell_slow_on_busy_machine_passes(child: Path, tmp_path: Path, busy_machine: None) -> None:
    assert run_known(child, "slow", tmp_path)[0].outcome == "pass"


def test_cell_that_hangs_names_threads_in_evidence(child: Path, tmp_path: Path) -> None:
    result, _ = run_known(child, "deadlock", tmp_path)
    assert sorted(Path(path).name for path in result.evidence) == ["output.txt", "threads.txt"]
    table = next(path for path in result.evidence if path.endswith("threads.txt"))
    assert "child" in (tmp_path / "out" / table).read_text()


def test_cell_output_flood_is_truncated(child: Path, tmp_path: Path) -> None:
    from gobun import build
    from gobun.matrix.channel import Channel
    from gobun.matrix.supervised_process import Launch, SupervisedProcess
    from gobun.targets import host_target

    supervise = build.build_supervise(host_target())
    with contextlib.closing(Channel(tmp_path)) as channel:
        command = [str(child), "flood", "", str(channel.folder)]
        with SupervisedProcess(supervise, Launch(command, tmp_path, {}), channel) as running:
            while not running.is_over:
                running.listen(1.0)
        assert [event.at for event in running.events] == ["start", "done"]
    for printed in (running.stdout.text, running.stderr.text):
        assert len(printed) < 100_000
        assert "bytes left out" in printed


def test_cell_with_unstartable_program_is_our_error(child: Path, tmp_path: Path) -> None:
    result, _ = run_known(tmp_path / "absent", "pass", tmp_path)
    assert result.outcome == "error"
    assert "could not be started: No such file or directory" in result.detail


def test_cell_that_ends_leaves_no_process(child: Path, tmp_path: Path) -> None:
    result, note = run_known(child, "daemon", tmp_path)
    assert result.outcome == "pass"
    assert not is_alive(int(note.read_text()))


def test_cell_that_is_killed_leaves_no_process(child: Path, tmp_path: Path) -> None:
    result, note = run_known(child, "daemon-and-hang", tmp_path)
    assert result.outcome == "hang"
    assert not is_alive(int(note.read_text()))


@pytest.mark.parametrize("mode", ["fork-bomb", "fork-bomb-in-sessions"])
def test_cell_with_fork_bomb_is_stopped_and_reported(
    child: Path, tmp_path: Path, mode: str
) -> None:
    """It stays at 300 processes. A cell may have 256."""
    result, note = run_known(child, mode, tmp_path)
    assert result.outcome == "fail"
    match = re.fullmatch(r"started processes without end: (\d+), all killed", result.detail)
    assert match, result.detail
    assert 256 < int(match[1]) <= 320
    assert holders(note) == []
    assert result.wall_ms < 15_000
    well, _ = run_known(child, "pass", tmp_path / "well")
    assert well.outcome == "pass"


def holders(path: Path) -> list[str]:
    """Return the processes that have a file open."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(each.readlink() == path for each in (process / "fd").iterdir()):
                pids.append(process.name)
    return pids


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_harness_killed_leaves_no_process(child: Path, tmp_path: Path, signal_name: str) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[3:]\n"
        "import cells\n"
        "cells.run_known(Path(sys.argv[1]), 'daemon-and-hang', Path(sys.argv[2]), 60.0)\n"
    )
    here = Path(__file__).parent
    command = [sys.executable, "-c", code, child, tmp_path, here, here.parent.parent]
    harness = subprocess.Popen([str(word) for word in command], stderr=subprocess.DEVNULL)
    note = tmp_path / "note"
    wait_until(lambda: note.exists() and bool(note.read_text().strip()), within_s=20)
    daemon = int(note.read_text())
    assert is_alive(daemon)
    harness.send_signal(signal.Signals[signal_name])
    harness.wait(timeout=20)
    wait_until(lambda: not is_alive(daemon), within_s=20)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
