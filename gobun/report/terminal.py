"""Prints the report on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import rich.console
import rich.table
import rich.text

from gobun.report.difference import KINDS, differences
from gobun.report.markdown import count_line
from gobun.report.printable_run import printable_run
from gobun.report.summary import attempts_text, summarise, tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.matrix import Run
    from gobun.report.difference import Difference
    from gobun.report.summary import Summary, SummaryTable

_STYLES = {
    "pass": "green",
    "skip": "dim",
    "hang": "bold red",
    "crash": "bold red",
    "fail": "red",
    "timeout": "yellow",
    "error": "bold magenta",
}
_CHANGES = {"cured": "green", "broken": "bold red", "changed": "yellow"}
_WIDTH_ELSEWHERE = 130
_MOST_SAID = 20


def print_report(run: Run) -> None:
    """Print the table, the intermittent cells and the unexpected ones to standard output."""
    run = printable_run(run)
    summary = summarise(run.results)
    terminal = rich.console.Console(
        highlight=False, emoji=False, width=None if sys.stdout.isatty() else _WIDTH_ELSEWHERE
    )
    compared = differences(run)
    if compared:
        terminal.print(_difference(compared))
    for table in _laid_out(summary, terminal.width):
        terminal.print(_draw_table(table))
    terminal.print(count_line(summary, run.header), markup=False)
    lines = [f"intermittent: {cell.name}: {attempts_text(cell)}" for cell in summary.intermittent]
    _print_capped(terminal, lines)
    _print_capped(terminal, _unexpected_lines(summary))


def _difference(differences: Sequence[Difference]) -> rich.table.Table:
    drawn = rich.table.Table(title="what the patches change, against stock in this run")
    drawn.add_column("patched")
    for kind in KINDS:
        drawn.add_column(kind, justify="right")
    for one in differences:
        counts = [len(one.of(kind)) for kind in KINDS]
        texts = [
            rich.text.Text(str(count), _CHANGES.get(kind, "") if count else "dim")
            for kind, count in zip(KINDS, counts, strict=True)
        ]
        drawn.add_row(rich.text.Text(one.name), *texts)
    return drawn


def _laid_out(summary: Summary, width: int) -> tuple[SummaryTable, ...]:
    """Return one table if it fits the width, else one per treatment."""
    all_tables = tables(summary)
    if len(all_tables) == 1 and _width(all_tables[0]) > width:
        return tables(summary, limit=0)
    return all_tables


def _width(table: SummaryTable) -> int:
    rows = [[t.text if t else "" for t in row.tallies] for row in table.rows]
    names = max((len(row.runtime) for row in table.rows), default=0)
    # A text of several tallies may wrap at its commas, one tally per line.
    widths = [
        max(len(part) for text in (*head, *(row[i] for row in rows)) for part in text.split(", "))
        for i, head in enumerate(table.columns)
    ]
    return names + 4 + sum(width + 3 for width in widths)


def _draw_table(table: SummaryTable) -> rich.table.Table:
    drawn = rich.table.Table(show_lines=False)
    drawn.add_column("runtime", no_wrap=True)
    for treatment, module in table.columns:
        drawn.add_column(rich.text.Text(f"{module}\n{treatment}"))
    for row in table.rows:
        texts = (
            rich.text.Text("") if t is None else rich.text.Text(t.text, _STYLES[t.worst_outcome])
            for t in row.tallies
        )
        drawn.add_row(rich.text.Text(row.runtime), *texts)
    return drawn


def _unexpected_lines(summary: Summary) -> list[str]:
    lines = []
    for group in summary.groups:
        if group.unexpected:
            one = group.cells[0]
            lines.append(
                f"unexpected: {one.name}: {one.outcome}, expected {'/'.join(one.expected)}"
                f" ({len(group.cells)} alike): {one.detail}\n  again: {one.repro}"
            )
    return lines


def _print_capped(terminal: rich.console.Console, lines: list[str]) -> None:
    for line in lines[:_MOST_SAID]:
        terminal.print(line, markup=False)
    if len(lines) > _MOST_SAID:
        terminal.print(f"and {len(lines) - _MOST_SAID} more; the report has all", markup=False)
