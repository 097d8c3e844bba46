"""Every stress with an expectation fails on an addon that does not meet it.

The addons are JavaScript with the functions of native/addon, on Node, where that is quickest.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from stresses import run_stress

from gobun import build, runtimes
from gobun.build import compile as compiling
from gobun.targets import host_target

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run"),
]

SOURCE = Path(__file__).parent / "native" / "crashing_fixture.c"

GOOD_SCRIPT = """
const cell = JSON.parse(process.argv[2] ?? "{}");
const { isMainThread } = require("node:worker_threads");
const calls = {
  Run: () => 0,
  Recover: () => 0,
  Overflow: () => -1,
  Busy(ms) {
    const until = performance.now() + ms;
    while (performance.now() < until);
    return 0;
  },
  DeepStack: () => 0,
  BlockThreads: (n) => n,
  TakeSignals(how) {
    if (how < 2) process.on("SIGPWR", () => taken++);
    return 0;
  },
  SignalsReceived: () => taken,
};
let taken = 0;
class Handle {
  constructor(number) {
    this.number = number;
    this.parts = Array.from({ length: 4 }, () => ({ number }));
  }
  kept() {
    return this.number;
  }
}
const addon = {
  Handle,
  runSync: () => calls.Run(),
  runAsync: async () => calls.Run(),
  callSync: (name, ...numbers) => calls[name](...numbers),
  callAsync: async (name, ...numbers) => calls[name](...numbers),
  manyLater: async (n) => Array.from({ length: n }, (_, number) => ({ number })),
  async callBack(call, n) {
    for (let i = 0; i < n; i++) call();
    return n;
  },
};
module.exports = addon;
let runs = 0;
"""
SECOND_RUN = "calls.Run = () => (runs++ ? 7 : 0);"
MAIN_RUN = "if (isMainThread) calls.Run = () => (runs++ ? 7 : 0);"

FAULTS = {
    "gc": ("globalThis.gc = () => { throw new Error('no'); };", "Error: no"),
    "wasm": (
        "const { instantiate } = WebAssembly; WebAssembly.instantiate = async (code) => {"
        " await instantiate(code); return { instance: { exports: { add: () => 41 } } }; };",
        "add(40, 2) returned 41, not 42",
    ),
    "profile": (
        "require('node:inspector').Session.prototype.post ="
        " (method, done) => done(null, { profile: { nodes: [] } });",
        "the inspector gave no profile",
    ),
    "vm-timeout": (
        "require('node:vm').runInThisContext = () => {};",
        "vm did not stop a script after 50 ms",
    ),
    "notify": (
        "calls.SignalsReceived = () => 0;",
        "signal 30 from another process did not reach Go, which asked for it",
    ),
    "cpu-prof": ("if (cell.stress === 'idle') process.exitCode = 3;", "exit code 3"),
    "worker": (
        "const threads = require('node:worker_threads'); const { Worker } = threads;"
        "threads.Worker = class extends Worker { constructor(script, options) {"
        " super('/absent.cjs', options); } };",
        "the worker failed",
    ),
    "worker-load": (SECOND_RUN, "Run() in the main thread returned 7, not 0"),
    "terminate": (MAIN_RUN, "Run() failed after a worker had ended"),
    "spawn": (
        "const { ChildProcess } = require('node:child_process');"
        "const { emit } = ChildProcess.prototype;"
        "ChildProcess.prototype.emit = function (at, ...told) {"
        " return emit.call(this, at, ...(at === 'exit' ? [9] : told)); };",
        "exit codes of spawn",
    ),
    "signals": (
        "process.removeAllListeners('SIGTERM'); process.on('SIGTERM', () => {});",
        "SIGTERM was not delivered to process.on()",
    ),
    "recover": ("calls.Recover = () => 1;", "Recover() returned 1, not 0"),
    "deep-stack": (
        "calls.DeepStack = (n) => (n > 2 ** 22 ? 1 : 0);",
        "6 MiB on this thread returned 1",
    ),
    "threads": ("calls.BlockThreads = (n) => n - 1;", "BlockThreads() returned 63, not 64"),
    "callback": (
        "addon.callBack = async (call, n) => { for (let i = 1; i < n; i++) call(); return n; };",
        "of 2000 calls into JavaScript, 1999 arrived",
    ),
    "handles": ("Handle.prototype.kept = () => 5;", "instance 0 holds"),
    "two-go": (SECOND_RUN, "Run() beside another Go returned 7, not 0"),
    "reload": (SECOND_RUN, "required twice returned 7, not 0"),
    "exit": (
        "process.on('exit', () => { if (cell.part === 'exit') process.exitCode = 9; });",
        "end by exit: exit code 9, not exit code 5",
    ),
    "long": (SECOND_RUN, "Run() returned 7, not 0"),
}


STAYS_SCRIPT = "if (cell.part === 'itself') setInterval(() => {}, 1000);"


@pytest.fixture(scope="module")
def node() -> runtimes.Node:
    return runtimes.provide_node(host_target())


@pytest.fixture(scope="module")
def warmup() -> str:
    return str(build.build_warmup([host_target()])[0].library)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> str:
    library = tmp_path_factory.mktemp("faulty") / "faulty.so"
    exports = ("Run", "Recover", "Overflow")
    compiling.c_shared([SOURCE], target=host_target(), output=library, exports=exports)
    return str(library)


def addon(folder: Path, fault: str = "") -> str:
    path = folder / "addon.cjs"
    path.write_text(GOOD_SCRIPT + fault)
    return str(path)


@pytest.mark.parametrize("stress", sorted(FAULTS))
def test_stress_correct_addon_passes(
    node: runtimes.Node, warmup: str, stress: str, tmp_path: Path
) -> None:
    report = run_stress(node, stress, tmp_path, addon=addon(tmp_path), second=warmup, seconds=1)
    assert report.outcome == "pass"


@pytest.mark.parametrize("stress", sorted(FAULTS))
def test_stress_faulty_addon_fails_with_its_fault(
    node: runtimes.Node, warmup: str, stress: str, tmp_path: Path
) -> None:
    fault, expected = FAULTS[stress]
    report = run_stress(
        node, stress, tmp_path, addon=addon(tmp_path, fault), second=warmup, seconds=1
    )
    assert report.outcome.startswith("fail: ")
    assert expected in report.outcome


def test_stress_hanging_child_process_fails(node: runtimes.Node, tmp_path: Path) -> None:
    report = run_stress(node, "exit", tmp_path, addon=addon(tmp_path, STAYS_SCRIPT))
    assert report.outcome == "hang: a child process (exit itself) was silent for 5 s after 'done'"


def test_stress_fault_in_worker_fails(node: runtimes.Node, tmp_path: Path) -> None:
    spoilt = addon(tmp_path, "calls.Recover = () => 1;")
    report = run_stress(node, "recover", tmp_path, load="worker", addon=spoilt)
    assert report.outcome == "fail: Error: in a worker: Error: Recover() returned 1, not 0"


def test_stress_killing_write_is_a_crash(node: runtimes.Node, faulty: str, tmp_path: Path) -> None:
    report = run_stress(node, "signals", tmp_path, load="ffi", library=faulty)
    assert report.code == -signal.SIGPIPE


def test_stress_swallowed_crash_fails(node: runtimes.Node, faulty: str, tmp_path: Path) -> None:
    report = run_stress(node, "recover", tmp_path, load="ffi", library=faulty)
    assert "a crash after loading ends the process with code 3" in report.outcome


def test_stress_module_without_test_hooks_is_skipped(
    node: runtimes.Node, faulty: str, tmp_path: Path
) -> None:
    report = run_stress(node, "threads", tmp_path, load="ffi", library=faulty)
    assert report.outcome.startswith("skip: this module has no BlockThreads()")
    bare = tmp_path / "bare.cjs"
    bare.write_text("module.exports = { runSync: () => 0 };")
    for stress, lacks in (("handles", "Handle"), ("callback", "callBack"), ("threads", "callSync")):
        report = run_stress(node, stress, tmp_path, addon=str(bare))
        assert report.outcome == f"skip: this addon has no {lacks}()"


def test_stress_signal_handlers_before_and_after_are_compared(
    node: runtimes.Node, tmp_path: Path
) -> None:
    simple = build.build_fixture("simple", host_target())
    without = run_stress(node, "signals", tmp_path)
    loaded = run_stress(node, "signals", tmp_path, load="ffi", library=str(simple.library))
    assert (without.outcome, loaded.outcome) == ("pass", "pass")
    before, after = (
        next(event["why"] for event in report.events if event["at"] == "dispositions")
        for report in (without, loaded)
    )
    assert before == "unchanged"
    assert "SIGTERM handled+restarts → handled+on-stack+restarts" in after
    assert "SIGURG default → handled+on-stack+with-info+restarts" in after
