"""Bisects with real cells: each version is fetched and run when the search needs it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import runtimes
from gobun.analysis.bisect import Answer, VersionOutcome, bisect
from gobun.cells.records import Cell, Load, Outcome
from gobun.cells.scenario import check_names, narrow_axes, read_scenario
from gobun.errors import UsageError
from gobun.matrix.run import run_cell
from gobun.matrix.run_context import RunContext, build_run_context
from gobun.targets import runnable_target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gobun.runtimes import Runtime
    from gobun.targets import Target


class BisectRequest(msgspec.Struct, frozen=True):
    """A cell without its version, and the settings of its attempts."""

    stress: str
    load: str = "napi-sync"
    module: str = "simple"
    treatment: str = "stock"
    runtime: str = "bun"
    libc: str = ""
    """``musl`` for runtimes of musl; empty for this machine's own."""
    attempts: int = 3
    """Attempts for each version. One bad attempt decides: some hangs occur one time in three."""
    limit_s: float | None = None
    """Seconds for an attempt; None for the limit of the default matrix."""
    out: Path = Path("report/bisect")
    """Folder of the evidence."""


def bisect_releases(
    question: BisectRequest,
    *,
    good: str | None = None,
    bad: str | None = None,
    versions: Sequence[str] | None = None,
    on_step: Callable[[VersionOutcome], None] | None = None,
) -> Answer:
    """Return the releases at which a cell changes state and, for Bun, the canaries between them.

    ``versions`` are the releases to search, by default all stable ones since 1.0.0. If they are
    given, no canary is tried.

    Raises:
        UsageError: a name or version is unknown, or the ends do not differ.
        PrerequisiteError: a tool is missing, or the disk refuses a write.
        FetchError: a release could not be fetched.
        BuildError: a library could not be built.
    """
    target = runnable_target(question.libc)
    context = _context(question, target)
    name = question.runtime
    candidates = versions if versions is not None else runtimes.choose_versions(name, "all", target)
    canaries = versions is None and name == "bun"
    return bisect(
        candidates,
        make_probe(
            context, question, lambda version: runtimes.provide_runtimes(name, [version], target)[0]
        ),
        good=good,
        bad=bad,
        attempts=question.attempts,
        canaries=(lambda low, _: _canaries(low, target)) if canaries else None,
        on_step=on_step,
    )


def make_probe(
    context: RunContext, question: BisectRequest, provide: Callable[[str], Runtime]
) -> Callable[[str], Outcome]:
    """Return a function that runs the cell of ``question`` once, with a given version.

    It returns ``error`` for an attempt that could not be judged.
    """
    load = msgspec.convert(question.load, Load)
    stop = threading.Event()

    def probe(version: str) -> Outcome:
        runtime = provide(version)
        ready = msgspec.structs.replace(
            context, runtimes={(runtime.name, version): runtime}, repeat=1
        )
        cell = Cell(
            runtime=runtime.name,
            version=version,
            treatment=question.treatment,
            module=question.module,
            load=load,
            stress=question.stress,
        )
        result = run_cell(ready, cell, stop)
        return result.outcome if result.is_judged else "error"

    return probe


def _context(question: BisectRequest, target: Target) -> RunContext:
    check_names("runtime", [question.runtime], runtimes.RUNTIMES)
    axes = narrow_axes(
        read_scenario(),
        treatments=[question.treatment],
        modules=[question.module],
        loads=[question.load],
        stresses=[question.stress],
        limit_s=question.limit_s,
    )
    if axes.treatments != (question.treatment,):
        raise UsageError(
            f"{question.treatment!r} is several treatments",
            hint=f"name one: {', '.join(axes.treatments)}",
        )
    return build_run_context(
        [question.module],
        target,
        out=question.out,
        limit_s=axes.limit_s,
        treatments=[question.treatment],
    )


def canaries_of(release: str) -> str:
    """Return the version range of a release's canaries, which have its number and a date."""
    return f">{release} <={release}-canary.99999999"


def _canaries(low: str, target: Target) -> tuple[str, ...]:
    try:
        return runtimes.choose_bun(canaries_of(low), target)
    except UsageError:  # none is published
        return ()
