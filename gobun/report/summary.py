"""The one page's content, computed from results alone: a row a version, a column a module."""

from __future__ import annotations

import collections
import itertools
from typing import TYPE_CHECKING

import msgspec

from gobun.cells import Outcome, Result, attempts_of
from gobun.cells.records import WORST_FIRST
from gobun.report.order import column_key, in_order, version_label
from gobun.treatments import TreatmentName

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Counts = tuple[tuple[Outcome, int], ...]
"""Worst first, none zero."""

MOST_COLUMNS = 8
"""With more columns than these a table is unreadable, and each treatment gets its own."""
_MOST_ROWS = 16
"""With more rows than these, neighbours that are equal become one."""


class Tally(msgspec.Struct, frozen=True):
    """The outcomes of several cells."""

    counts: Counts
    intermittent: Counts = ()
    """How many of them did not end alike in every attempt."""

    @property
    def text(self) -> str:
        """``pass``, or ``hang 9/9``, or ``hang 3, ~hang 1, pass 5`` (one of them at times)."""
        total = sum(count for _, count in self.counts)
        at_times = dict(self.intermittent)
        parts = [
            (mark + outcome, count)
            for outcome, both in self.counts
            for mark, count in (
                ("", both - at_times.get(outcome, 0)),
                ("~", at_times.get(outcome, 0)),
            )
            if count
        ]
        if [name for name, _ in parts] == ["pass"]:
            return "pass"
        if len(parts) == 1:
            name, count = parts[0]
            return f"{name} {count}/{total}"
        return ", ".join(f"{name} {count}" for name, count in parts)

    @property
    def worst(self) -> Outcome:
        """The outcome that matters most."""
        return self.counts[0][0]


class VersionRow(msgspec.Struct, frozen=True):
    """A runtime, and its tally in each column of the table (None where nothing ran)."""

    runtime: str
    tallies: tuple[Tally | None, ...]


class SummaryTable(msgspec.Struct, frozen=True):
    """Versions and columns that are shown together."""

    columns: tuple[tuple[TreatmentName, str], ...]
    """Treatment and module."""
    rows: tuple[VersionRow, ...]


class OutcomeGroup(msgspec.Struct, frozen=True):
    """Cells that ended alike: same runtime, treatment, module and outcome."""

    runtime: str
    treatment: str
    module: str
    outcome: Outcome
    unexpected: bool
    cells: tuple[Result, ...]


class Summary(msgspec.Struct, frozen=True):
    """A results file, boiled down."""

    columns: tuple[tuple[TreatmentName, str], ...]
    """Treatment and module."""
    rows: tuple[VersionRow, ...]
    groups: tuple[OutcomeGroup, ...]
    """Everything that neither passed as expected nor was skipped."""
    counts: Counts
    unexpected: int
    intermittent: tuple[Result, ...]
    """The cells whose attempts came to different ends."""
    unjudged: int = 0
    """Cells that the machine was too busy to judge."""


def summarise(results: Iterable[Result]) -> Summary:
    """Boil results down, in the order of versions and of columns, whichever cell ended first."""
    ordered = in_order(results)
    present = {(result.treatment, result.module) for result in ordered}
    columns = tuple(sorted(present, key=column_key))
    table: dict[str, dict[tuple[TreatmentName, str], list[Result]]] = {}
    for result in ordered:
        columns_of = table.setdefault(version_label(result), {})
        columns_of.setdefault((result.treatment, result.module), []).append(result)
    rows = tuple(
        VersionRow(runtime, tuple(tally_of(found[c]) if c in found else None for c in columns))
        for runtime, found in table.items()
    )
    return Summary(
        columns=columns,
        rows=rows,
        groups=_groups(ordered),
        counts=tally([result.outcome for result in ordered]).counts if ordered else (),
        unexpected=sum(result.unexpected for result in ordered),
        intermittent=tuple(result for result in ordered if result.intermittent),
        unjudged=sum(not result.judged for result in ordered),
    )


def tally(outcomes: Iterable[Outcome], intermittent: Iterable[Outcome] = ()) -> Tally:
    """Count outcomes, worst first; those of intermittent cells are given in both."""
    counted = collections.Counter(outcomes)
    at_times = collections.Counter(intermittent)
    return Tally(
        tuple((o, counted[o]) for o in WORST_FIRST if counted[o]),
        tuple((o, at_times[o]) for o in WORST_FIRST if at_times[o]),
    )


def tally_of(results: Sequence[Result]) -> Tally:
    """Count the outcomes of results."""
    return tally(
        (result.outcome for result in results),
        (result.outcome for result in results if result.intermittent),
    )


def attempts_text(result: Result) -> str:
    """Return how the attempts of a cell ended, worst first: ``hang 2/5, pass 3/5``."""
    outcomes = attempts_of(result)
    return ", ".join(f"{o} {count}/{len(outcomes)}" for o, count in tally(outcomes).counts)


def loaded_text(result: Result) -> str:
    """Return whether the module was seen in the process, and a Go runtime in it; ``""`` for none.

    A cell that was skipped, or that the harness could not run, has no such process.
    """
    if result.outcome in {"skip", "error"}:
        return ""
    if not result.mapped:
        return "not seen mapped in the process"
    return f"mapped in the process, {'with a' if result.go else 'without a'} Go runtime in it"


def tables(summary: Summary, most: int = MOST_COLUMNS) -> tuple[SummaryTable, ...]:
    """Lay the summary out: in one table, or in one a treatment where there are many columns.

    Rows in which nothing ran are left out, and where there are many, neighbours that are equal
    become one: ``bun@1.2.2 … 1.2.19 (18)``.
    """
    columns = list(enumerate(summary.columns))
    if len(columns) <= most:
        parts = [columns]
    else:
        grouped = itertools.groupby(columns, key=lambda column: column[1][0])
        parts = [list(group) for _, group in grouped]
    found = []
    for part in parts:
        rows = [
            VersionRow(row.runtime, tuple(row.tallies[i] for i, _ in part))
            for row in summary.rows
            if any(row.tallies[i] is not None for i, _ in part)
        ]
        merged = _merged(rows) if len(rows) > _MOST_ROWS else rows
        found.append(SummaryTable(tuple(column for _, column in part), tuple(merged)))
    return tuple(found)


def range_text(first: str, last: str) -> str:
    """Return a range of versions as it is written everywhere: ``1.2.2 … 1.2.19``."""
    return first if first == last else f"{first} … {last}"


def _merged(rows: Sequence[VersionRow]) -> list[VersionRow]:
    merged = []
    for (runtime, tallies), equal in itertools.groupby(
        rows, key=lambda row: (row.runtime.partition("@")[0], row.tallies)
    ):
        versions = [row.runtime.partition("@")[2] for row in equal]
        count = f" ({len(versions)})" if len(versions) > 1 else ""
        name = f"{runtime}@{range_text(versions[0], versions[-1])}{count}"
        merged.append(VersionRow(name, tallies))
    return merged


def _groups(results: Sequence[Result]) -> tuple[OutcomeGroup, ...]:
    groups: dict[tuple[str, str, str, Outcome, bool], list[Result]] = {}
    for result in results:
        if result.unexpected or result.outcome not in {"pass", "skip"}:
            key = (
                version_label(result),
                result.treatment,
                result.module,
                result.outcome,
                result.unexpected,
            )
            groups.setdefault(key, []).append(result)
    ordered = sorted(groups.items(), key=lambda item: not item[0][-1])
    return tuple(
        OutcomeGroup(*key, tuple(sorted(cells, key=lambda r: r.cell))) for key, cells in ordered
    )
