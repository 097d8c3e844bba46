"""The harness under modules that attack it, cells that hang, and signals at random moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.torture.hostile import (
    BREAKING_CASES,
    CASES,
    GRACE_S,
    LIMIT_S,
    difference_from,
    ready_bench,
    run_case,
    starts_threads,
)
from benchmarks.torture.registry import Budget, Figure, part
from gobun import matrix, paths, runtimes
from gobun.cells import Cell, Result
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator

HANGING_VERSION = "1.2.19"
_SEED = 10
_ROW = 1000
_PAIRS = 200
_THREADS = 12_000
_THREADS_STARTED_S = 17.0
"""Additional seconds for this cell, because it first starts so many threads."""
_KILLS = 50
_LIMIT_S = 60.0
_ENDS_WITHIN_S = 3.0
_SETTLES_S = 10.0
_SELECTION = ("--versions", HANGING_VERSION, "--treatment", "stock", "--module", "control,simple")


@part(seconds=120)
def hostile_modules(budget: Budget) -> Iterator[Figure]:
    """Run modules that forge reports, flood the channel, and kill or stop their supervisor."""
    bench = ready_bench(budget.folder / "out")
    bad: list[str] = []
    slowest, ran = 0.0, 0
    for number, case in enumerate((*CASES, *BREAKING_CASES)):
        folder = budget.folder / str(number)
        folder.mkdir()
        began = time.monotonic()
        bad += filter(None, [difference_from(case, run_case(bench, folder, case))])
        slowest = max(slowest, time.monotonic() - began)
        ran += 1
        bad += [f"{case.name}: process {pid} is left" for pid in _noted_processes(folder / "note")]
    yield Figure("hostile modules", ran, at_least=len(CASES) + len(BREAKING_CASES))
    yield Figure("wrong outcomes", len(bad), at_most=0, detail="; ".join(bad[:3]))
    yield Figure("slowest", slowest, "s", at_most=LIMIT_S + GRACE_S)


@part(seconds=60)
def many_threads(budget: Budget) -> Iterator[Figure]:
    """Run a module whose child has 12,000 threads, and end them all."""
    count = budget.scale(_THREADS, 60, least=100)
    limit_s = LIMIT_S + _THREADS_STARTED_S * count / _THREADS
    case = starts_threads(count)
    bench = msgspec.structs.replace(ready_bench(budget.folder / "out"), limit_s=limit_s)
    began = time.monotonic()
    failure = difference_from(case, run_case(bench, budget.folder, case))
    took_s = time.monotonic() - began
    started = budget.folder / "note.threads"
    threads = int(started.read_text()) if started.is_file() else 0  # the limit may come first
    yield Figure("threads", threads, at_least=count)
    yield Figure("wrong outcomes", int(bool(failure)), at_most=0, detail=failure)
    yield Figure("the cell with its end", took_s, "s", at_most=limit_s + GRACE_S)
    left = list(_noted_processes(budget.folder / "note"))
    yield Figure("processes left by the child", len(left), at_most=0)


@part(seconds=1500, grace_s=300)
def hanging_cells(budget: Budget) -> Iterator[Figure]:
    """Run cells that hang, in a row and in pairs."""
    target = host_target()
    bench = matrix.build_run_context(["simple"], target, out=budget.folder, limit_s=_LIMIT_S)
    [bun] = runtimes.provide_runtimes("bun", [HANGING_VERSION], target)
    bench = msgspec.structs.replace(bench, runtimes={("bun", HANGING_VERSION): bun})
    cell = Cell("bun", HANGING_VERSION, "stock", "simple", "napi-sync", "idle")

    def run_one(_: int) -> Result:
        return matrix.run_cell(bench, cell, threading.Event())

    row = [run_one(each) for each in range(budget.scale(_ROW, 1500))]
    with ThreadPoolExecutor(max_workers=2) as pool:
        pairs = list(pool.map(run_one, range(budget.scale(_PAIRS, 1500, least=2))))
    for name, results in (("in a row", row), ("in pairs", pairs)):
        other = [f"{each.outcome}: {each.detail}" for each in results if each.outcome != "hang"]
        yield Figure(f"cells {name}", len(results))
        yield Figure(f"no hang, {name}", len(other), at_most=0, detail="; ".join(other[:3]))
        median = statistics.median(each.wall_ms for each in results)
        yield Figure(f"median of a cell {name}", median / 1000, "s")


@part(seconds=600, grace_s=300)
def random_kills(budget: Budget) -> Iterator[Figure]:
    """Kill the harness with SIGKILL at random moments, and resume the run."""
    run = _Runs(budget)
    whole_s = run.run_once([])
    kills = budget.scale(_KILLS, 600, least=3)
    for _ in range(kills):
        run.interrupted(signal.SIGKILL, run.random.uniform(0.0, whole_s))
        if run.random.random() < 0.5:
            run.results.unlink(missing_ok=True)
    late = run.processes(wait_s=_SETTLES_S)
    run.run_once(["--resume"])
    cells = [result.cell for result in matrix.read_results(run.results).results]
    planned = matrix.read_results(run.results).header.cells
    yield Figure("kills", kills)
    yield Figure("processes left", len(late), at_most=0, detail=", ".join(late[:5]))
    yield Figure("folders left after the next run", run.folders(), at_most=0)
    yield Figure("results lost", planned - len(set(cells)), at_most=0)
    yield Figure("results doubled", len(cells) - len(set(cells)), at_most=0)


@part(seconds=300, grace_s=300)
def ending_signals(budget: Budget) -> Iterator[Figure]:
    """End a run by SIGTERM, SIGINT and SIGHUP at random moments."""
    run = _Runs(budget)
    whole_s = run.run_once([])
    durations: list[float] = []
    bad: list[str] = []
    for index in range(budget.scale(30, 300, least=3)):
        number = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[index % 3]
        moment = run.random.uniform(0.1 * whole_s, 0.9 * whole_s)
        code, seconds = run.interrupted(number, moment)
        durations.append(seconds)
        # The last three occur if the run had not begun, or had just ended by itself.
        if code not in {128 + number, -number, 0, 1}:
            bad.append(f"{number.name} at {moment:.2f} s: exit code {code}")
    yield Figure("ended runs", len(durations))
    yield Figure("slowest end", max(durations), "s", at_most=_ENDS_WITHIN_S)
    yield Figure("wrong exit codes", len(bad), at_most=0, detail="; ".join(bad[:3]))
    late = run.processes(wait_s=_SETTLES_S)
    yield Figure("processes left", len(late), at_most=0, detail=", ".join(late[:5]))
    yield Figure("folders left", run.folders(), at_most=0)


class _Runs:
    """Runs of one small matrix with the command that users run."""

    def __init__(self, budget: Budget) -> None:
        self.random = random.Random(_SEED)
        self.results = budget.folder / "out" / matrix.FILE_NAME
        self._temporary_folder = budget.folder / "tmp"
        self._temporary_folder.mkdir()
        words = [sys.executable, "-m", "invoke", "matrix", *_SELECTION]
        self._command = [*words, "--load", "ffi,napi-sync", "--out", str(budget.folder / "out")]
        self.run_once([])  # builds and fetches, and is not timed

    def run_once(self, flags: list[str]) -> float:
        """Run the matrix to its end, and return the duration in seconds."""
        began = time.monotonic()
        self._start(flags).wait()
        return time.monotonic() - began

    def interrupted(self, number: signal.Signals, after_s: float) -> tuple[int, float]:
        """Run the matrix and send it a signal. Return its exit code and the seconds until then."""
        flags = ["--resume"] if self.results.is_file() and self._is_whole() else []
        child = self._start(flags)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(after_s)
        began = time.monotonic()
        child.send_signal(number)
        return child.wait(), time.monotonic() - began

    def processes(self, wait_s: float) -> list[str]:
        """Return the processes left from all runs, after at most ``wait_s`` seconds."""
        deadline = time.monotonic() + wait_s
        while (processes_left := list(self._processes())) and time.monotonic() < deadline:
            time.sleep(0.05)
        return processes_left

    def folders(self) -> int:
        """Return the number of temporary folders that are left."""
        return sum(1 for _ in self._temporary_folder.iterdir())

    def _is_whole(self) -> bool:
        return bool(self.results.read_bytes().count(b"\n"))

    def _start(self, flags: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._command, *flags],
            cwd=paths.ROOT,
            env={**os.environ, "TMPDIR": str(self._temporary_folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _processes(self) -> Iterator[str]:
        mark = os.fsencode(f"TMPDIR={self._temporary_folder}")
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes():
                    yield f"{process.name} {(process / 'comm').read_text(errors='replace').strip()}"


def _noted_processes(note: Path) -> Iterator[int]:
    """Yield the id of the process that a module left and recorded, if it still runs."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(note.read_text())
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            yield pid
