"""The main job from end to end: builds → runtimes → plan → run → results → report."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import build, console, files, matrix, process, report, runtimes
from gobun.errors import UnexpectedOutcomeError, UsageError
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.build import Fixture
    from gobun.matrix import Cell, Expectations
    from gobun.runtimes import Runtime
    from gobun.targets import Target

REPORT_NAME = "report.md"


class Request(msgspec.Struct, frozen=True):
    """What a person asked for; an empty list means the default matrix's own."""

    runtime: str = "bun"
    versions: str = ""
    treatments: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    stresses: tuple[str, ...] = ()
    out: Path = Path("report")
    jobs: int | None = None
    limit_s: float | None = None
    resume: bool = False


def run_matrix(request: Request) -> None:
    """Build what is needed, fetch the runtimes, run the matrix, and write the report.

    Raises:
        UsageError: an argument names what does not exist.
        PrerequisiteError: a tool is missing, or the disk refuses.
        FetchError: a runtime could not be fetched.
        BuildError: a library could not be built.
        UnexpectedOutcomeError: everything ran, and a cell was not as expected.
    """
    axes, expectations = _asked(request)
    target = host_target()
    versions = _versions(request, axes, target)
    # Building keeps the processor busy and fetching the network, so both go on at once.
    with ThreadPoolExecutor(max_workers=1) as pool:
        building = pool.submit(_build, axes.modules, target)
        try:
            provided = _provide(request.runtime, versions, target)
            warmup, modules = building.result()
        except KeyboardInterrupt:
            process.interrupt_tools()
            raise
    ready = {(runtime.name, runtime.version): runtime for runtime in provided}
    cells = matrix.plan_cells(ready, axes)
    bench = matrix.Bench(
        supervise=build.build_supervise(target),
        warmup=warmup,
        runtimes=ready,
        modules=modules,
        expectations=expectations,
        out=request.out,
        limit_s=axes.limit_s,
    )
    _run(bench, cells, request)


def _asked(request: Request) -> tuple[matrix.Axes, Expectations]:
    if request.runtime not in runtimes.RUNTIMES:
        raise UsageError.unknown("runtime", request.runtime, runtimes.RUNTIMES)
    if request.jobs is not None and request.jobs < 1:
        raise UsageError(f"--jobs {request.jobs} runs nothing", hint="give at least 1")
    axes = matrix.narrowed(
        matrix.read_scenario(),
        treatments=request.treatments,
        modules=request.modules,
        loads=request.loads,
        stresses=request.stresses,
        limit_s=request.limit_s,
    )
    return axes, matrix.read_expectations()


def _versions(request: Request, axes: matrix.Axes, target: Target) -> tuple[str, ...]:
    if request.runtime == "node":
        if request.versions:
            raise UsageError(
                "--versions chooses releases of Bun; Node is the pinned one",
                hint="leave --versions out",
            )
        return ()
    return runtimes.choose_bun(request.versions or ",".join(axes.versions), target)


def _build(modules: Sequence[str], target: Target) -> tuple[Path, dict[str, Fixture]]:
    warmup = build.build_warmup([target])[0].library
    return warmup, {name: build.build_fixture(name, target) for name in modules}


def _provide(name: str, versions: Sequence[str], target: Target) -> list[Runtime]:
    if name == "node":
        return [runtimes.provide_node(target)]
    return list(runtimes.provide_bun(versions, target))


def _run(bench: matrix.Bench, cells: Sequence[Cell], request: Request) -> None:
    path = request.out / matrix.FILE_NAME
    kept = _kept(path, cells) if request.resume else ()
    header = matrix.new_header(cells)
    done = {result.cell for result in kept}
    todo = [cell for cell in cells if cell not in done]
    jobs = request.jobs or os.cpu_count() or 1
    console.say(f"running {len(todo)} cells, {jobs} at a time")
    try:
        with matrix.Writer(path, header, kept) as writer:
            matrix.run_cells(bench, todo, jobs=jobs, record=writer.add)
    finally:
        if path.is_file():
            write_report(request.out)
    unexpected = report.summarise(matrix.read_results(path).results).unexpected
    if unexpected:
        raise UnexpectedOutcomeError(
            f"unexpected outcomes: {unexpected} of {len(cells)} cells",
            hint=f"see {request.out / REPORT_NAME}",
        )


def write_report(out: Path) -> None:
    """Make every report of the results in ``out``, and print the table.

    Raises:
        UsageError: there are no results, or they are damaged.
        PrerequisiteError: the reports cannot be written.
    """
    run = matrix.read_results(out / matrix.FILE_NAME)
    files.write_whole(out / REPORT_NAME, report.render_markdown(run))
    report.print_report(run)
    sys.stdout.flush()


def _kept(path: Path, cells: Sequence[Cell]) -> tuple[matrix.Result, ...]:
    if not path.is_file():
        return ()
    run = matrix.read_results(path)
    if run.header.plan != matrix.plan_hash(cells):
        raise UsageError(
            f"{path} is of another plan, so it cannot be resumed",
            hint="give the same versions and lists as before, another --out, or leave --resume out",
        )
    return run.results
