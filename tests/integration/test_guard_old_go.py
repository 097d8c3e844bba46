"""Libraries of older Go releases that take the suspend signal. Each release calls the kernel
differently.

The toolchains have 1.3 GB, and each compiles a Go runtime. So these tests run only if
``GOBUN_OLD_GO`` names a folder for the toolchains.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from commands import bun

from gobun import build, toolchain
from gobun.process import tool_environment
from gobun.targets import host_target

FOLDER = os.environ.get("GOBUN_OLD_GO", "")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.network,
    pytest.mark.skipif(not FOLDER, reason="GOBUN_OLD_GO names no folder for old toolchains"),
    pytest.mark.skipif(host_target().name != "linux-x64", reason="they are fetched for x64"),
]
SUMS = {
    "1.18.10": "h1:DoRXEPy0iapMWDLF5FpN4nhL3wfwgijsGwcq45OMI08=",
    "1.20.14": "h1:8qw1ZS9f0CG9ty0SLWhGEERyjMSNgfMIR+e1g5RRYb0=",
    "1.24.4": "h1:nm4Il5pypT+vEB1UPY4e+r1p/0HoRr/2jjj+dwb8KhA=",
}
"""The expected Go checksum of each toolchain."""
SOURCE = """
package main

import "C"
import (
	"os"
	"os/signal"
	"syscall"
)

//export Take
func Take(how int32) int32 {
	events := make(chan os.Signal, 9)
	switch how {
	case 0:
		signal.Notify(events)
	case 1:
		signal.Notify(events, syscall.SIGPWR)
	default:
		signal.Ignore(syscall.SIGPWR)
	}
	return how
}

func main() {}
"""
SCRIPT = """
const { dlopen } = require("bun:ffi");
const { profile } = require("bun:jsc");
const [library, how, guard] = process.argv.slice(2);
if (guard) process.dlopen({ exports: {} }, guard);
dlopen(library, { Take: { args: ["i32"], returns: "i32" } }).symbols.Take(Number(how));
console.log("taken");
setTimeout(() => {
  profile(() => {
    const end = performance.now() + 200;
    while (performance.now() < end) JSON.stringify({ a: [1, 2] });
  }, 500);
  console.log("turned");
  process.exit(0);
}, 300);
"""


def fetched(version: str) -> Path:
    """Return the folder of an old toolchain, from Go's module proxy."""
    module = f"golang.org/toolchain@v0.0.1-go{version}.linux-amd64"
    completed = subprocess.run(
        [toolchain.go().program, "mod", "download", "-json", module],
        env=tool_environment(
            {
                "GOFLAGS": "-modcacherw",
                "GOMODCACHE": str(Path(FOLDER).absolute()),
                "GONOSUMDB": "golang.org/toolchain",
                "GOTOOLCHAIN": "local",
            }
        ),
        cwd=FOLDER,
        capture_output=True,
        check=False,
        timeout=600,
    )
    answer: dict[str, Any] = msgspec.json.decode(completed.stdout)
    if answer.get("Error"):
        pytest.skip(f"no Go {version}: {answer['Error']}")
    assert answer["Sum"] == SUMS[version]
    folder = Path(answer["Dir"])
    for program in (*folder.glob("bin/*"), *folder.glob("pkg/tool/*/*")):
        program.chmod(0o755)
    return folder


@pytest.fixture(scope="module", params=SUMS)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = fetched(request.param)
    folder = tmp_path_factory.mktemp("library")
    (folder / "main.go").write_text(SOURCE)
    (folder / "go.mod").write_text("module taker\n\ngo 1.18\n")
    compiler = f"{toolchain.zig().program} cc -target {host_target().zig_triple}"
    subprocess.run(
        [root / "bin" / "go", "build", "-buildmode=c-shared", "-o", "taker.so", "."],
        env=tool_environment(
            {
                "CC": compiler,
                "CGO_ENABLED": "1",
                "GOCACHE": str(Path(FOLDER).absolute() / "build"),
                "GOFLAGS": "",
                "GOROOT": str(root),
                "GOTOOLCHAIN": "local",
                "HOME": str(folder),
            }
        ),
        cwd=folder,
        check=True,
        timeout=600,
    )
    return folder / "taker.so"


def run(library: Path, version: str, request: int, guard: str, limit_s: int) -> tuple[str, int]:
    script = library.with_name("script.cjs")
    script.write_text(SCRIPT)
    command = [bun(version).program, script, library, str(request), guard]
    completed = subprocess.run(
        ["timeout", "-s", "KILL", str(limit_s), *map(str, command)],
        env={"HOME": str(library.parent), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return completed.stdout, completed.returncode


@pytest.mark.parametrize("version", ["1.2.19", "1.4.5"])
def test_guard_shares_the_suspend_signal_with_old_go(library: Path, version: str) -> None:
    guard = str(build.build_guard([host_target()])[0].library)
    for request in range(3):
        assert run(library, version, request, guard, 20) == ("taken\nturned\n", 0)
    # Without the guard it hangs.
    assert run(library, version, 2, "", 5)[1] != 0
