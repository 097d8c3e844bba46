"""Measures the cost of the harness: runs each cell, and its command alone.

    .venv/bin/nox -s shell -- benchmark harness

Prints the medians in milliseconds and their difference. Runs with and without the harness
alternate, so a machine that becomes slower affects both.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from gobun import matrix, runtimes
from gobun.cells import Cell
from gobun.targets import host_target

ROUNDS = 15
VERSION = "1.4.5"


def main() -> None:
    """Measure, and print one line per stress."""
    target = host_target()
    with tempfile.TemporaryDirectory(prefix="gobun-benchmark-") as folder:
        built = matrix.build_run_context(["control"], target, out=Path(folder), limit_s=20)
        (bun,) = runtimes.provide_runtimes("bun", [VERSION], target)
        bench = msgspec.structs.replace(built, runtimes={("bun", VERSION): bun})
        for stress in ("idle", "wasm"):
            cell = Cell("bun", VERSION, "stock", "control", "ffi", stress)
            measure(bench, cell, Path(folder))


def measure(bench: matrix.RunContext, cell: Cell, home: Path) -> None:
    """Run a cell with and without the harness in turn, and print the medians."""
    command = matrix.cell_command(bench, cell)
    environment = matrix.cell_environment(home)
    bare: list[float] = []
    harnessed: list[float] = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(command, env=environment, cwd=home, check=True, capture_output=True)
        between = time.perf_counter()
        result = matrix.run_cell(bench, cell, threading.Event())
        ended = time.perf_counter()
        if result.outcome != "pass":
            raise SystemExit(f"{cell.name} came to {result.outcome}: {result.detail}")
        bare.append((between - started) * 1000)
        harnessed.append((ended - between) * 1000)
    bare_time, harnessed_time = statistics.median(bare), statistics.median(harnessed)
    print(
        f"{cell.name}: {harnessed_time:.1f} ms under the harness, {bare_time:.1f} ms bare: "
        f"{harnessed_time - bare_time:+.1f} ms, ratio {harnessed_time / bare_time:.2f} "
        f"({ROUNDS} pairs)"
    )


if __name__ == "__main__":
    main()
