"""Reads of a process whose memory blocks every reader for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gobun import diagnose, guarded_read, observe, strays
from gobun.build import compile as compiling
from gobun.diagnose.runtime import environment
from gobun.guarded_read import read_memory_file
from gobun.observe import memory
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

SOURCE = Path(__file__).parent / "native" / "blocking_memory.c"
SOON_S = 20.0
"""A second, on a machine that is busy."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("blocking") / "blocking_memory"
    compiling.c_program(SOURCE, target=host_target(), output=built)
    return built


@pytest.fixture
def blocked_page(program: Path) -> Iterator[tuple[int, int]]:
    """Yield a process and the address of a page that nobody can read."""
    child = subprocess.Popen(
        [program, "x" * 20_000], env={"PAD": "x" * 20_000}, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    output = child.stdout.readline().strip()
    try:
        if output.startswith("none"):
            pytest.skip(f"userfaultfd is not to be had: {output}")
        yield child.pid, int(output, 16)
    finally:
        child.kill()
        child.communicate()


def test_memory_that_never_answers_is_given_up(blocked_page: tuple[int, int]) -> None:
    pid, page = blocked_page
    began = time.monotonic()
    assert memory.read_memory(pid, page, 8) == b""
    first = time.monotonic()
    assert first - began < SOON_S
    for _ in range(20):
        assert memory.read_memory(pid, page, 8) == b""
    assert time.monotonic() - first < 1.0  # no second read is tried
    assert read_memory_file(os.getpid(), "cmdline", 1 << 16).split(b"\0")[0] != b""


def test_process_with_blocking_environment_stops_nobody(
    blocked_page: tuple[int, int], tmp_path: Path
) -> None:
    pid, _ = blocked_page
    began = time.monotonic()
    assert environment(pid).get("PAD", "") != "x" * 20_000
    guarded_read.blocking_processes.discard(pid)
    assert strays.kill_marked(tmp_path, within_s=5.0) == 0
    diagnosis = diagnose.diagnose(pid)
    assert diagnosis.verdict
    assert observe.blocked_threads(pid)
    assert time.monotonic() - began < 4 * SOON_S


def test_memory_of_a_process_is_read_in_parts() -> None:
    text = Path("/proc/self/environ").read_bytes()
    assert read_memory_file(os.getpid(), "environ", len(text) + 1) == text
    assert read_memory_file(os.getpid(), "environ", 5, at=2) == text[2:7]
    assert read_memory_file(os.getpid(), "mem", 8, at=-1) == b""
    assert read_memory_file(os.getpid(), "mem", 8, at=1 << 80) == b""
    assert read_memory_file(2**22 + 1, "environ", 8) == b""
