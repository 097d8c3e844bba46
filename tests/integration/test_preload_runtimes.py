"""The preload library in real Bun: the state of its threads, and the hangs that it cures."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from machine import MOST_SIGNALS, ON_MUSL

from gobun import build, matrix, observe, runtimes, toolchain
from gobun.build import compile as compiling
from gobun.cells import Cell, narrow_axes, read_scenario
from gobun.matrix.supervised_process import Launch, SupervisedProcess
from gobun.process import run_tool
from gobun.runtimes import Bun, LacksError, treated_environment
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs LD_PRELOAD")

HANGING_VERSION, LATER_VERSION = "1.2.19", "1.3.14"
MIB = 1 << 20
READS = (
    "await Promise.all(Array.from({ length: 64 }, () =>"
    " require('fs').promises.readFile('/proc/version')));"
    # The last thread may still be about to begin.
    "setTimeout(() => console.log('ready'), 200); setInterval(() => {}, 1000);"
)
COMPILED_SCRIPT = """
import { dlopen } from "bun:ffi";
const go = dlopen(process.env.GO_LIBRARY, { Run: { args: [], returns: "int32_t" } });
console.log("called", go.symbols.Run());
setTimeout(() => console.log("done"), 1000);
"""
STATIC = """
void _start(void) {
#ifdef __x86_64__
  __asm__("mov $60, %eax\\n xor %edi, %edi\\n syscall");
#else
  __asm__("mov x8, #93\\n mov x0, #0\\n svc #0");
#endif
}
"""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> matrix.RunContext:
    target, out = host_target(), tmp_path_factory.mktemp("out")
    ready = matrix.build_run_context(["control", "simple"], target, out=out, limit_s=20.0)
    provided = runtimes.provide_bun([HANGING_VERSION, LATER_VERSION], target)
    return msgspec.structs.replace(
        ready, runtimes={(bun.name, bun.version): bun for bun in provided}
    )


def program(context: matrix.RunContext, version: str) -> Path:
    bun = context.runtimes["bun", version]
    assert isinstance(bun, runtimes.Bun)
    return bun.program


def preloading(context: matrix.RunContext, words: str) -> dict[str, str]:
    return {"LD_PRELOAD": str(context.preload), "GO_GUARD_PRELOAD": words}


def pool_threads(context: matrix.RunContext, words: str) -> Iterator[observe.ThreadView]:
    """Yield the threads of Bun's pool in a process that has used it."""
    process = subprocess.Popen(
        [program(context, HANGING_VERSION), "-e", READS],
        env={"PATH": os.defpath, **(preloading(context, words) if words else {})},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        snapshot = observe.take_snapshot(process.pid, build.build_inspector(host_target()))
    finally:
        process.kill()
        process.communicate()
    threads = [thread for thread in snapshot.threads if thread.seen.name.startswith("Bun Pool")]
    assert threads
    yield from threads


@pytest.mark.parametrize(
    ("words", "stack", "blocked"),
    [
        ("", 4, 0),
        ("suspend", 4, 0),
        ("stack8m", 8, 0),
        ("sigmask", 4, 0),
        ("sigmask-keep", 4, MOST_SIGNALS),
    ],
)
def test_preload_pool_threads_have_chosen_stack_and_mask(
    context: matrix.RunContext, words: str, stack: int, blocked: int
) -> None:
    for thread in pool_threads(context, words):
        assert thread.stack is not None
        # The kernel may merge a neighbouring mapping with a stack. It adds less than 4 MiB.
        assert stack * MIB <= thread.stack.size < (stack + 4) * MIB
        assert thread.seen.blocked.bit_count() == blocked


@pytest.mark.parametrize(
    ("version", "words", "stress", "outcome"),
    [
        (HANGING_VERSION, "suspend", "idle", "pass"),
        (HANGING_VERSION, "stack8m", "idle", "hang"),
        (HANGING_VERSION, "sigmask", "idle", "hang"),
        (LATER_VERSION, "suspend", "wasm", "pass"),
        (LATER_VERSION, "suspend", "profile", "pass"),
        (LATER_VERSION, "stack8m+sigmask+suspend", "signals", "pass"),
        (HANGING_VERSION, "suspend", "spawn", "pass"),
    ],
)
def test_preload_cures_only_the_expected_cells(
    context: matrix.RunContext, version: str, words: str, stress: str, outcome: str
) -> None:
    [treatment] = narrow_axes(read_scenario(), treatments=[f"preload:{words}"]).treatments
    cell = Cell("bun", version, treatment, "simple", "napi-sync", stress)
    result = matrix.run_cell(context, cell, threading.Event())
    assert (result.outcome, result.repro.count(f"--treatment preload:{words} ")) == (outcome, 1)


def test_preload_never_reaches_the_harness(context: matrix.RunContext, tmp_path: Path) -> None:
    """With GO_GUARD_DEBUG=1 every process that preloads reports it. Only the runtime does."""
    inside = {**preloading(context, "suspend"), "GO_GUARD_DEBUG": "1"}
    command = [str(program(context, HANGING_VERSION)), "--version"]
    with SupervisedProcess(context.supervise, Launch(command, tmp_path, {}, inside)) as child:
        while not child.is_over:
            child.listen(1.0)
    assert child.end is not None
    assert child.end.exit_code == 0
    [message] = [line for line in child.printed_text.splitlines() if "go-guard-preload" in line]
    assert message == f"go-guard-preload[{child.pid}]: does suspend"


def test_preload_compiled_executable_is_covered(context: matrix.RunContext, tmp_path: Path) -> None:
    source, executable = tmp_path / "app.js", tmp_path / "app"
    source.write_text(COMPILED_SCRIPT)
    home = {"PATH": os.defpath, "HOME": str(tmp_path)}
    subprocess.run(
        [program(context, HANGING_VERSION), "build", "--compile", source, "--outfile", executable],
        cwd=tmp_path,
        env=home,
        check=True,
        capture_output=True,
    )
    application = {**home, "GO_LIBRARY": str(context.modules["simple"].library)}

    def run(limit_s: float, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [executable],
            env={**application, **more},
            capture_output=True,
            text=True,
            check=True,
            timeout=limit_s,
        )

    with pytest.raises(subprocess.TimeoutExpired) as hung:
        run(5)
    assert hung.value.stdout == b"called 0\n"
    assert run(20, LD_PRELOAD=str(context.preload)).stdout == "called 0\ndone\n"


def test_preload_unsupported_runtime_is_skipped(context: matrix.RunContext, tmp_path: Path) -> None:
    source, static = tmp_path / "static.c", tmp_path / "static"
    source.write_text(STATIC)
    zig, triple = toolchain.zig().program, host_target().zig_triple
    compiler: list[str | Path] = [zig, "cc", "-target", triple]
    completed = run_tool(
        [*compiler, "-nostdlib", "-static", source, "-o", static], env=compiling.zig_environment()
    )
    assert completed.code == 0, completed.err
    with pytest.raises(LacksError, match="linked statically"):
        treated_environment(Bun(HANGING_VERSION, static), "preload:suspend", context.preload)
    spaced = tmp_path / "a folder" / "library.so"
    ignored = "ignores LD_PRELOAD" if ON_MUSL else "cannot be preloaded"  # musl prints nothing
    with pytest.raises(LacksError, match=ignored):
        treated_environment(
            Bun(HANGING_VERSION, program(context, HANGING_VERSION)), "preload:suspend", spaced
        )
    with pytest.raises(LacksError, match="another system"):
        treated_environment(Bun(HANGING_VERSION, static), "preload:suspend", None)
    assert treated_environment(Bun(HANGING_VERSION, static), "stock", None) == {}
