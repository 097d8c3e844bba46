"""Compares patched Buns with stock Bun, on the same cells in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from gobun import bun_source, console, pipeline, report, runtimes
from gobun.bun_source import Change, Patch, Series
from gobun.cells import Cell, Outcome, plan_cells
from gobun.errors import PrerequisiteError, UsageError
from gobun.expectations import ExpectationRow, Expectations, read_expectations
from gobun.runtimes import RegisteredBun
from gobun.targets import host_target
from gobun.treatments import PATCHED, SELF_BUILT, TREATMENTS, TreatmentName, combined_emulation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class SeriesRuns(msgspec.Struct, frozen=True):
    """The versions and treatments to run for one series."""

    series: Series
    builds: tuple[RegisteredBun, ...] = ()
    emulations: tuple[TreatmentName, ...] = ()
    """Treatments of the stock binary, used if no patched Bun is built."""

    def runs(self) -> list[tuple[str, TreatmentName]]:
        """Return the versions and treatments of its cells, stock first.

        Empty if there is nothing to run beside stock.
        """
        patched = [
            *((build.label, build.treatment) for build in self.builds),
            *((self.series.version, treatment) for treatment in self.emulations),
        ]
        return [(self.series.version, "stock"), *patched] if patched else []


class PatchedExpectations(Expectations, frozen=True):
    """The known expectations, and the changes to them that patches should make."""

    changes: tuple[tuple[str, Patch, Change], ...] = ()
    """The version that cells use, the patch, and its change."""

    def row(self, cell: Cell) -> ExpectationRow | None:
        """Return the change that the patches should make to ``cell``, else its expectation.

        Raises:
            UsageError: two rows that are equally specific disagree.
        """
        changes = [
            (patch, change)
            for version, patch, change in self.changes
            if version == cell.version and cell.treatment == PATCHED and self._is_of(change, cell)
        ]
        if not changes:
            return super().row(cell)
        outcomes = {name for _, change in changes for name in change.outcomes}
        return ExpectationRow(
            outcomes=cast("tuple[Outcome, ...]", tuple(sorted(outcomes))),
            why="; ".join(dict.fromkeys(f"{patch.id}: {patch.why}" for patch, _ in changes)),
            location=f"the series of {cell.version}",
        )

    def _is_of(self, change: Change, cell: Cell) -> bool:
        selectors = (
            (change.os and (change.os,), self.place.os),
            (change.arch and (change.arch,), self.place.arch),
            (change.modules, cell.module),
            (change.loads, cell.load),
            (change.stresses, cell.stress),
        )
        return all(names is None or value in names for names, value in selectors)


def runs_of_series(series: Sequence[Series], *, ablate: bool) -> list[SeriesRuns]:
    """Return the runs of each series. ``ablate`` adds the builds or emulations of parts of it.

    Raises:
        PrerequisiteError: no patched Bun is built, and no patch can be emulated.
    """
    buns = [bun for bun in runtimes.registered_buns() if bun.target == host_target().name]
    named = {each.line: each for each in series}
    runs = [_line(each, buns, ablate=ablate) for each in named.values()]
    if any(line.runs() for line in runs):
        return [line for line in runs if line.runs()]
    example = next((each.line for each in series if each.bun_patches), "v1.2.19")
    raise PrerequisiteError(
        "no patched Bun is registered, and no series has an emulation to run instead",
        hint=f"`invoke build-bun --series {example}` builds one, and `invoke register-bun FILE "
        f"--series {example}` adds one that was built elsewhere; see docs/bun-from-source.md",
    )


def _line(series: Series, buns: Sequence[RegisteredBun], *, ablate: bool) -> SeriesRuns:
    control = tuple(bun for bun in buns if _is_of(bun, series, SELF_BUILT))
    built = [bun for bun in buns if _is_of(bun, series, PATCHED)]
    complete_builds = [bun for bun in built if bun.whole]
    for bun in (*control, *built):
        commit = bun.commit
        patches = [patch for patch in series.bun_patches if patch.id in bun.patches]
        if bun_source.identity_of(commit, series, patches) != bun.identity:
            console.log(
                f"bun@{bun.label} was built from another state of {series.line} than the one here"
            )
    if built:
        if ablate and len(built) == len(complete_builds):
            console.log(
                f"of {series.line} only the whole series is built: `invoke build-bun --series "
                f"{series.line} --except ID` builds it without a patch"
            )
        return SeriesRuns(
            series, (*control, *(built if ablate or not complete_builds else complete_builds))
        )
    emulations = emulations_of(series, ablate=ablate)
    if emulations:
        console.log(
            f"of {series.line} nothing is built: the stock Bun {series.version} runs with "
            f"{', '.join(emulations)}, which emulate patches when it is loaded"
        )
    else:
        console.log(
            f"of {series.line} nothing is built and nothing can be emulated, so it is left out"
        )
    return SeriesRuns(series, control, emulations)


def _is_of(patched_bun: RegisteredBun, series: Series, treatment: str) -> bool:
    return patched_bun.line == series.line and patched_bun.treatment == treatment


def emulations_of(series: Series, *, ablate: bool) -> tuple[TreatmentName, ...]:
    """Return the treatments that emulate a series; with ``ablate`` also those of single patches."""
    emulations = list(
        dict.fromkeys(patch.emulation for patch in series.bun_patches if patch.emulation)
    )
    known_treatments = [name for name in emulations if name in TREATMENTS]
    at_once = combined_emulation(known_treatments)
    chosen_names = [*at_once, *(known_treatments if ablate or not at_once else ())]
    return tuple(dict.fromkeys(chosen_names))


def run_beside_stock(request: pipeline.Request, series: Sequence[Series], *, ablate: bool) -> None:
    """Run patched Buns and stock Bun on the same cells. Without patched Buns, run emulations.

    Raises:
        PrerequisiteError: there is no patched Bun or emulation to run.
        UsageError: an argument names something that does not exist, or chooses what the series
            decide: runtimes, versions and treatments.
        UnexpectedOutcomeError: a cell had an unexpected outcome.
    """
    if request.versions or request.treatments or request.runtimes != ("bun",):
        raise UsageError(
            "the series decide which runtimes, versions and treatments run",
            hint="choose among them with --series, or run others with `invoke matrix`",
        )
    lines = runs_of_series(series, ablate=ablate)
    axes = pipeline.plan_matrix(
        msgspec.structs.replace(request, versions=",".join(line.series.version for line in lines))
    ).axes
    if not request.stresses:
        axes = msgspec.structs.replace(axes, stresses=stresses_of(axes.stresses, lines))
    cells = []
    for line in lines:
        for version, treatment in line.runs():
            single_axes = msgspec.structs.replace(axes, treatments=(treatment,))
            cells += plan_cells([("bun", version)], single_axes)
    expectations = _with_changes(read_expectations(), lines)
    header = pipeline.PatchedHeader(
        {name: patches for line in lines for name, patches in _patches_of(line)},
        {
            build.label: _changing_patches(line.series, build)
            for line in lines
            for build in line.builds
        },
    )
    pipeline.run_plan(pipeline.Plan(axes, tuple(cells)), request, expectations, header)


def _patches_of(line: SeriesRuns) -> Iterator[tuple[str, str]]:
    """Yield the name in reports and the patches of each patched Bun and each emulation."""
    for build in line.builds:
        patches = ", ".join(build.patches) or "no patches"
        yield f"bun@{build.label}", f"{build.line}, {patches}, {build.identity}"
    for treatment in line.emulations:
        words = set(TREATMENTS[treatment].emulates)
        named = [
            patch.id
            for patch in line.series.bun_patches
            if patch.emulation in TREATMENTS and set(TREATMENTS[patch.emulation].emulates) <= words
        ]
        runtime = f"bun@{line.series.version}"
        yield report.emulation_note(runtime, treatment), ", ".join(named)


def _changing_patches(series: Series, patched_bun: RegisteredBun) -> tuple[str, ...]:
    """Return the patches of a build, without those that every build of its line needs."""
    needed = {patch.id for patch in series.control_patches}
    return tuple(name for name in patched_bun.patches if name not in needed)


def with_series_changes(expectations: Expectations, versions: str) -> Expectations:
    """Return ``expectations`` with the changes that patches should make to Buns in ``versions``.

    Raises:
        UsageError: the series of such a Bun is missing or not valid.
    """
    labels = {runtimes.named_version(part)[1] for part in versions.split(",")}
    buns = [bun for bun in runtimes.registered_buns() if bun.label in labels]
    lines = [SeriesRuns(bun_source.series_named(bun.line), (bun,)) for bun in buns]
    return _with_changes(expectations, lines)


def _with_changes(expectations: Expectations, lines: Sequence[SeriesRuns]) -> PatchedExpectations:
    return PatchedExpectations(expectations.rows, expectations.place, changes_of(lines))


def changes_of(lines: Sequence[SeriesRuns]) -> tuple[tuple[str, Patch, Change], ...]:
    """Return each change that a built patch should cause, after the label of its build."""
    return tuple(
        (build.label, patch, change)
        for line in lines
        for build in line.builds
        for patch in line.series.bun_patches
        if patch.id in build.patches
        for change in patch.changes
        if change.happens_with(build.patches)
    )


def stresses_of(names: Sequence[str], lines: Sequence[SeriesRuns]) -> tuple[str, ...]:
    """Return the stresses ``names``, and those that show changes that ``names`` would miss."""
    named = [
        stress
        for line in lines
        for patch in line.series.bun_patches
        for change in patch.changes
        if not set(names) & set(change.stresses or names)
        for stress in change.stresses or ()
    ]
    return tuple(dict.fromkeys((*names, *named)))
