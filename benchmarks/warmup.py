"""Compares the time to load and call the warm-up library with that of a C library.

    .venv/bin/nox -s shell -- benchmark warmup

Each number is the median over fresh processes of one timed `dlopen` and call. The two libraries
alternate. Claim C4 states that the warm-up takes about 1 ms, once. `report/facts.json` gets the
numbers for `invoke claims`.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path

from gobun import build, runtimes
from gobun.analysis import write_facts
from gobun.targets import host_target

FACTS = Path("report/facts.json")
ROUNDS = 15
VERSIONS = ("1.2.1", "1.4.5")
SCRIPT = """
const { dlopen } = require("bun:ffi");
const [library, symbol] = process.argv.slice(-2);
const started = performance.now();
const call = dlopen(library, { [symbol]: { args: [], returns: "i32" } }).symbols[symbol];
call();
const first = performance.now();
call();
console.log(first - started, performance.now() - first);
"""


def main() -> None:
    """Measure, and print one line per version of Bun."""
    target = host_target()
    warmup = (str(build.build_warmup([target])[0].library), "Warmup")
    control = (str(build.build_fixture(build.CONTROL, target).library), "Run")
    with tempfile.TemporaryDirectory(prefix="gobun-benchmark-") as folder:
        script = Path(folder) / "timed.cjs"
        script.write_text(SCRIPT)
        taken = {
            f"bun@{bun.version}": compare(bun, script, warmup, control)
            for bun in runtimes.provide_bun(VERSIONS, target)
        }
    write_facts(FACTS, {"warmup-ms": taken})


def compare(
    bun: runtimes.Bun, script: Path, warmup: tuple[str, str], control: tuple[str, str]
) -> float:
    """Time both libraries in new processes, print the medians, and return the warm-up's in ms."""
    taken: dict[tuple[str, str], list[float]] = {warmup: [], control: []}
    for _ in range(ROUNDS):
        for words, times in taken.items():
            command = [str(bun.program), str(script), *words]
            completed = subprocess.run(command, capture_output=True, text=True, check=True)
            times.append(float(completed.stdout.split()[0]))
    control_time, warmup_time = statistics.median(taken[control]), statistics.median(taken[warmup])
    print(
        f"bun@{bun.version}: {warmup_time:.2f} ms for the warm-up library, {control_time:.2f} ms "
        f"for C: ratio {warmup_time / control_time:.1f} ({ROUNDS} pairs)"
    )
    return warmup_time


if __name__ == "__main__":
    main()
