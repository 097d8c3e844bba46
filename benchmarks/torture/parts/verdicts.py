"""Verdicts under load: cells that are known to pass and to hang, on a machine that is in trouble.

Each part runs the same cells of the matrix through `invoke matrix`, and counts the hangs that are
none, the passes that are none, and the cells that it could not judge.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.torture import loads
from benchmarks.torture.loads import Group
from benchmarks.torture.registry import Budget, Figure, part
from gobun import matrix, paths

if TYPE_CHECKING:
    from gobun.cells import Result

_AXES = {
    "versions": "1.2.19,1.4.5",
    "treatment": "stock",
    "module": "control,simple",
    "load": "ffi,napi-sync",
    "stress": "idle,profile",
}
_LIMIT_S = 5.0
_STOPS_S = 7.0
_HUNGRY = {"memory.limit_in_bytes": str(300 << 20), "memory.max": str(300 << 20)}
_HALF = {"cpu.shares": "8192", "cpu.weight": "800"}
"""A group counts as one task among all others of the machine, so it is given the weight of some."""
_TENTH = {"cpu.cfs_quota_us": "10000", "cpu.max": "10000 100000"}

Load = Callable[[Group, "subprocess.Popen[str]"], contextlib.AbstractContextManager[None]]


@part(seconds=60)
def verdicts_quiet(budget: Budget) -> Iterator[Figure]:
    """Judge known cells with nothing else to do."""
    yield from _measure(budget, Group({"cpu": _HALF}), _nothing)


@part(seconds=90)
def verdicts_busy_2(budget: Budget) -> Iterator[Figure]:
    """Judge known cells beside 2 busy processes."""
    yield from _measure(budget, Group({"cpu": _HALF}), _busy(2))


@part(seconds=180)
def verdicts_busy_8(budget: Budget) -> Iterator[Figure]:
    """Judge known cells beside 8 busy processes."""
    yield from _measure(budget, Group({"cpu": _HALF}), _busy(8))


@part(seconds=900)
def verdicts_busy_64(budget: Budget) -> Iterator[Figure]:
    """Judge known cells beside 64 busy processes."""
    yield from _measure(budget, Group({"cpu": _HALF}), _busy(64))


@part(seconds=900)
def verdicts_tenth_of_a_core(budget: Budget) -> Iterator[Figure]:
    """Judge known cells in a control group with 10 % of a core."""
    yield from _measure(budget, Group({"cpu": _TENTH}), _nothing)


@part(seconds=300)
def verdicts_little_memory(budget: Budget) -> Iterator[Figure]:
    """Judge known cells in a control group with 300 MiB and a process that reads files."""
    runtimes = str(Path.home() / ".cache" / "gobun" / "npm" / "**" / "bun")
    yield from _measure(
        budget, Group({"memory": _HUNGRY}), lambda group, _: loads.reading(runtimes, group)
    )


@part(seconds=180)
def verdicts_harness_stopped(budget: Budget) -> Iterator[Figure]:
    """Judge known cells while the harness is stopped for longer than their limit."""

    def stops(_: Group, run: subprocess.Popen[str]) -> contextlib.AbstractContextManager[None]:
        return loads.stopping(run, runs_s=3.0, stops_s=_STOPS_S)

    yield from _measure(budget, Group({"cpu": _HALF}), stops, limit_s=_LIMIT_S)


def _nothing(_: Group, __: subprocess.Popen[str]) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def _busy(count: int) -> Load:
    return lambda group, _: loads.busy(count, group)


def _measure(
    budget: Budget, limits: Group, load: Load, *, limit_s: float = 20.0
) -> Iterator[Figure]:
    out = budget.folder / "out"
    words = [sys.executable, "-m", "invoke", "matrix"]
    words += [word for name, value in _AXES.items() for word in (f"--{name}", value)]
    words += ["--limit", f"{limit_s:g}", "--jobs", "2", "--out", str(out)]
    started = time.monotonic()
    with limits as group:
        run = subprocess.Popen(
            group.command(words),
            cwd=paths.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            with load(group, run), contextlib.suppress(subprocess.TimeoutExpired):
                run.communicate(timeout=budget.seconds)
        finally:
            run.kill()
            said, _ = run.communicate()
    yield from _figures(matrix.read_results(out).results, said)
    yield Figure("seconds", time.monotonic() - started, "s")


def _figures(results: tuple[Result, ...], said: str) -> Iterator[Figure]:
    hangs = [one for one in results if one.outcome == "hang" and "hang" not in one.expected]
    passes = [one for one in results if one.outcome == "pass" and "pass" not in one.expected]
    starved = [one for one in results if not one.judged]
    others = [
        one
        for one in results
        if one.unexpected and one.judged and one not in hangs and one not in passes
    ]
    yield Figure("cells", len(results), at_least=1, detail=said[-2000:])
    yield Figure("false hangs", len(hangs), at_most=0, detail=_told(hangs))
    yield Figure("false passes", len(passes), at_most=0, detail=_told(passes))
    yield Figure("otherwise wrong", len(others), at_most=0, detail=_told(others))
    yield Figure("could not be judged", len(starved), detail=_told(starved))
    livelocks = [one.wall_ms / 1000 for one in results if one.kind == "livelock"]
    yield Figure("storms named", len(livelocks))
    if livelocks:
        yield Figure("median storm cell", statistics.median(livelocks), "s")


def _told(results: list[Result]) -> str:
    return "; ".join(f"{one.cell.name}: {one.outcome}: {one.detail}" for one in results[:5])
