"""Runs the matrix from end to end: builds → runtimes → plan → run → results → report."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console, custom_addon, files, matrix, paths, process, report, runtimes
from gobun.cells import (
    Axes,
    Cell,
    Header,
    Result,
    check_names,
    narrow_axes,
    plan_cells,
    read_scenario,
)
from gobun.errors import UnexpectedOutcomeError, UsageError
from gobun.expectations import Expectations, Place, known_names, read_expectations, review
from gobun.targets import Target, host_target, runnable_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.runtimes import Runtime

REPORT_NAME = "report.md"
JOBS_A_CORE = 3
MOST_REPEATS = 1000


class Request(msgspec.Struct, frozen=True):
    """The person's request. An empty list means the values of the default matrix."""

    runtimes: tuple[str, ...] = ("bun",)
    versions: str = ""
    """Such as ``1.2.19,node@22``. A runtime that it leaves out has its default versions."""
    treatments: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    stresses: tuple[str, ...] = ()
    out: Path = Path("report")
    jobs: int | None = None
    limit_s: float | None = None
    repeat: int = 1
    resume: bool = False
    shard: str = ""
    """``2/4`` for the second of four parts of the plan; empty for all of it."""
    durations: Path | None = None
    """Earlier results, whose durations are used to balance the shards."""
    core: bool = False
    """Whether crashed processes leave a core file."""
    addon: custom_addon.CustomAddon | None = None
    """A person's own module, which replaces the suite's."""
    libc: str = ""
    """``musl`` for runtimes that use musl, even on a machine with glibc. Empty for the machine's C
    library."""
    guest: Target | None = None
    """The platform of the virtual machine that runs the cells; None for this machine."""

    @property
    def machine(self) -> Target:
        """The platform of the machine that runs the cells.

        Raises:
            PrerequisiteError: this machine's platform is not a target.
        """
        return self.guest or host_target()

    @property
    def target(self) -> Target:
        """The platform that the cells run on.

        Raises:
            UsageError: there is no such C library, or the machine cannot run its programs.
            PrerequisiteError: this machine's platform is not a target.
        """
        return runnable_target(self.libc, self.machine)


class Plan(msgspec.Struct, frozen=True):
    """The plan of a request."""

    axes: Axes
    cells: tuple[Cell, ...]
    """The whole plan, of which a shard runs a part."""


def plan_matrix(request: Request) -> Plan:
    """Return the cells of a request. It fetches at most the list of releases, and builds nothing.

    Raises:
        UsageError: an argument is invalid, such as an unknown name.
        FetchError: the list of releases is needed, and the registry does not answer.
    """
    check_names("runtime", request.runtimes, runtimes.RUNTIMES)
    if request.jobs is not None and request.jobs < 1:
        raise UsageError(f"--jobs {request.jobs} would run nothing", hint="give at least 1")
    if request.repeat < 1:
        raise UsageError(f"--repeat {request.repeat} would run nothing", hint="give at least 1")
    if request.repeat > MOST_REPEATS:
        raise UsageError(
            f"--repeat {request.repeat} is more than the most runs of a cell",
            hint=f"give at most {MOST_REPEATS}",
        )
    specs = runtimes.split_versions(request.versions, request.runtimes)
    modules = request.modules
    if request.addon is not None:
        custom_addon.check_modules(modules, request.addon)
        modules = ()
    axes = narrow_axes(
        read_scenario(),
        treatments=request.treatments,
        modules=modules,
        loads=request.loads,
        stresses=request.stresses,
        limit_s=request.limit_s,
    )
    if request.addon is not None:
        axes = custom_addon.with_addon_axes(axes, request.addon, loads_given=bool(request.loads))
    specs.setdefault("bun", ",".join(axes.versions))
    named = [
        (name, version)
        for name in request.runtimes
        for version in runtimes.choose_versions(name, specs.get(name, ""), request.target)
    ]
    return Plan(axes, tuple(plan_cells(named, axes)))


class PatchedHeader(msgspec.Struct, frozen=True):
    """The facts about patches in the header of a run's results."""

    texts: Mapping[str, str] = {}
    """``Header.patched``."""
    patches: Mapping[str, tuple[str, ...]] = {}
    """``Header.patches``."""


class Part(msgspec.Struct, frozen=True):
    """The cells of one run, its header, and the results that exist already."""

    header: Header
    cells: tuple[Cell, ...]
    earlier_results: tuple[Result, ...]
    """Results of an earlier run that a resumed one keeps."""

    @property
    def remaining_cells(self) -> tuple[Cell, ...]:
        """The cells that have no result yet."""
        finished = {result.cell for result in self.earlier_results}
        return tuple(cell for cell in self.cells if cell not in finished)


def jobs_of(request: Request, cores: int) -> int:
    """Return the number of cells to run at a time on a machine."""
    # A cell spends most of its time waiting, and no verdict requires a core for each cell.
    return request.jobs or JOBS_A_CORE * cores


def run_here(context: matrix.RunContext, part: Part, request: Request) -> None:
    """Run the cells of a part on this machine, and write each result when its cell ends.

    Raises:
        PrerequisiteError: the results cannot be written.
    """
    todo, jobs = part.remaining_cells, jobs_of(request, os.cpu_count() or 1)
    console.log(f"running {console.pluralize(len(todo), 'cell')}, {jobs} at a time")
    addon = request.addon
    path = request.out / matrix.FILE_NAME
    journal = matrix.journal_for(context, part.header, todo, resume=request.resume)
    with (
        contextlib.closing(journal),
        matrix.Writer(path, part.header, part.earlier_results) as writer,
    ):
        matrix.run_cells(
            context,
            todo,
            jobs=jobs,
            record=lambda each: writer.add(
                custom_addon.with_repro_flags(each, addon) if addon else each
            ),
            journal=journal,
        )


Execute = Callable[[matrix.RunContext, Part, Request], None]
"""Runs the cells of a part: here, or in a virtual machine."""


def known_expectations(request: Request) -> Expectations:
    """Return the expectations of the platform on which the cells of ``request`` run."""
    target = request.target
    return read_expectations(place=Place(target.os, target.arch, target.libc))


def run_matrix(
    request: Request, execute: Execute = run_here, expectations: Expectations | None = None
) -> None:
    """Build what is needed, fetch the runtimes, run the matrix, and write the report.

    The default of ``expectations`` is ``known_expectations``.

    Raises:
        UsageError: an argument is invalid, such as an unknown name.
        PrerequisiteError: a tool is missing, or a file cannot be written.
        FetchError: a runtime could not be fetched.
        BuildError: a library could not be built.
        UnexpectedOutcomeError: everything ran, and a cell was not as expected.
    """
    plan = plan_matrix(request)
    run_plan(plan, request, expectations or known_expectations(request), execute=execute)


def run_plan(
    plan: Plan,
    request: Request,
    expectations: Expectations,
    patched: PatchedHeader | None = None,
    execute: Execute = run_here,
) -> None:
    """Run the cells of a plan as ``run_matrix`` does; ``patched`` goes into the results' header.

    Raises:
        UsageError: two expectations contradict each other.
        PrerequisiteError: a tool is missing, or a file cannot be written.
        FetchError: a runtime could not be fetched.
        BuildError: a library could not be built.
        UnexpectedOutcomeError: everything ran, and a cell was not as expected.
    """
    expectations.unmatched_rows(plan.cells)  # raises now if two rows contradict each other
    header, cells = _part(plan.cells, request)
    if patched is not None:
        header = msgspec.structs.replace(
            header, patched=dict(patched.texts), patches=dict(patched.patches)
        )
    earlier = kept_results(request.out / matrix.FILE_NAME, header) if request.resume else ()
    target = request.target
    # Building uses the processor and fetching the network, so do both at once.
    with ThreadPoolExecutor(max_workers=1) as pool:
        building = pool.submit(_build, plan.axes, request, target)
        try:
            provided = _provide(cells, target)
            built = building.result()
        except KeyboardInterrupt:
            process.interrupt_tools()
            raise
    context = msgspec.structs.replace(
        built, runtimes=provided, expectations=expectations, repeat=request.repeat
    )
    _run(context, Part(header, tuple(cells), earlier), request, execute)


def _part(cells: Sequence[Cell], request: Request) -> tuple[Header, Sequence[Cell]]:
    libc = runtimes.foreign_libc(request.target, request.machine)
    header = matrix.new_header(cells, libc=libc)
    host = msgspec.structs.replace(header.host, arch=request.machine.arch)
    header = msgspec.structs.replace(header, host=host)
    if not request.shard:
        return header, cells
    number, of = matrix.parse_shard(request.shard)
    past = matrix.read_results(request.durations).results if request.durations else ()
    durations = matrix.durations_of(past)
    part = matrix.shard(cells, number, of, durations)
    return matrix.shard_header(header, cells, number, of, durations), part


def _build(axes: Axes, request: Request, target: Target) -> matrix.RunContext:
    own_addon = request.addon
    modules = axes.modules if own_addon is None else ()
    context = matrix.build_run_context(
        modules,
        target,
        out=request.out,
        limit_s=axes.limit_s,
        gdb=True,
        cores=request.core,
        treatments=axes.treatments,
        host=request.machine,
    )
    if own_addon is None:
        return context
    return custom_addon.with_custom_addon(context, own_addon, axes.treatments)


def _provide(cells: Sequence[Cell], target: Target) -> Mapping[tuple[str, str], Runtime]:
    versions_by_runtime: dict[str, list[str]] = {}
    for name, version in dict.fromkeys((cell.runtime, cell.version) for cell in cells):
        versions_by_runtime.setdefault(name, []).append(version)
    provided = [
        runtime
        for name, versions in versions_by_runtime.items()
        for runtime in runtimes.provide_runtimes(name, versions, target)
    ]
    return {(runtime.name, runtime.version): runtime for runtime in provided}


def _run(context: matrix.RunContext, part: Part, request: Request, execute: Execute) -> None:
    path = request.out / matrix.FILE_NAME
    addon = request.addon
    try:
        execute(context, part, request)
    finally:
        if path.is_file():
            write_report(request.out)
    results = matrix.read_results(path).results
    if addon is None:  # The expectations apply to the suite's own modules only.
        for line in review(context.expectations, results, catalogue=known_names()):
            console.log(line)
    else:
        console.log(custom_addon.loading_note(addon, results))
    unexpected = sum(result.unexpected for result in results)
    if unexpected:
        starved = sum(not result.is_judged for result in results)
        raise UnexpectedOutcomeError(
            f"unexpected outcomes: {unexpected} of {len(part.cells)} cells"
            + (f", {starved} of which the machine was too busy to judge" if starved else ""),
            hint=f"see {paths.display_path(request.out / REPORT_NAME)}"
            + ("; --resume repeats those that were not judged" if starved else ""),
        )


def write_report(out: Path) -> None:
    """Make every report of the results in ``out``, and print the table.

    Raises:
        UsageError: there are no results, or they are damaged.
        PrerequisiteError: the reports cannot be written.
    """
    run = matrix.read_results(out / matrix.FILE_NAME)
    files.write_whole(out / REPORT_NAME, report.render_markdown(run))
    files.write_whole(out / "report.html", report.render_html(run))
    files.write_whole(out / "junit.xml", report.render_junit(run))
    report.print_report(run)
    sys.stdout.flush()


def kept_results(path: Path, header: Header) -> tuple[Result, ...]:
    """Return the results that a resumed run keeps.

    The run repeats starved cells and errors of the harness.

    Raises:
        UsageError: the results have another plan, shard, platform or version of a tool.
    """
    if not path.is_file():
        return ()
    run = matrix.read_results(path)
    before = run.header
    if (before.plan, before.shard) != (header.plan, header.shard):
        raise UsageError(
            f"{path} belongs to another plan, so it cannot be resumed",
            hint="give the same versions and lists as before, another --out, or leave --resume out",
        )
    if before.host.libc_name != header.host.libc_name:
        raise UsageError(
            f"{path} has runtimes for {before.host.libc}, so it cannot be resumed",
            hint="give the same --libc as before, another --out, or leave --resume out",
        )
    if before.host.arch not in {"", header.host.arch}:
        raise UsageError(
            f"{path} was made on {before.host.arch}, so it cannot be resumed on {header.host.arch}",
            hint="give another --out, or leave --resume out",
        )
    tools = {"gobun": before.suite, **before.made_with}
    now = {"gobun": header.suite, **header.made_with}
    if tools != now:
        other = [name for name in sorted({*tools, *now}) if tools.get(name) != now.get(name)]
        raise UsageError(
            f"{path} was made with another {', '.join(other)}, so it cannot be resumed",
            hint="give another --out, or leave --resume out",
        )
    return tuple(each for each in run.results if each.outcome != "error" and each.is_judged)
