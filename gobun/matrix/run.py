"""Runs a plan: each cell in a process of its own, each result written as it comes."""

from __future__ import annotations

import concurrent.futures
import os
import shlex
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console, paths
from gobun.build import Fixture
from gobun.errors import GobunError
from gobun.matrix import evidence, watch
from gobun.matrix.child import Child
from gobun.matrix.classify import End, classify
from gobun.matrix.expect import Expectations
from gobun.matrix.records import Cell, Ending, Result
from gobun.runtimes import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Bench(msgspec.Struct, frozen=True):
    """Everything that cells run with."""

    supervise: Path
    warmup: Path
    runtimes: Mapping[tuple[str, str], Runtime]
    modules: Mapping[str, Fixture]
    expectations: Expectations
    out: Path
    """Folder of the results; evidence goes below it."""
    limit_s: float


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The run is being stopped, and this cell has no result."""


def cell_command(cell: Cell, runtime: Runtime, module: Fixture, warmup: Path) -> list[str]:
    """Return the command that runs ``cell``, harness and all else left out."""
    argument = {"load": cell.load, "stress": cell.stress, **runtime.settings(module)}
    if cell.treatment == "warmup":
        argument["warmup"] = str(warmup)
    return runtime.command(paths.SCENARIOS / "cell.cjs", msgspec.json.encode(argument).decode())


def cell_environment(home: Path) -> dict[str, str]:
    """Return the whole environment of a cell whose files go to ``home``."""
    return {
        "BUN_ENABLE_CRASH_REPORTING": "0",
        "BUN_RUNTIME_TRANSPILER_CACHE_PATH": "0",
        "DO_NOT_TRACK": "1",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "PATH": os.defpath,
        "TMPDIR": str(home),
    }


def repro(cell: Cell) -> str:
    """Return the command line that runs ``cell`` alone."""
    words = ["invoke", "matrix", "--runtime", cell.runtime]
    if cell.runtime == "bun":
        words += ["--versions", cell.version]
    words += ["--treatment", cell.treatment, "--module", cell.module]
    words += ["--load", cell.load, "--stress", cell.stress]
    return shlex.join(words)


def run_cells(
    bench: Bench, cells: Sequence[Cell], *, jobs: int, record: Callable[[Result], None]
) -> None:
    """Run every cell, ``jobs`` at a time, and hand each result to ``record`` as it comes.

    On KeyboardInterrupt the cells in flight are killed, and the interruption goes on.
    """
    stop = threading.Event()
    with (
        console.progress("cells", len(cells)) as shown,
        concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool,
    ):
        running = [pool.submit(run_cell, bench, cell, stop) for cell in cells]
        try:
            for future in concurrent.futures.as_completed(running):
                result = future.result()
                record(result)
                shown.advance(note=f"{result.cell.name}: {result.outcome}")
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def run_cell(bench: Bench, cell: Cell, stop: threading.Event) -> Result:
    """Run one cell to its end, to a verdict, or to its limit.

    Raises:
        Stopped: ``stop`` was set meanwhile.
    """
    started = time.monotonic()
    seen = evidence.Seen()
    try:
        with tempfile.TemporaryDirectory(prefix="gobun-cell-", ignore_cleanup_errors=True) as home:
            ending, end = _observe(bench, cell, Path(home), stop, seen)
    except (GobunError, OSError) as error:
        ending, end = Ending("error", f"{type(error).__name__}: {error}"), None
    wall_ms = round((time.monotonic() - started) * 1000)
    kept = evidence.keep(seen, cell, ending, bench.out)
    expected = bench.expectations.of(cell)
    by_itself = end is not None and ending.outcome not in {"hang", "timeout"}
    return Result(
        **{field: getattr(cell, field) for field in cell.__struct_fields__},
        outcome=ending.outcome,
        detail=ending.detail,
        expected=expected,
        unexpected=ending.outcome not in expected and ending.outcome != "skip",
        wall_ms=wall_ms,
        cpu_ms=end.cpu_ms if end else 0,
        max_rss_kb=end.max_rss_kb if end else 0,
        exit_code=end.exit_code if end and by_itself else None,
        signal=watch.signal_name(end.signal) if end and end.signal and by_itself else None,
        attempts=1,
        evidence=kept,
        repro=repro(cell),
    )


def _observe(
    bench: Bench, cell: Cell, home: Path, stop: threading.Event, seen: evidence.Seen
) -> tuple[Ending, End | None]:
    runtime = bench.runtimes[cell.runtime, cell.version]
    command = cell_command(cell, runtime, bench.modules[cell.module], bench.warmup)
    with Child(bench.supervise, command, cwd=home, env=cell_environment(home)) as child:
        verdict = _watch(child, bench.limit_s, stop)
        if verdict is not None and child.pid is not None:
            seen.look_at(child.pid)
            child.kill()
        while not child.closed:
            child.listen(1.0)
    seen.output, seen.events = child.output.text, tuple(child.events)
    if child.start_error is not None:
        reason = os.strerror(child.start_error)
        return Ending("error", f"{command[0]} could not be started: {reason}"), None
    if child.end is None:
        return Ending("error", "the supervisor ended without a report"), None
    return verdict or classify(child.end, child.events, child.output.text), child.end


def _watch(child: Child, limit_s: float, stop: threading.Event) -> Ending | None:
    """Listen to a cell until it ends; return the verdict on one that does not."""
    deadline = time.monotonic() + limit_s
    samples: list[watch.Sample] = []
    sampled_at = 0.0
    while not child.closed and child.end is None:
        child.listen(watch.SAMPLE_EVERY_S)
        if stop.is_set():
            raise Stopped
        now = time.monotonic()
        stale_s = now - child.progressed_at
        if samples and samples[0].at < child.progressed_at:
            samples.clear()
        due = now - sampled_at >= watch.SAMPLE_EVERY_S and stale_s >= watch.STALE_AFTER_S
        if due and child.pid is not None and child.end is None:
            sampled_at = now
            samples.append(watch.take_sample(child.pid, now))
            if (hang := watch.judge(samples, child.progressed_at)) is not None:
                return hang
        if now >= deadline:
            return watch.at_limit(samples, stale_s, limit_s)
    return None
