"""Thunks of a converted library, interrupted: by profilers, by debuggers, by JavaScriptCore."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import arm64_emulator

from gobun import build, fetch, sysroot, toolchain
from gobun.build import compile as compiling
from gobun.build.musl import convert_file
from gobun.elf import Image
from gobun.elf.tls import initial_exec_words, sites_of
from gobun.errors import FetchError, PrerequisiteError
from gobun.paths import ROOT
from gobun.targets import TARGETS, host_target

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.sysroot import Sysroot

pytestmark = pytest.mark.skipif(
    host_target().name != "linux-x64", reason="musl's programs are fetched for x64"
)
LIMIT_S = 240
JUMP = 5
THIRD_STEP = 11
"""The offset in a thunk after two instructions, in bytes."""
SOURCE = """
package main

// #include <stdint.h>
// typedef int32_t function(int32_t);
// static int32_t call_back(void *back, int32_t n) { return ((function *)back)(n); }
import "C"

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime"
	"runtime/pprof"
	"unsafe"
)

var profile bytes.Buffer

//export Start
func Start() C.int32_t {
	runtime.SetCPUProfileRate(1000)
	if pprof.StartCPUProfile(&profile) != nil { return 0 }
	return 1
}

// Stop returns whether the profile is whole and has samples in it.
//export Stop
func Stop() C.int32_t {
	pprof.StopCPUProfile()
	packed, err := gzip.NewReader(&profile)
	if err != nil { return 0 }
	data, err := io.ReadAll(packed)
	if err != nil || !bytes.Contains(data, []byte("cgocallback")) { return 0 }
	return 1
}

//export Nest
func Nest(function unsafe.Pointer, n C.int32_t) C.int32_t {
	return C.call_back(function, n)
}

func main() {}
"""
CALLER = """
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

typedef int32_t (*none)(void);
typedef int32_t (*nest)(int32_t (*)(int32_t), int32_t);

static nest go;

static int32_t back(int32_t n) { return n == 0 ? 0 : go(back, n - 1) + 1; }

static void *call(void *wrong) {
  struct timespec time;
  do {
    for (int i = 0; i < 1000; i++)
      if (go(back, 3) != 3) *(int *)wrong = 1;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  } while (time.tv_sec < 1);
  return 0;
}

int main(int count, char **words) {
  void *library = dlopen(words[1], RTLD_NOW);
  pthread_t threads[4];
  int wrong = 0;

  if (count != 2 || !library) return puts(dlerror()), 2;
  go = (nest)dlsym(library, "Nest");
  if (((none)dlsym(library, "Start"))() != 1) return puts("no profile was begun"), 1;
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, call, &wrong);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  if (wrong) return puts("a call returned another number"), 1;
  if (((none)dlsym(library, "Stop"))() != 1) return puts("the profile is not whole"), 1;
  return puts("pass"), 0;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an unconverted Go library with debug information."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "go.mod").write_text("module example.org/it\n\ngo 1.21\n")
    (folder / "main.go").write_text(SOURCE)
    zig = f"{toolchain.zig().program} cc -target x86_64-linux-gnu.2.17"
    environment = compiling.go_environment(
        TARGETS["linux-x64"], toolchain.go(), toolchain.zig(), compiling.GoFlags()
    )
    words = ("build", "-buildmode=c-shared", "-ldflags=-compressdwarf=false", "-o", "it.so", ".")
    subprocess.run(
        [toolchain.go().program, *words],
        cwd=folder,
        env={**os.environ, **environment, "CC": zig, "CGO_CFLAGS": "-O2"},
        check=True,
        timeout=LIMIT_S,
    )
    return folder / "it.so"


@pytest.fixture(scope="module")
def converted_library(library: Path) -> Path:
    output = library.with_name("it-musl.so")
    convert_file(library, output)
    return output


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory, musl: Sysroot) -> Path:
    folder = tmp_path_factory.mktemp("caller")
    (folder / "caller.c").write_text(CALLER)
    flags = ["-O1", "-g0", "-Wall", "-Wextra", "-Werror", "-dynamic"]
    compiling.freestanding(folder / "caller.c", "x86_64-linux-musl", flags, folder / "caller")
    return musl.program(folder / "caller")


def output(*command: str | Path) -> str:
    completed = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return (completed.stdout + completed.stderr).strip()


def test_thunks_profiled_at_1_khz_go_on(caller: Path, converted_library: Path) -> None:
    """Go's profiler unwinds wherever SIGPROF arrives. Every nested call runs two or more sites.

    Go prints that the rate of 1 kHz stays: the profile itself asks for 100 Hz.
    """
    assert output(caller, converted_library).splitlines()[0] == "pass"


def stop_in_a_thunk(
    library: Path, converted_library: Path, function: str
) -> tuple[int, int, list[str]]:
    """Return the first thunk of a function, its return address, and gdb commands that stop in
    it."""
    before, after = (Image(each, each.read_bytes()) for each in (library, converted_library))
    sites = {site.address: site for site in sites_of(before, initial_exec_words(before))}
    symbols = output("nm", converted_library).splitlines()
    addresses = {words[-1]: int(words[0], 16) for line in symbols if len(words := line.split()) > 2}
    start = addresses["crosscall2"]
    site = min(address for address in sites if address > addresses[function])
    jump = int.from_bytes(after.read_at(site + 1, 4), "little", signed=True)
    thunk = site + JUMP + jump
    script = [
        *("-ex", "set language c", "-ex", "set breakpoint pending on"),
        *("-ex", "handle all nostop noprint pass", "-ex", "break Nest", "-ex", "run"),
        *("-ex", f"set $base = (char *)&crosscall2 - {start:#x}"),
        *("-ex", "delete", "-ex", f"break *($base + {thunk:#x})", "-ex", "continue"),
        *("-ex", "delete", "-ex", "set scheduler-locking on"),
    ]
    return thunk, site + sites[site].size, script


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is missing")
def test_go_prints_its_traceback_from_within_a_thunk(
    caller: Path, library: Path, converted_library: Path
) -> None:
    """A thunk belongs to no Go function. A fault in it still ends with Go's own report."""
    thunk, _, script = stop_in_a_thunk(library, converted_library, "runtime.asmcgocall.abi0")
    script += ["-ex", "stepi 2", "-ex", 'printf "in %lx\\n", $pc', "-ex", "signal SIGSEGV"]
    printed = output("gdb", "-batch", "-nx", *script, "--args", caller, converted_library)

    assert re.search(rf"^in \w*{(thunk + THIRD_STEP) & 0xFFF:03x}$", printed, re.MULTILINE), printed
    assert "SIGSEGV: segmentation violation" in printed, printed
    assert re.search(r"^goroutine \d+", printed, re.MULTILINE), printed


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is missing")
def test_gdb_unwinds_through_a_thunk(caller: Path, library: Path, converted_library: Path) -> None:
    """The caller of a thunk is its site, at the thunk's first instruction and at a later one."""
    thunk, back, script = stop_in_a_thunk(library, converted_library, "runtime.cgocallback.abi0")
    for _ in range(2):
        script += ["-ex", 'printf "at %lx\\n", $pc - (long)$base', "-ex", "up"]
        script += ["-ex", 'printf "from %lx\\n", $pc - (long)$base', "-ex", "stepi 3"]
    printed = output("gdb", "-batch", "-nx", *script, "--args", caller, converted_library)
    stops = [int(each, 16) for each in re.findall(r"^at (\w+)", printed, re.MULTILINE)]
    callers = [int(each, 16) for each in re.findall(r"^from (\w+)", printed, re.MULTILINE)]

    assert (len(stops), len(callers)) == (2, 2), printed
    assert stops[0] == thunk < stops[1] < thunk + 48, printed
    assert callers == [back, back], printed


PROFILED = """
const { dlopen } = require("bun:ffi");
const { profile } = require("bun:jsc");
process.dlopen({ exports: {} }, process.argv[2]);
const { Run } = dlopen(process.argv[3], { Run: { args: [], returns: "i32" } }).symbols;
let calls = 0;
const until = performance.now() + 1500;
const found = profile(() => {
  while (performance.now() < until) for (let i = 0; i < 500; i++) if (Run() === 0) calls++;
}, 100);
console.log(calls > 10000 && JSON.stringify(found).length > 100 ? "pass" : `${calls} calls`);
"""


@pytest.mark.parametrize("version", ["1.2.19", "1.4.5"])
def test_thunks_suspended_by_javascriptcore_go_on(
    musl: Sysroot, tmp_path: Path, version: str
) -> None:
    """The sampling profiler suspends the main thread, which is mostly in calls of Go."""
    target = TARGETS["linux-x64-musl"]
    package = fetch.Package(fetch.bun_package(target.name), version)
    bun = musl.program(fetch.fetch_packages([package])[package] / "bin" / "bun")
    script = tmp_path / "profiled.cjs"
    script.write_text(PROFILED)
    module = build.build_fixture("simple", target)

    assert output(bun, script, build.build_guard([target])[0].library, module.library) == "pass"


def test_converted_library_on_arm64_runs_under_qemu(tmp_path: Path) -> None:
    emulator = arm64_emulator()
    target = TARGETS["linux-arm64-musl"]
    try:
        root = sysroot.sysroot_for(target.name)
    except (PrerequisiteError, FetchError) as error:
        pytest.skip(f"no sysroot of musl for arm64: {error.what}")
    program = tmp_path / "musl_calls"
    flags = ["-O1", "-g0", "-Wall", "-Wextra", "-Werror", "-dynamic"]
    source = ROOT / "tests" / "native" / "musl_calls.c"
    compiling.freestanding(source, target.zig_triple, flags, program)
    module = build.build_fixture("simple", target)
    plain = build.build_fixture("simple", target, converted=False)

    assert output(*emulator, root.program(program), module.library) == "pass"
    assert "initial-exec TLS" in output(*emulator, root.program(program), plain.library)
