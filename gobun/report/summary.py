"""The content of a one-page summary, from results alone.

A row is a version. A column is a treatment and a module.
"""

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
"""Worst first, without zero counts."""

MOST_COLUMNS = 8
"""Most columns of a readable table. Above this, each treatment gets a table of its own."""
_MOST_ROWS = 16
"""Most rows of a table before equal neighbours are merged into one row."""


class Tally(msgspec.Struct, frozen=True):
    """The outcomes of several cells."""

    counts: Counts
    intermittent: Counts = ()
    """The number of cells whose attempts had different outcomes, by outcome."""

    @property
    def text(self) -> str:
        """``pass``, ``hang 9/9``, or ``hang 3, ~hang 1, pass 5`` (``~``: intermittent)."""
        total = sum(count for _, count in self.counts)
        at_times = dict(self.intermittent)
        parts = [
            (mark + outcome, count)
            for outcome, counts in self.counts
            for mark, count in (
                ("", counts - at_times.get(outcome, 0)),
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
    def worst_outcome(self) -> Outcome:
        """The most severe outcome."""
        return self.counts[0][0]


class VersionRow(msgspec.Struct, frozen=True):
    """A runtime version, with its tally in each column of the table (None if nothing ran)."""

    runtime: str
    tallies: tuple[Tally | None, ...]


class SummaryTable(msgspec.Struct, frozen=True):
    """Versions and columns that are shown together."""

    columns: tuple[tuple[TreatmentName, str], ...]
    """Treatment and module."""
    rows: tuple[VersionRow, ...]


class OutcomeGroup(msgspec.Struct, frozen=True):
    """Cells of the same runtime, treatment, module and outcome."""

    runtime: str
    treatment: str
    module: str
    outcome: Outcome
    unexpected: bool
    cells: tuple[Result, ...]


class Summary(msgspec.Struct, frozen=True):
    """The summary of a results file."""

    columns: tuple[tuple[TreatmentName, str], ...]
    """Treatment and module."""
    rows: tuple[VersionRow, ...]
    groups: tuple[OutcomeGroup, ...]
    """All cells but expected passes and skips."""
    counts: Counts
    unexpected: int
    intermittent: tuple[Result, ...]
    """The cells whose attempts had different outcomes."""
    unjudged_cells: int = 0
    """Cells that the machine was too busy to judge."""


def summarise(results: Iterable[Result]) -> Summary:
    """Summarise results in the order of versions and columns, not of completion."""
    ordered = in_order(results)
    present = {(result.treatment, result.module) for result in ordered}
    columns = tuple(sorted(present, key=column_key))
    table: dict[str, dict[tuple[TreatmentName, str], list[Result]]] = {}
    for result in ordered:
        columns_of = table.setdefault(version_label(result), {})
        columns_of.setdefault((result.treatment, result.module), []).append(result)
    rows = tuple(
        VersionRow(runtime, tuple(tally_of(cells[c]) if c in cells else None for c in columns))
        for runtime, cells in table.items()
    )
    return Summary(
        columns=columns,
        rows=rows,
        groups=_groups(ordered),
        counts=tally([result.outcome for result in ordered]).counts if ordered else (),
        unexpected=sum(result.unexpected for result in ordered),
        intermittent=tuple(result for result in ordered if result.intermittent),
        unjudged_cells=sum(not result.is_judged for result in ordered),
    )


def tally(outcomes: Iterable[Outcome], intermittent: Iterable[Outcome] = ()) -> Tally:
    """Count outcomes, worst first. An outcome of an intermittent cell is in both arguments."""
    outcome_counts = collections.Counter(outcomes)
    at_times = collections.Counter(intermittent)
    return Tally(
        tuple((o, outcome_counts[o]) for o in WORST_FIRST if outcome_counts[o]),
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
    """Describe whether the module was seen in the process, and whether it has a Go runtime.

    The text is empty for a skip or an error, because those have no such process.
    """
    if result.outcome in {"skip", "error"}:
        return ""
    if not result.mapped:
        return "not seen mapped in the process"
    return f"mapped in the process, {'with a' if result.go else 'without a'} Go runtime in it"


def tables(summary: Summary, limit: int = MOST_COLUMNS) -> tuple[SummaryTable, ...]:
    """Return the summary as one table, or as one per treatment if there are many columns.

    Rows in which nothing ran are left out. If there are many rows, equal neighbours become one:
    ``bun@1.2.2 … 1.2.19 (18)``.
    """
    columns = list(enumerate(summary.columns))
    if len(columns) <= limit:
        parts = [columns]
    else:
        grouped = itertools.groupby(columns, key=lambda column: column[1][0])
        parts = [list(group) for _, group in grouped]
    summary_tables = []
    for part in parts:
        rows = [
            VersionRow(row.runtime, tuple(row.tallies[i] for i, _ in part))
            for row in summary.rows
            if any(row.tallies[i] is not None for i, _ in part)
        ]
        merged = _merge_rows(rows) if len(rows) > _MOST_ROWS else rows
        summary_tables.append(SummaryTable(tuple(column for _, column in part), tuple(merged)))
    return tuple(summary_tables)


def range_text(first_version: str, last_version: str) -> str:
    """Return a range of versions in the notation of all reports: ``1.2.2 … 1.2.19``."""
    return first_version if first_version == last_version else f"{first_version} … {last_version}"


def _merge_rows(rows: Sequence[VersionRow]) -> list[VersionRow]:
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
