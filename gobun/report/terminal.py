"""The report on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import rich.console
import rich.table
import rich.text

from gobun.report.markdown import count_line
from gobun.report.summary import summarise

if TYPE_CHECKING:
    from gobun.matrix import Run

_STYLES = {
    "pass": "green",
    "skip": "dim",
    "hang": "bold red",
    "crash": "bold red",
    "fail": "red",
    "timeout": "yellow",
    "error": "bold magenta",
}
_WIDTH_ELSEWHERE = 130


def print_report(run: Run) -> None:
    """Print the table and what was unexpected to standard output."""
    summary = summarise(run.results)
    terminal = rich.console.Console(
        highlight=False, width=None if sys.stdout.isatty() else _WIDTH_ELSEWHERE
    )
    table = rich.table.Table(show_lines=False)
    table.add_column("runtime", no_wrap=True)
    for treatment, module in summary.columns:
        table.add_column(f"{module}\n{treatment}")
    for row in summary.rows:
        texts = (
            rich.text.Text("") if t is None else rich.text.Text(t.text, _STYLES[t.worst])
            for t in row.tallies
        )
        table.add_row(row.runtime, *texts)
    terminal.print(table)
    terminal.print(count_line(summary, run.header.cells), markup=False)
    for group in summary.groups:
        if group.unexpected:
            one = group.cells[0]
            terminal.print(
                f"unexpected: {one.cell.name}: {one.outcome}, expected {'/'.join(one.expected)}"
                f" ({len(group.cells)} alike): {one.detail}\n  again: {one.repro}",
                markup=False,
            )
