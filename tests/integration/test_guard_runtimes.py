"""The guard in real runtimes: before Go and after, by the warm-up library, and switched off."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import bun, invoke, run_script, succeed

from gobun import audit, build, diagnose, observe, runtimes
from gobun.targets import TARGETS, host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(host_target().os != "linux", reason="elsewhere the guard does nothing"),
]

SIGPWR = 30
INSTALLED, NO_HANDLER = 0, 2
# Argument: the guard, the Go library, and when the guard is to be installed. Idles for a second,
# which from 1.2.2 to 1.2.19 is enough to hang without the guard.
SCRIPT = """
const { dlopen, ptr } = require("bun:ffi");
const [guard, library, when] = process.argv.slice(2);
const none = { args: [], returns: "i32" };
const functions = { GuardInstall: none, GuardRemove: none, GuardVersion: none };
functions.GuardStats = { args: ["ptr"], returns: "i32" };
const { symbols } = dlopen(guard, functions);
const stats = () => {
  const found = new BigUint64Array(11);
  found[0] = BigInt(found.byteLength);
  if (symbols.GuardStats(ptr(found)) !== found.byteLength) throw new Error("GuardStats");
  const [, reason, signals, , moved, direct] = found;
  return [reason, signals.toString(16), moved + direct > 0n];
};
if (symbols.GuardVersion() !== 1) throw new Error("GuardVersion");
const installs = () => console.log("install", symbols.GuardInstall(), ...stats());
if (when === "before") installs();
dlopen(library, { Run: none }).symbols.Run();
if (when === "after") installs();
setTimeout(() => {
  console.log("idled", ...stats());
  console.log("remove", symbols.GuardRemove(), ...stats().slice(0, 2));
  process.exit(0);
}, 1000);
"""
DLCALLS = """
const { call } = require(process.argv[2]);
const [, , , guard, library] = process.argv;
console.log(call(guard, "GuardInstall"), call(library, "Run"), call(guard, "GuardInstall"));
"""
# Causes a fault in C. Arguments: the faulting library, then libraries to load first, each with a
# function.
CRASHES = """
const { dlopen } = require("bun:ffi");
const none = { args: [], returns: "i32" };
const [crash, ...words] = process.argv.slice(2);
const call = (library, name) => dlopen(library, { [name]: none }).symbols[name]();
for (let i = 0; i < words.length; i += 2) call(words[i], words[i + 1]);
setTimeout(() => call(crash, "Crash"), 10);
"""
# Reports that a library is loaded, and waits for an inspection.
LOADS = """
const { dlopen } = require("bun:ffi");
globalThis.kept = dlopen(process.argv[2], { Warmup: { args: [], returns: "i32" } });
if (process.argv[3] === "call") kept.symbols.Warmup();
console.log("loaded");
setInterval(() => {}, 1000);
"""


@pytest.fixture(scope="module")
def guard() -> Path:
    return build.build_guard([host_target()])[0].library


@pytest.fixture(scope="module")
def simple() -> Path:
    return build.build_fixture("simple", host_target()).library


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("version", "number"), [("1.2.1", 10), ("1.2.2", SIGPWR), ("1.2.19", SIGPWR)]
)
def test_guard_in_bun_idles_beside_go(
    guard: Path, simple: Path, tmp_path: Path, *, version: str, number: int, when: str
) -> None:
    program = bun(version, ffi=True).program
    output = run_script([program], SCRIPT, tmp_path, str(guard), str(simple), when).splitlines()
    mask = f"{1 << (number - 1):x}"
    assert output[0] == f"install 1 {INSTALLED}n {mask} false"
    # Only these releases suspend their main thread while it idles.
    assert output[1] == f"idled {INSTALLED}n {mask} {'false' if version == '1.2.1' else 'true'}"
    assert output[2] == "remove 1 1n 0"


def test_guard_in_node_finds_no_handler_to_guard(guard: Path, simple: Path, tmp_path: Path) -> None:
    node = runtimes.provide_node(host_target())
    words = [str(node.dlcall), str(guard), str(simple)]
    assert run_script([node.program], DLCALLS, tmp_path, *words) == "0 0 0\n"


@pytest.mark.parametrize(
    ("settings", "guarded"), [({}, True), ({"GO_WARMUP_GUARD": "0"}, False)], ids=["on", "off"]
)
@pytest.mark.parametrize("call", ["call", "load"])
def test_guard_comes_with_the_warmup_library(
    tmp_path: Path, *, settings: dict[str, str], guarded: bool, call: str
) -> None:
    """It is installed as soon as the library is loaded, before the Go runtime can do harm."""
    warmup = build.build_warmup([host_target()])[0].library
    inspector = build.build_inspector(host_target())
    script = tmp_path / "loads.cjs"
    script.write_text(LOADS)
    words = [inspector, "--", bun("1.3.14").program, script, warmup, call]
    with subprocess.Popen(
        list(map(str, words)), env={**os.environ, **settings}, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == b"loaded\n"
            handler = observe.take_snapshot(child.pid, inspector).handler(SIGPWR)
            diagnosis = diagnose.diagnose(child.pid, inspector=inspector)
        finally:
            child.kill()
    assert handler is not None
    assert (handler.guarded, handler.on_stack) == (guarded, True)
    assert (handler.owner == str(warmup)) == guarded
    assert (diagnosis.kind, diagnosis.armed) == ("healthy", not guarded)


@pytest.mark.parametrize("helped", ["", "guard", "warm-up", "preload"])
def test_guard_in_old_bun_lets_crashes_end_it(
    guard: Path, simple: Path, tmp_path: Path, *, helped: str
) -> None:
    """Its crash handler returns, and relies on being called once. Go calls it for ever."""
    target = host_target()
    control = build.build_fixture("control", target).library
    script = tmp_path / "crashes.cjs"
    script.write_text(CRASHES)
    before: list[str | Path] = []
    settings = {}
    if helped == "guard":
        before = [guard, "GuardInstall"]
    elif helped == "warm-up":
        before = [build.build_warmup([target])[0].library, "Warmup"]
    elif helped == "preload":
        settings = {"LD_PRELOAD": str(build.build_preload([target])[0].library)}
    words = [bun("1.0.36", ffi=True).program, script, control, *before, simple, "Run"]
    with subprocess.Popen(list(map(str, words)), env={**os.environ, **settings}) as child:
        try:
            ended: int | None = child.wait(timeout=60 if helped else 3)
        except subprocess.TimeoutExpired:
            ended = None
        child.kill()
    assert ended == (-signal.SIGSEGV if helped else None)


def test_build_guard_writes_the_libraries(tmp_path: Path) -> None:
    output = succeed(invoke("build-guard", "--out", tmp_path / "dist"))
    # The library and, to link in, the archive of each platform.
    lines = [line for line in output.splitlines() if "go-guard-preload-" not in line]
    assert sum("libgo-guard-" in line for line in lines) == len(TARGETS)
    assert len(lines) == 2 * len(TARGETS)
    assert succeed(invoke("build-guard", "--out", tmp_path / "dist")) == output
    listed = (tmp_path / "dist" / "SHA256SUMS").read_text()
    assert {"go-guard-linux-arm64.so", "go-guard-linux-x64.so"} <= set(listed.split()[1::2])
    for name, target in TARGETS.items():
        library = tmp_path / "dist" / f"go-guard-{name}{target.library_suffix}"
        rules = audit.guard_rules(target, file_name=library.name)
        assert audit.check(audit.inspect(library), rules) == []
        assert "GuardInstall(void);" in library.with_suffix(".h").read_text()
