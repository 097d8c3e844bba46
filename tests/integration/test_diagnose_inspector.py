"""The inspector on a process that detects every change to itself."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from benchmarks.torture.loads import Group
from gobun import observe
from gobun.build import build_inspector
from gobun.build import compile as compiling
from gobun.errors import PrerequisiteError
from gobun.observe.inspector import inspect_process
from gobun.targets import TARGETS, host_target

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs ptrace")

SOURCE = Path(__file__).parent / "native" / "self_checking.c"


@pytest.fixture(scope="module")
def inspector() -> Path:
    return build_inspector(host_target())


@pytest.fixture(scope="module")
def self_checking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("careful") / "careful"
    compiling.c_program(SOURCE, target=host_target(), output=program)
    return program


def start(program: Path, milliseconds: int, *until: Path) -> subprocess.Popen[str]:
    command = [str(program), str(milliseconds), *map(str, until)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def output_if_unharmed(child: subprocess.Popen[str]) -> str:
    output, _ = child.communicate(timeout=60)
    assert (child.returncode, "errors=0" in output) == (0, True), output
    return output


def wait_for_state(pid: int, state: str) -> None:
    deadline = time.monotonic() + 30
    while (current := observe.threads(pid)[0].state) != state:
        assert time.monotonic() < deadline, current
        time.sleep(0.01)


@pytest.mark.slow
def test_inspector_two_hundred_runs_change_nothing(
    inspector: Path, self_checking: Path, tmp_path: Path
) -> None:
    child = start(self_checking, 200_000, tmp_path / "stop")
    for _ in range(200):
        inspection = inspect_process(child.pid, inspector)
        assert inspection.problem == ""
        assert not [thread for thread in inspection.threads if thread.problem]
    (tmp_path / "stop").touch()
    output_if_unharmed(child)


def test_inspector_running_process_reports_true_state(inspector: Path, self_checking: Path) -> None:
    child = start(self_checking, 1500)
    snapshot = observe.take_snapshot(child.pid, inspector)
    trap, user = snapshot.handler(signal.SIGTRAP), snapshot.handler(signal.SIGUSR1)
    assert trap is not None
    assert user is not None
    assert trap.owner == user.owner == str(self_checking)
    assert (user.on_stack, observe.flag_names(user.flags)) == (False, ("SA_RESTART",))
    assert snapshot.handler(signal.SIGTERM) is None
    alternates = [t.alternate.size for t in snapshot.threads if t.alternate is not None]
    assert alternates == [1 << 16]
    assert all(thread.stack is not None for thread in snapshot.threads)
    assert "blocked: all" in observe.render_snapshot(snapshot)
    output_if_unharmed(child)


def test_inspector_killed_midway_leaves_nothing_behind(
    inspector: Path, self_checking: Path
) -> None:
    child = start(self_checking, 4000)
    chance = random.Random(4711)  # noqa: S311
    for _ in range(150):
        looking = subprocess.Popen([inspector, str(child.pid)], stdout=subprocess.DEVNULL)
        time.sleep(chance.random() * 0.005)
        looking.kill()
        looking.wait()
    output_if_unharmed(child)


def test_inspector_several_at_once_do_no_harm(inspector: Path, self_checking: Path) -> None:
    child = start(self_checking, 3000)
    many = [
        threading.Thread(target=lambda: [inspect_process(child.pid, inspector) for _ in range(20)])
        for _ in range(3)
    ]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join()
    output_if_unharmed(child)


def test_inspector_stopped_process_stays_stopped(inspector: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        child.send_signal(signal.SIGSTOP)
        wait_for_state(child.pid, "T")
        assert inspect_process(child.pid, inspector).problem == ""
        wait_for_state(child.pid, "T")
        child.send_signal(signal.SIGCONT)
        wait_for_state(child.pid, "S")
    finally:
        child.kill()
        child.wait()


def test_inspector_doomed_process_is_sampled_then_stopped(inspector: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "print('ready', flush=True)\nwhile True: pass"],
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        snapshot = observe.take_snapshot(child.pid, inspector, will_be_killed=True)
        assert [(view.seen.state, view.asked) for view in snapshot.threads] == [("R", True)]
        assert [thread.state for thread in observe.threads(child.pid)] == ["T"]
    finally:
        child.kill()
        child.communicate()


def test_inspector_sleeping_process_wakes_on_time(inspector: Path) -> None:
    started = time.monotonic()
    child, control = (subprocess.Popen(["sleep", "2"]) for _ in range(2))
    while child.poll() is None and time.monotonic() - started < 1.8:
        inspect_process(child.pid, inspector)
        time.sleep(0.05)
    assert control.wait(timeout=60) == 0
    late = time.monotonic()
    assert child.wait(timeout=60) == 0
    assert time.monotonic() - started > 1.9
    assert time.monotonic() - late < 1.0


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a control group")
def test_inspector_throttled_process_is_waited_for(inspector: Path) -> None:
    # It runs for 5 ms in each second, so it may stop a second late in wall-clock time.
    limits = {"cpu.cfs_period_us": "1000000", "cpu.cfs_quota_us": "5000", "cpu.max": "5000 1000000"}
    with Group({"cpu": limits}) as group:
        if not group.folders:
            pytest.skip("no control group with the controller cpu can be made here")
        command = group.command([sys.executable, "-S", "-c", "while True: pass"])
        child = subprocess.Popen(command)
        try:
            time.sleep(1.1)
            started = time.monotonic()
            for _ in range(2):
                time.sleep(0.2)
                inspection = inspect_process(child.pid, inspector, within_ms=20)
                assert [thread.problem for thread in inspection.threads] == [""]
            assert time.monotonic() - started > 1.0
        finally:
            child.kill()
            child.wait()


def test_inspector_missing_or_traced_process_gives_reason(inspector: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    child.kill()
    child.wait()
    assert inspect_process(child.pid, inspector).problem == f"process {child.pid} is gone"


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user")
def test_inspector_other_users_process_is_rejected(inspector: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        with tempfile.TemporaryDirectory() as folder:
            # The other user may not have access to the cache and to pytest's folders.
            Path(folder).chmod(0o755)
            copied = shutil.copy(inspector, folder)
            completed = subprocess.run(
                [copied, str(child.pid)], capture_output=True, text=True, user=65534, check=False
            )
        assert completed.returncode == 1
        assert '"refused","errno":13' in completed.stdout
    finally:
        child.kill()
        child.wait()


def test_inspector_run_with_command_becomes_that_command(inspector: Path) -> None:
    completed = subprocess.run(
        [inspector, "--", "echo", "hi"], capture_output=True, text=True, check=True
    )
    assert completed.stdout == "hi\n"
    assert (
        subprocess.run([inspector, "--", "/absent"], capture_output=True, check=False).returncode
        == 127
    )


def test_inspector_builds_for_linux_only() -> None:
    assert build_inspector(TARGETS["linux-arm64"]).is_file()
    with pytest.raises(PrerequisiteError, match="needs Linux"):
        build_inspector(TARGETS["darwin-arm64"])
