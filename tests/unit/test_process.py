"""Tools run with a scrubbed environment, and none of their processes survives an interruption."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from gobun import process
from gobun.errors import PrerequisiteError
from gobun.process import run_tool, tool_environment
from gobun.toolchain import npm_command

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = sys.executable
# A child and a grandchild both hold the write end of a pipe. End of file shows that both have
# ended.
FAMILY = """
import os, subprocess, sys
number = os.open(sys.argv[1], os.O_WRONLY)
child = subprocess.Popen(["sleep", "60"], pass_fds=[number])
os.write(number, b"up")
child.wait()
"""


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def wait_for(number: int, expected: bytes) -> None:
    """Read ``expected``. An empty one is the end of the file, when the last writer has ended."""
    ready, _, _ = select.select([number], [], [], 20)
    assert ready, "nothing came: a process is still there" if not expected else "nothing came"
    assert os.read(number, 10) == expected


def test_process_output_and_exit_are_returned() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    completed = run_tool([PYTHON, "-c", code])
    assert (completed.code, completed.out, completed.err) == (3, "out\n", "err\n")
    assert completed.tail == "err"
    killed = run_tool([PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert killed.code == -9


def test_process_undecodable_output_is_accepted() -> None:
    completed = run_tool([PYTHON, "-c", r"import sys; sys.stdout.buffer.write(b'\xff\n')"])
    assert completed.out == "\ufffd\n"


def test_process_long_output_keeps_its_end() -> None:
    completed = run_tool([PYTHON, "-c", "for i in range(100): print(i)"])
    assert completed.tail.splitlines() == [str(i) for i in range(75, 100)]


def test_process_environment_is_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CC", "GOFLAGS", "CGO_CFLAGS", "GOPROXY", "LD_PRELOAD", "PYTHONPATH", "ZIG_X"):
        monkeypatch.setenv(name, "bad")
    for name in ("npm_config_cache", "NPM_CONFIG_X", "PIP_X", "https_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "good")
    environment = tool_environment({"MORE": "1", "PATH": "/else"})
    assert "bad" not in environment.values()
    assert sum(value == "good" for value in environment.values()) == 5
    assert (environment["MORE"], environment["PATH"]) == ("1", "/else")
    printed = run_tool(
        [PYTHON, "-c", "import os; print(*os.environ)"], env={"MORE": "1"}
    ).out.split()
    assert "MORE" in printed
    assert "GOFLAGS" not in printed


def test_run_tool_of_npm_leaves_no_temporary_files(tmp_path: Path) -> None:
    completed = run_tool([*npm_command(), "--version"], env={"TMPDIR": str(tmp_path)})
    assert completed.code == 0, completed.tail
    assert not list(tmp_path.iterdir())


def test_process_has_no_input_and_its_own_group() -> None:
    code = "import os, sys; print(len(sys.stdin.read()), os.getpgid(0) == os.getpid())"
    assert run_tool([PYTHON, "-c", code]).out == "0 True\n"


def test_process_unstartable_tool_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="cannot run no-such-tool: not found") as raised:
        run_tool(["no-such-tool", "x"])
    assert "invoke doctor" in (raised.value.hint or "")
    plain = tmp_path / "plain"
    plain.write_text("x")
    with pytest.raises(PrerequisiteError, match="Permission denied"):
        run_tool([plain])
    plain.chmod(0o755)
    with pytest.raises(PrerequisiteError, match="Exec format error"):
        run_tool([plain])


def test_process_timeout_ends_the_tool() -> None:
    with pytest.raises(PrerequisiteError, match=r"sleep 60 did not end within 0\.1 seconds"):
        run_tool(["sleep", "60"], timeout_s=0.1)


@pytest.mark.parametrize(
    ("cause", "raised"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (subprocess.TimeoutExpired("it", 1), PrerequisiteError),
    ],
)
def test_process_ended_early_takes_its_grandchildren(
    fifo: Path, monkeypatch: pytest.MonkeyPatch, cause: BaseException, raised: type[BaseException]
) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def interrupted(*_: object, **__: object) -> None:
        wait_for(reader, b"up")
        raise cause

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(raised):
        run_tool([PYTHON, "-c", FAMILY, fifo], timeout_s=60)
    wait_for(reader, b"")
    os.close(reader)


def test_process_leftover_children_are_killed(tmp_path: Path, fifo: Path) -> None:
    number = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = f'exec 3>"{fifo}"; printf up >&3; sleep 60 & exit 4'
    assert process.run_logged(["sh", "-c", script], tmp_path / "log", cwd=tmp_path) == 4
    wait_for(number, b"up")
    wait_for(number, b"")
    os.close(number)


def test_process_interruption_reaches_other_threads(
    fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "interrupted", threading.Event())
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    codes: list[int] = []
    command = [PYTHON, "-c", FAMILY, str(fifo)]
    thread = threading.Thread(target=lambda: codes.append(run_tool(command).code))
    thread.start()
    wait_for(reader, b"up")
    process.interrupt_tools()
    thread.join(20)
    assert codes == [-9]
    with pytest.raises(KeyboardInterrupt):
        run_tool([PYTHON, "-c", "open('started', 'w')"], cwd=fifo.parent)
    assert not (fifo.parent / "started").exists()
    wait_for(reader, b"")
    os.close(reader)
