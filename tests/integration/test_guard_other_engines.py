"""Another engine that stops threads with a signal, beside Go in Bun: Boehm's collector.

Go adds SA_ONSTACK to the collector's handler as well. The handler then takes an address on the
alternate stack as the end of the thread's own stack, so the collector scans unmapped memory.

The collector's own choice, SIGPWR, is also the signal with which Bun suspends threads since 1.2.2.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import bun

from gobun import build, paths
from gobun.build import build_store
from gobun.build import compile as compiling
from gobun.debian import Apt, unpack
from gobun.errors import FetchError, PrerequisiteError
from gobun.scratch import scratch_folder
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        host_target().name not in {"linux-x64", "linux-arm64"},
        reason="Debian's collector is for Linux with glibc",
    ),
]

SOURCE = paths.ROOT / "tests" / "integration" / "native" / "collector.c"
SUITE, PACKAGE, LIBRARY = "bookworm", "libgc1", "libgc.so.1"
OWN_CHOICE, UNUSED_SIGNAL = 0, 40
SCRIPT = """
const { dlopen } = require("bun:ffi");
const { profile } = require("bun:jsc");
const [collector, signal, go, guard] = process.argv.slice(2);
const none = { args: [], returns: "i32" };
if (guard) process.dlopen({ exports: {} }, guard);
const { symbols } = dlopen(collector, {
  CollectorStart: { args: ["i32"], returns: "i32" },
  CollectorRuns: none,
});
if (symbols.CollectorStart(Number(signal)) !== 0) throw new Error("no thread");
dlopen(go, { Run: none }).symbols.Run();
const first = symbols.CollectorRuns();
const start = performance.now();
const isOver = () => symbols.CollectorRuns() - first > 20 && performance.now() - start > 300;
profile(() => {
  while (!isOver() && performance.now() - start < 20000);
}, 500);
Bun.gc(true);
console.log(isOver() ? "collected" : "stalled");
process.exit(0);
"""


def fetch_collector(folder: Path) -> None:
    """Unpack Debian's library into ``folder``."""
    arch = host_target().goarch
    with scratch_folder("apt") as scratch:
        apt = Apt(arch, SUITE, scratch / "apt", hint="connect the machine, or skip this test")
        unpack(apt.download(PACKAGE), folder)


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the driver's library, linked with Debian's collector."""
    recipe = build_store.Recipe(f"{PACKAGE}-{host_target().name}", (), (SUITE,))
    try:
        folder = build_store.built(recipe, fetch_collector)
    except (FetchError, PrerequisiteError) as error:
        pytest.skip(f"Debian's {PACKAGE} cannot be had: {error}")
    [library] = folder.rglob(LIBRARY)
    output = tmp_path_factory.mktemp("collector") / "collector.so"
    compiling.c_shared(
        [SOURCE, library],
        target=host_target(),
        output=output,
        exports=["CollectorStart", "CollectorRuns"],
        flags=[f"-Wl,-rpath,{library.parent}"],
    )
    return output


def collect(
    version: str, collector: Path, signal: int, folder: Path, *, guarded: bool
) -> subprocess.CompletedProcess[str]:
    script = folder / "collects.cjs"
    script.write_text(SCRIPT)
    go = build.build_fixture("simple", host_target()).library
    words = [collector, signal, go]
    if guarded:
        words.append(build.build_guard([host_target()])[0].library)
    return subprocess.run(
        [str(bun(version).program), str(script), *map(str, words)],
        env={"HOME": str(folder), "PATH": os.defpath, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("version", "signal"),
    [("1.2.1", OWN_CHOICE), ("1.2.19", OWN_CHOICE), ("", OWN_CHOICE), ("", UNUSED_SIGNAL)],
)
def test_collector_beside_go_is_cured_by_guard(
    collector: Path, tmp_path: Path, *, version: str, signal: int
) -> None:
    completed = collect(version, collector, signal, tmp_path, guarded=True)
    assert (completed.returncode, completed.stdout) == (0, "collected\n")


def test_collector_beside_go_without_guard_crashes(collector: Path, tmp_path: Path) -> None:
    completed = collect("", collector, UNUSED_SIGNAL, tmp_path, guarded=False)
    assert completed.returncode < 0
    assert completed.stdout == ""
