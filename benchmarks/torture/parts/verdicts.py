"""Verdicts under load: cells that are known to pass or to hang, on a machine in trouble.

Each part runs the same cells of the matrix through `invoke matrix`, and counts false hangs, false
passes and cells without a verdict. With `--keep FOLDER` it keeps the results, and the same command
resumes from them:

    python -m benchmarks.torture --keep out/proof --rounds 5 --every-cell verdicts-
"""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.torture import loads
from benchmarks.torture.loads import Group
from benchmarks.torture.registry import Budget, Figure, part
from gobun import matrix, paths, runtimes
from gobun.cells.scenario import read_scenario
from gobun.errors import GobunError
from gobun.targets import host_target

if TYPE_CHECKING:
    from benchmarks.torture.registry import Choices
    from gobun.cells import Result
    from gobun.matrix import Run

_SAMPLE = {
    "versions": "1.2.19,1.4.5",
    "treatment": "stock",
    "module": "control,simple",
    "load": "ffi,napi-sync",
    "stress": "idle,profile,exit,spawn,terminate",
}
"""The sample: the last release that hangs when it idles and one that never hangs, with and without
Go, in two loads. `idle` and `profile` hang differently. The other stresses have deadlines of their
own, which a busy machine may miss."""
_LIMIT_S = 5.0
_STOPS_S = 7.0
_MEMORY_LIMIT = {"memory.limit_in_bytes": str(300 << 20), "memory.max": str(300 << 20)}
_GROUP_WEIGHT = {"cpu.shares": "8192", "cpu.weight": "800"}
"""The kernel weighs a group like one task of the machine, so the group needs the weight of
several."""
_PERIOD_US = 100_000
_TENTH = 0.1
_ENDS_WITHIN_S = 15.0

Load = Callable[[Group, "subprocess.Popen[str]"], contextlib.AbstractContextManager[None]]


def _no_load(_: Group, __: subprocess.Popen[str]) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


class LoadCondition(NamedTuple):
    """A condition under which cells are judged."""

    name: str
    """The folder of its results."""
    load: Load = _no_load
    limits: Mapping[str, Mapping[str, str]] | None = None
    """Limits of the control group. The default is a large weight, and ``--cores`` if given."""
    limit_s: float = 20.0


@part(seconds=150, grace_s=300)
def verdicts_quiet(budget: Budget) -> Iterator[Figure]:
    """Judge known cells with nothing else to do."""
    yield from _measure(budget, LoadCondition("quiet"))


@part(seconds=240, grace_s=300)
def verdicts_busy_2(budget: Budget) -> Iterator[Figure]:
    """Judge known cells while 2 processes are busy."""
    yield from _measure(budget, _busy_condition(2))


@part(seconds=500, grace_s=300)
def verdicts_busy_8(budget: Budget) -> Iterator[Figure]:
    """Judge known cells while 8 processes are busy."""
    yield from _measure(budget, _busy_condition(8))


@part(seconds=1800, grace_s=300)
def verdicts_busy_64(budget: Budget) -> Iterator[Figure]:
    """Judge known cells while 64 processes are busy."""
    yield from _measure(budget, _busy_condition(64))


@part(seconds=1200, grace_s=300)
def verdicts_tenth_of_a_core(budget: Budget) -> Iterator[Figure]:
    """Judge known cells in a control group with 10 % of a core."""
    yield from _measure(budget, LoadCondition("tenth-of-a-core", limits={"cpu": _quota(_TENTH)}))


@part(seconds=400, grace_s=300)
def verdicts_little_memory(budget: Budget) -> Iterator[Figure]:
    """Judge known cells in a control group with 300 MiB and a process that reads files."""
    files = str(paths.cache_root() / "npm" / "**" / "bun")

    def reads(group: Group, _: subprocess.Popen[str]) -> contextlib.AbstractContextManager[None]:
        return loads.reading(files, group)

    yield from _measure(budget, LoadCondition("little-memory", reads, {"memory": _MEMORY_LIMIT}))


@part(seconds=300, grace_s=300)
def verdicts_harness_stopped(budget: Budget) -> Iterator[Figure]:
    """Judge known cells while the harness is stopped for longer than their limit."""

    def stops(_: Group, run: subprocess.Popen[str]) -> contextlib.AbstractContextManager[None]:
        return loads.stopping(run, runs_s=3.0, stops_s=_STOPS_S)

    yield from _measure(budget, LoadCondition("harness-stopped", stops, limit_s=_LIMIT_S))


def _busy_condition(count: int) -> LoadCondition:
    return LoadCondition(f"busy-{count}", lambda group, _: loads.busy_processes(count, group))


def _quota(cores: float) -> dict[str, str]:
    """Return the limits of a group that may use ``cores`` processors."""
    quota = round(cores * _PERIOD_US)
    return {
        "cpu.cfs_period_us": str(_PERIOD_US),
        "cpu.cfs_quota_us": str(quota),
        "cpu.max": f"{quota} {_PERIOD_US}",
    }


def _measure(budget: Budget, trouble: LoadCondition) -> Iterator[Figure]:
    choices = budget.choices
    cap = {"cpu": {**_GROUP_WEIGHT, **(_quota(choices.cores) if choices.cores else {})}}
    folder = (Path(choices.kept) if choices.kept else budget.folder) / trouble.name
    _prepare(choices)
    began = time.monotonic()
    ends = began + budget.seconds
    runs: list[Run] = []
    output = ""
    for number in range(1, choices.rounds + 1):
        out = folder / f"round-{number}"
        whole = _read_run(out)
        if (whole is None or not _is_whole(whole)) and ends > time.monotonic():
            with Group(trouble.limits or cap) as group:
                words = _matrix_flags(choices, out, trouble.limit_s)
                output = _run(words, group, trouble.load, ends - time.monotonic())
            whole = _read_run(out)
        runs += [whole] if whole is not None else []
    planned = runs[0].header.cells * choices.rounds if runs else 0
    yield from _figures([result for run in runs for result in run.results], planned, output)
    yield Figure("seconds", time.monotonic() - began, "s")


def _prepare(choices: Choices) -> None:
    """Build and fetch everything that the cells need, before the load and the clock start.

    Raises:
        GobunError: something could not be built or fetched.
    """
    target = host_target()
    default = read_scenario().matrix
    versions = default.versions if choices.every_cell else _SAMPLE["versions"].split(",")
    modules = default.modules if choices.every_cell else _SAMPLE["module"].split(",")
    matrix.build_run_context(modules, target, out=paths.ROOT, limit_s=1.0)
    runtimes.provide_runtimes("bun", versions, target)


def _matrix_flags(choices: Choices, out: Path, limit_s: float) -> list[str]:
    axes = {} if choices.every_cell else _SAMPLE
    words = [sys.executable, "-m", "invoke", "matrix"]
    words += [word for name, value in axes.items() for word in (f"--{name}", value)]
    words += ["--limit", f"{limit_s:g}", "--jobs", str(choices.jobs), "--out", str(out)]
    return [*words, "--resume"] if _read_run(out) is not None else words


def _run(words: list[str], group: Group, load: Load, seconds: float) -> str:
    """Run the matrix until it ends or the time is up, and return the end of its output."""
    run = subprocess.Popen(
        group.command(words),
        cwd=paths.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with load(group, run), contextlib.suppress(subprocess.TimeoutExpired):
            run.communicate(timeout=seconds)
        run.terminate()  # the results of finished cells are kept
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.communicate(timeout=_ENDS_WITHIN_S)
    finally:
        run.kill()
        output, _ = run.communicate()
    return output[-2000:]


def _read_run(out: Path) -> Run | None:
    try:
        return matrix.read_results(out)
    except GobunError:
        return None


def _is_whole(run: Run) -> bool:
    return len(run.results) == run.header.cells


def _figures(results: list[Result], planned: int, output: str) -> Iterator[Figure]:
    hangs = [
        result for result in results if result.outcome == "hang" and "hang" not in result.expected
    ]
    passes = [
        result for result in results if result.outcome == "pass" and "pass" not in result.expected
    ]
    starved = [result for result in results if not result.is_judged]
    others = [
        result
        for result in results
        if result.unexpected and result.is_judged and result not in hangs and result not in passes
    ]
    yield Figure("cells", len(results), at_least=1, detail=output)
    yield Figure("cells not reached in this time", planned - len(results))
    yield Figure("false hangs", len(hangs), at_most=0, detail=_results_text(hangs))
    yield Figure("false passes", len(passes), at_most=0, detail=_results_text(passes))
    yield Figure("otherwise wrong", len(others), at_most=0, detail=_results_text(others))
    yield Figure("could not be judged", len(starved), detail=_results_text(starved))
    silent = [
        float(match[1]) for result in results if (match := _LIVELOCK_DETAIL.search(result.detail))
    ]
    yield Figure("storms named", len(silent))
    if silent:
        yield Figure("median silence when a storm was named", statistics.median(silent), "s")


_LIVELOCK_DETAIL = re.compile(r"^livelock: .* no turn of the event loop in ([0-9.]+) s$")


def _results_text(results: list[Result]) -> str:
    return "; ".join(
        f"{result.cell.name}: {result.outcome}: {result.detail}" for result in results[:5]
    )
