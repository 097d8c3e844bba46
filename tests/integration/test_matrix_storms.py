"""Signals that interrupt real processes: storms are named, and profiled work is not one of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import cells
import pytest
from commands import bun

from gobun import build
from gobun.diagnose.activity import CLEAR_SHARE, watch_process
from gobun.matrix import hang_detector
from gobun.matrix.samples import Sampler
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gobun.cells.records import Ending

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

PROFILED_CALL = """
const { dlopen } = require("bun:ffi");
const [, , library, name] = process.argv;
const args = name === "poll" ? ["ptr", "int32_t", "int32_t"] : ["int32_t"];
const call = dlopen(library, { [name]: { args, returns: "int32_t" } }).symbols[name];
console.log("started");
const until = performance.now() + 60_000;
require("bun:jsc").profile(() => {
  // A signal ends poll() early.
  while (performance.now() < until) name === "poll" ? call(null, 0, 60_000) : call(60_000);
}, 500);
"""


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def verdict_within(pid: int, seconds: float) -> Ending | None:
    sampler, started_at = Sampler(pid, signals=False), time.monotonic()
    samples = []
    while time.monotonic() < started_at + seconds:
        samples.append(sampler.take_sample(time.monotonic()))
        if (ending := hang_detector.judge(samples, started_at)) is not None:
            return ending
        time.sleep(0.03)
    return None


@pytest.fixture(params=["Busy", "poll"])
def profiled_call(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    """A call that computes in Go, or waits in libc, for a minute."""
    script = tmp_path / "call.cjs"
    script.write_text(PROFILED_CALL)
    library = build.build_fixture("simple", host_target()).library
    where = "libc.so.6" if request.param == "poll" else str(library)
    with started([*bun("1.4.5").command(script, where), request.param]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        yield process.pid


def test_profiled_call_is_no_storm(profiled_call: int) -> None:
    # The profiler interrupts the call a thousand times a second, and the event loop does not turn.
    assert verdict_within(profiled_call, 4) is None


@pytest.mark.slow
def test_diagnose_profiled_call_is_no_storm(profiled_call: int) -> None:
    activity = watch_process(profiled_call)
    # Beside other tests the call may get too little processor time for a clear answer.
    unclear = {"starved"} if activity.able < CLEAR_SHARE else set[str]()
    assert activity.kind in {"works", "busy", "waits"} | unclear


@pytest.mark.parametrize("processors", ["all", "one"])
def test_signals_without_pauses_are_a_storm(tmp_path: Path, processors: str) -> None:
    # Its two threads use every processor of a small machine, so a look interrupts one of them.
    child, one = str(cells.build_child(tmp_path)), str(min(os.sched_getaffinity(0)))
    command = [child, "storm"] if processors == "all" else ["taskset", "-c", one, child, "storm"]
    with started(command) as process:
        ending = verdict_within(process.pid, 15)
    assert ending is not None
    assert ending.kind == "livelock"
    assert "SIGUSR1" in ending.detail
