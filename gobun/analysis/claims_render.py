"""Verdicts on claims as Markdown and on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import rich.console
import rich.table
import rich.text

from gobun.analysis.claims_verdict import describe_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.analysis.claims_verdict import Verdict

_STYLES = {
    "reproduced": "green",
    "refuted": "bold red",
    "partly": "yellow",
    "not testable here": "dim",
    "no data": "dim",
}
_WIDTH_ELSEWHERE = 130


def claims_markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the table of claims, and below it the cells of each."""
    lines = ["| id | claim | verdict | because |", "| --- | --- | --- | --- |"]
    for verdict in verdicts:
        applies = f" ({verdict.applies})" if verdict.applies else ""
        parts = (verdict.id, verdict.text + applies, f"**{verdict.verdict}**", verdict.reason)
        lines.append("| " + " | ".join(map(_escape_cell, parts)) + " |")
    explanations = [(verdict.id, describe_cells(verdict)) for verdict in verdicts]
    cells = [f"- {name}: {_escape_cell(text)}" for name, text in explanations if text]
    return "\n".join([*lines, "", *cells]).rstrip() + "\n"


def print_claims(verdicts: Sequence[Verdict]) -> None:
    """Print the table of claims to standard output."""
    terminal = rich.console.Console(
        highlight=False, width=None if sys.stdout.isatty() else _WIDTH_ELSEWHERE
    )
    table = rich.table.Table(show_lines=True)
    table.add_column("id", no_wrap=True)
    table.add_column("claim", ratio=2)
    table.add_column("verdict")
    table.add_column("because", ratio=3)
    for verdict in verdicts:
        cells = describe_cells(verdict, limit=1)
        reason_text = verdict.reason + (f"\n{cells}" if cells else "")
        table.add_row(
            verdict.id,
            rich.text.Text(verdict.text),
            rich.text.Text(verdict.verdict, _STYLES[verdict.verdict]),
            rich.text.Text(reason_text),
        )
    terminal.print(table)


def _escape_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
