"""A torture that is stopped leaves neither processes nor files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import wait_until

from gobun import paths


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_torture_told_to_end_leaves_nothing(number: int, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.torture", "--seconds", "60", "fuzz-toml"],
        cwd=paths.ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
    ) as process:
        wait_until(lambda: any(tmp_path.glob("*/scratch")), 20)
        children = _children_of(process.pid)
        process.send_signal(number)
        assert process.wait(20) == 128 + number
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert list(tmp_path.iterdir()) == []


def test_busy_process_whose_parent_is_killed_ends() -> None:
    script = (
        "from benchmarks.torture.loads import Group, busy_processes\n"
        "with busy_processes(2, Group({})):\n"
        "    print(flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=paths.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        children = _children_of(process.pid)
        process.kill()
    assert len(children) == 2
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in children), 20)


def _children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
