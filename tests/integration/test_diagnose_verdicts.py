"""Verdicts on real processes that wait, starve, or have lost their suspend handler."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import bun
from machine import ON_MUSL, system_call

from gobun import build, diagnose, paths, runtimes, toolchain
from gobun.build import compile as compiling
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

NATIVE = Path(__file__).parent / "native"
CALL = """
const { dlopen } = require("bun:ffi");
const [library, name, argument] = process.argv.slice(2);
const { symbols } = dlopen(library, { [name]: { args: ["i32"], returns: "i32" } });
require("fs").writeSync(1, "ready\\n");
require("fs").writeSync(1, `returned ${symbols[name](Number(argument))}\\n`);
"""
GO = """package main

import "C"
import (
	"os"
	"os/signal"
	"syscall"
)

//export Notify
func Notify(_ C.int) C.int { signal.Notify(make(chan os.Signal, 16)); return 7 }

//export Ignore
func Ignore(_ C.int) C.int { signal.Ignore(syscall.SIGPWR); return 7 }

//export Lock
func Lock(_ C.int) C.int { <-make(chan int); return 7 }

func main() {}
"""
TAKE_SIGNAL_SCRIPT = """
const { dlopen } = require("bun:ffi");
const [library, name, hangs] = process.argv.slice(2);
dlopen(library, { [name]: { args: ["i32"], returns: "i32" } }).symbols[name](0);
setInterval(() => {}, 1000);
require("fs").writeSync(1, "ready\\n");
if (hangs) setTimeout(() => require("bun:jsc").profile(() => {
  for (const until = performance.now() + 300; performance.now() < until; ) JSON.stringify([until]);
}, 500), 50);
"""
QUOTA = 0.1
PERIOD_US = 100_000


@pytest.fixture(scope="module")
def inspector() -> Path:
    program = diagnose.find_inspector()
    assert program is not None
    return program


@pytest.fixture(scope="module")
def slow_call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("slow") / "slow_call.so"
    exports = ["Wait", "WaitFor", "Receive"]
    sources = [NATIVE / "slow_call.c"]
    compiling.c_shared(sources, target=host_target(), output=library, exports=exports)
    return library


@pytest.fixture(scope="module")
def go_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO)
    (folder / "go.mod").write_text("module taken\n\ngo 1.22\n")
    library = folder / "taken.so"
    command = [str(toolchain.go().program), "build", "-buildmode=c-shared", "-o", str(library), "."]
    home = {"HOME": str(folder), "GOCACHE": str(paths.cache_root() / "go-build"), "GOFLAGS": ""}
    compiler = f"{sys.executable} -m ziglang cc"
    environment = {**os.environ, **home, "CC": compiler, "CGO_ENABLED": "1"}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    if ON_MUSL:
        build.convert_file(library, library)
    return library


@contextlib.contextmanager
def running(program: Path, script: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """Start a script with a runtime, and wait until it reports that it is ready."""
    with tempfile.NamedTemporaryFile("w", suffix=".cjs", delete=False) as file:
        file.write(script)
    command = [str(program), file.name, *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        while (line := process.stdout.readline()) != "ready\n":
            assert line, "it ended"
        yield process
    finally:
        process.kill()
        process.communicate()
        Path(file.name).unlink()


@pytest.fixture
def group() -> Iterator[Path]:
    """Make a control group with a tenth of a processor."""
    name = f"gobun-diagnose-{os.getpid()}"
    for root, files in (
        ("/sys/fs/cgroup/cpu", {"cpu.cfs_quota_us": str(int(QUOTA * PERIOD_US))}),
        ("/sys/fs/cgroup", {"cpu.max": f"{int(QUOTA * PERIOD_US)} {PERIOD_US}"}),
    ):
        folder = Path(root) / name
        try:
            folder.mkdir()
            for file, text in files.items():
                (folder / file).write_text(text)
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        yield folder
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                folder.rmdir()
                return
            time.sleep(0.05)
        return
    pytest.skip("a control group cannot be made here")


def test_diagnose_waiting_call_is_named_and_continues(slow_call: Path, inspector: Path) -> None:
    with running(bun().program, CALL, slow_call, "Wait", 6) as process:
        diagnosis = diagnose.diagnose(process.pid, inspector=inspector)
        output = process.communicate(timeout=30)[0]
    assert (diagnosis.kind, diagnosis.is_stuck) == ("waits", False)
    wait, call = diagnosis.motion.wait, system_call("clock_nanosleep")
    assert wait is not None
    assert (wait.library, wait.function) == (str(slow_call), "Wait")
    assert (wait.call, wait.can_return, wait.in_runtime) == (call, "yes", False)
    assert 1.5 < wait.seconds < 30
    assert f"slow_call.so, function Wait, system call {call}" in diagnose.render(diagnosis)
    assert output == "returned 0\n"


def test_diagnose_interruptible_call_is_not_stopped(slow_call: Path, inspector: Path) -> None:
    """A socket with a time-out returns EINTR after a stop by ptrace."""
    with running(bun().program, CALL, slow_call, "Receive", 8) as process:
        diagnosis = diagnose.diagnose(process.pid, inspector=inspector)
        output = process.communicate(timeout=30)[0]
    assert diagnosis.kind == "waits"
    assert diagnosis.motion.wait is not None
    assert diagnosis.motion.wait.call == "recvfrom"
    assert output == "returned 11\n"  # EAGAIN


def test_diagnose_go_call_waiting_for_go_is_no_deadlock(go_library: Path, inspector: Path) -> None:
    with running(bun().program, CALL, go_library, "Lock", 0) as process:
        diagnosis = diagnose.diagnose(process.pid, inspector=inspector)
    assert diagnosis.kind == "waits"
    assert diagnosis.motion.wait is not None
    assert (diagnosis.motion.wait.function, diagnosis.motion.wait.can_return) == ("Lock", "unknown")
    assert "it is a deadlock" in diagnosis.cause


@pytest.mark.parametrize("function", ["Notify", "Ignore"])
@pytest.mark.parametrize("hangs", ["", "hangs"])
def test_diagnose_taken_suspend_signal_is_named(
    go_library: Path, inspector: Path, function: str, hangs: str
) -> None:
    state = "handled" if function == "Notify" else "ignored"
    with running(bun().program, TAKE_SIGNAL_SCRIPT, go_library, function, hangs) as process:
        time.sleep(0.5)
        diagnosis = diagnose.diagnose(process.pid, inspector=inspector)
    assert diagnosis.kind == ("taken" if hangs else "healthy"), diagnose.render(diagnosis)
    assert diagnosis.taken is not None
    assert (diagnosis.taken.signal, diagnosis.taken.how) == (30, state)
    assert diagnosis.taken.libraries == (str(go_library),)
    page = diagnose.render(diagnosis)
    assert "taken.so" in diagnosis.cause
    assert "copes" not in page
    assert ("SIGPWR: ignored" in page) is (state == "ignored")


def test_diagnose_starved_storm_is_a_storm(group: Path, inspector: Path) -> None:
    library = build.build_fixture("simple", host_target()).library
    [old] = runtimes.provide_bun(["1.2.19"], host_target())
    script = TAKE_SIGNAL_SCRIPT.replace('args: ["i32"]', "args: []")
    with running(Path(old.command(Path("x"), "")[0]), script, library, "Run", "") as process:
        (group / "cgroup.procs").write_text(str(process.pid))
        time.sleep(0.5)
        diagnosis = diagnose.diagnose(process.pid, inspector=inspector)
    assert diagnosis.kind == "storm", diagnose.render(diagnosis)


@pytest.mark.parametrize("work", ["for (;;) JSON.stringify([1])", "setInterval(() => {}, 100)"])
def test_diagnose_starved_healthy_process_is_not_hung(
    group: Path, inspector: Path, work: str
) -> None:
    script = f'require("fs").writeSync(1, "ready\\n"); {work}'
    with running(bun().program, script) as process:
        (group / "cgroup.procs").write_text(str(process.pid))
        time.sleep(0.5)
        diagnosis = diagnose.diagnose(process.pid, inspector=inspector)
    assert diagnosis.kind == ("starved" if "for" in work else "no-go"), diagnose.render(diagnosis)
