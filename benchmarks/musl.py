"""What a conversion for musl costs: a call of Go through FFI, and the conversion itself.

    .venv/bin/nox -s shell -- benchmark musl

A converted library loads in musl alone, and one that is not converted in glibc alone. So the same
calls are timed in both builds of one Bun: of Go, where the conversion counts, and of C, where it
does not. The processes alternate, and each number is the best of many blocks.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from gobun import build, runtimes
from gobun.build.musl import native_code
from gobun.targets import for_libc, host_target

VERSION = "1.4.5"
ROUNDS = 5
_CALLS = """
const { dlopen } = require("bun:ffi");
const [file, name] = process.argv.slice(2);
const call = dlopen(file, { [name]: { args: [], returns: "i32" } }).symbols[name];
let best = Infinity;
for (let block = 0; block < 40; block++) {
  const started = Bun.nanoseconds();
  for (let i = 0; i < 20000; i++) call();
  best = Math.min(best, (Bun.nanoseconds() - started) / 20000);
}
console.log(JSON.stringify(best));
process.exit(0);
"""
_MEASURED = (("simple", "Run", "a call of Go"), ("control", "Recover", "a call of C"))
"""Modules, a function of each that returns at once, and words for it."""
_CONVERT = """
import resource, sys, time
from pathlib import Path
from gobun.build.musl import native_code
from gobun.musl import convert
path = Path(sys.argv[1])
data, code = path.read_bytes(), native_code(sys.argv[2])
started = time.process_time()
convert(path, data, lambda _: code)
used = time.process_time() - started
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"converting {len(data) / 1e6:.1f} MB: {used:.2f} s of CPU, {most:.0f} MB at most")
"""


def main() -> None:
    """Measure, and print a line for each kind of call and one for the conversion."""
    here = host_target()
    targets = [here, for_libc(here, "musl")]
    programs = [runtimes.provide_runtimes("bun", [VERSION], it)[0].program for it in targets]
    with tempfile.TemporaryDirectory(prefix="gobun-benchmark-") as folder:
        script = Path(folder) / "calls.cjs"
        script.write_text(_CALLS)
        for module, function, what in _MEASURED:
            libraries = [build.build_fixture(module, it).library for it in targets]
            pairs = zip(programs, libraries, strict=True)
            show(what, [[program, script, library, function] for program, library in pairs])
    addon = build.build_fixture(build.ASHERAH, here).addon
    native_code(here.arch)  # built now, so that its compiler is not measured
    subprocess.run([sys.executable, "-c", _CONVERT, addon, here.arch], check=True)


def show(what: str, commands: list[list[Path | str]]) -> None:
    """Time both builds in turn, and print their best and the ratio."""
    best = [float("inf")] * len(commands)
    for _ in range(ROUNDS):
        for number, command in enumerate(commands):
            done = subprocess.run(command, check=True, capture_output=True)
            best[number] = min(best[number], msgspec.json.decode(done.stdout, type=float))
    glibc, musl = best
    print(
        f"{what} by FFI in Bun {VERSION}: {glibc:.1f} ns on glibc, {musl:.1f} ns on musl, "
        f"ratio {musl / glibc:.2f}"
    )


if __name__ == "__main__":
    main()
