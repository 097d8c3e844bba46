"""The one page's content, computed from results alone: a row a version, a column a module."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import msgspec
import semver

from gobun import build
from gobun.matrix import OUTCOMES, TREATMENTS, Outcome, Result, Treatment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Tally(msgspec.Struct, frozen=True):
    """The outcomes of several cells."""

    counts: tuple[tuple[Outcome, int], ...]
    """Worst first, none zero."""

    @property
    def text(self) -> str:
        """``pass``, or ``hang 9/9``, or ``hang 3, pass 6``."""
        total = sum(count for _, count in self.counts)
        if [outcome for outcome, _ in self.counts] == ["pass"]:
            return "pass"
        if len(self.counts) == 1:
            outcome, count = self.counts[0]
            return f"{outcome} {count}/{total}"
        return ", ".join(f"{outcome} {count}" for outcome, count in self.counts)

    @property
    def worst(self) -> Outcome:
        """The outcome that matters most."""
        return self.counts[0][0]


class Row(msgspec.Struct, frozen=True):
    """A runtime, and its tally in each column of the table (None where nothing ran)."""

    runtime: str
    tallies: tuple[Tally | None, ...]


class Group(msgspec.Struct, frozen=True):
    """Cells that ended alike: same runtime, treatment, module and outcome."""

    runtime: str
    treatment: str
    module: str
    outcome: Outcome
    unexpected: bool
    cells: tuple[Result, ...]


class Summary(msgspec.Struct, frozen=True):
    """A results file, boiled down."""

    columns: tuple[tuple[Treatment, str], ...]
    """Treatment and module."""
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    """Everything that neither passed as expected nor was skipped."""
    counts: tuple[tuple[Outcome, int], ...]
    unexpected: int


_WORST_FIRST: tuple[Outcome, ...] = ("error", "crash", "hang", "timeout", "fail", "skip", "pass")
assert set(_WORST_FIRST) == set(OUTCOMES)  # noqa: S101 - a new outcome must be placed here


def summarise(results: Iterable[Result]) -> Summary:
    """Boil results down, in the order of versions and of columns, whichever cell ended first."""
    ordered = sorted(
        results,
        key=lambda result: (
            _version_key(result.runtime, result.version),
            _column_order((result.treatment, result.module)),
            result.cell,
        ),
    )
    present = {(result.treatment, result.module) for result in ordered}
    columns = tuple(sorted(present, key=_column_order))
    table: dict[str, dict[tuple[Treatment, str], list[Outcome]]] = {}
    for result in ordered:
        columns_of = table.setdefault(_label(result), {})
        columns_of.setdefault((result.treatment, result.module), []).append(result.outcome)
    rows = tuple(
        Row(runtime, tuple(tally(found[c]) if c in found else None for c in columns))
        for runtime, found in table.items()
    )
    return Summary(
        columns=columns,
        rows=rows,
        groups=_groups(ordered),
        counts=tally([result.outcome for result in ordered]).counts if ordered else (),
        unexpected=sum(result.unexpected for result in ordered),
    )


def tally(outcomes: Sequence[Outcome]) -> Tally:
    """Count outcomes, worst first."""
    counted = collections.Counter(outcomes)
    return Tally(tuple((o, counted[o]) for o in _WORST_FIRST if counted[o]))


def _column_order(column: tuple[Treatment, str]) -> tuple[int, int, str]:
    # Cells finish in any order; the columns stand in the order in which the suite names things.
    treatment, module = column
    known = build.FIXTURES.index(module) if module in build.FIXTURES else len(build.FIXTURES)
    return TREATMENTS.index(treatment), known, module


def _groups(results: Sequence[Result]) -> tuple[Group, ...]:
    groups: dict[tuple[str, str, str, Outcome, bool], list[Result]] = {}
    for result in results:
        if result.unexpected or result.outcome not in {"pass", "skip"}:
            key = (
                _label(result),
                result.treatment,
                result.module,
                result.outcome,
                result.unexpected,
            )
            groups.setdefault(key, []).append(result)
    ordered = sorted(groups.items(), key=lambda item: not item[0][-1])
    return tuple(Group(*key, tuple(sorted(cells, key=lambda r: r.cell))) for key, cells in ordered)


def _label(result: Result) -> str:
    return f"{result.runtime}@{result.version}"


def _version_key(runtime: str, version: str) -> tuple[str, semver.Version]:
    return runtime, semver.Version.parse(version)
