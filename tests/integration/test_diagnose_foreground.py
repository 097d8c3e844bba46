"""A command that `diagnose` starts keeps its terminal and its signals, and nothing ends it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cells
import pytest

from gobun.build import compile as compiling
from gobun.diagnose.foreground import Foreground
from gobun.errors import PrerequisiteError
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

HERE = Path(__file__).parent
RUN = (
    "import sys; from gobun import diagnose\n"
    "def tell(found): print(diagnose.render(found).splitlines()[0], '-', found.motion.detail)\n"
    "tell(diagnose.diagnose_command(sys.argv[1:], on_diagnosis=tell))\n"
)
WAIT_S = 40.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("foreground") / "foreground"
    compiling.c_program(HERE / "native" / "foreground.c", target=host_target(), output=output)
    return output


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cells.build_child(tmp_path_factory.mktemp("child"))


class Terminal:
    """A process in the foreground of a new terminal."""

    def __init__(self, *command: Path | str, then: str = "") -> None:
        words = [sys.executable, "-u", "-c", RUN, *map(str, command)]
        if then:  # by a shell that has job control
            words = ["/bin/sh", "-mc", f"{shlex.join(words)}; {then}"]
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.execv(words[0], words)  # noqa: S606 - no shell is wanted
        self.text = ""

    def read_until(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + WAIT_S
        while (match := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, self.text
            if select.select([self.screen], [], [], 0.5)[0]:
                with contextlib.suppress(OSError):  # the other end was closed
                    self.text += os.read(self.screen, 4096).decode(errors="replace")
        return match

    def type(self, keys: bytes) -> None:
        os.write(self.screen, keys)

    def wait(self) -> int:
        deadline = time.monotonic() + WAIT_S
        while (completed := os.waitpid(self.pid, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)
        self.pid = 0
        return os.waitstatus_to_exitcode(completed[1])

    def close(self) -> None:
        os.close(self.screen)  # hangs up
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@contextlib.contextmanager
def terminal(*command: Path | str, then: str = "") -> Iterator[Terminal]:
    session = Terminal(*command, then=then)
    try:
        yield session
    finally:
        session.close()


def test_diagnose_interrupt_key_ends_command(program: Path) -> None:
    with terminal(program) as screen:
        ready = screen.read_until(r"ready (\d+) tty=1 own-group=0")
        screen.type(b"\x03")
        assert screen.wait() == 0
        screen.read_until("ended with SIGINT")
        assert not Path(f"/proc/{ready[1]}").exists()


def test_diagnose_interrupt_key_reaches_graceful_command_once(program: Path) -> None:
    with terminal(program, "handle") as screen:
        screen.read_until("ready")
        screen.type(b"\x03")
        screen.read_until("got 02.*\n.*bye after 1")
        screen.read_until("ended with exit code 5")
        assert screen.wait() == 0


def test_diagnose_signal_from_other_process_is_forwarded(program: Path) -> None:
    with terminal(program, "handle") as screen:
        screen.read_until("ready")
        os.kill(screen.pid, signal.SIGTERM)
        screen.read_until("got 15.*\n.*bye after 1")
        screen.read_until("ended with exit code 5")
        assert screen.wait() == 0


def test_diagnose_stop_key_stops_and_continue_resumes(program: Path) -> None:
    with terminal(program, then="echo stopped; fg >/dev/null") as screen:
        pid = int(screen.read_until(r"ready (\d+)")[1])
        screen.type(b"\x1a")
        screen.read_until("stopped\r")
        wait_for_state(pid, "S")  # by fg
        screen.type(b"\x03")
        assert screen.wait() == 0
        screen.read_until("ended with SIGINT")


def test_diagnose_hanging_command_is_reported_and_continues(child: Path) -> None:
    with terminal(child, "deadlock") as screen:
        pid = int(screen.read_until(r"process (\d+): it hangs: a deadlock")[1])
        time.sleep(1.5)
        assert Path(f"/proc/{pid}").exists()
        screen.type(b"\x03")
        assert screen.wait() == 0
        screen.read_until("ended with SIGINT")


def test_diagnose_killed_leaves_command_running(program: Path) -> None:
    command = [sys.executable, "-c", RUN, str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as diagnosing:
        assert diagnosing.stdout is not None
        pid = int(diagnosing.stdout.readline().split()[1])
        diagnosing.kill()
        diagnosing.wait()
        time.sleep(0.3)
        try:
            assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
        finally:
            os.kill(pid, signal.SIGKILL)


def wait_for_state(pid: int, state: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != state:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_diagnose_unstartable_command_leaves_no_signal_blocked() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for command, error in (("/no/such/program", PrerequisiteError), ("a\0b", ValueError)):
        with pytest.raises(error):
            Foreground([command])
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
