"""Writes the issue that a nightly run keeps open while results and expectations disagree."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING

import msgspec

from gobun.console import pluralize
from gobun.report.markdown import LONGEST_SUMMARY, brief, bunches, render_summary
from gobun.report.order import version_label
from gobun.report.printable_run import printable_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gobun.cells import Result
    from gobun.matrix import Run
    from gobun.report.markdown import Bunch

_LONGEST_TITLE = 250
"""In characters; GitHub rejects titles of more than 256."""
_MOST_BUNCHES = 20
_MOST_IN_TITLE = 3
_LONGEST_SECTION = 10_000
"""In characters. Four sections and the summary fit into an issue, see ``LONGEST_SUMMARY``."""

_SECTIONS = {
    "broken": "These cells are expected to pass. A release may have a new fault, or the guard may"
    " miss something.",
    "cured": "These cells passed, but were expected not to pass. If they pass in five runs of five,"
    " narrow the rows of `expectations/` with `invoke expect --update RESULTS`.",
    "changed": "These cells were expected not to pass, and ended in another way than expected.",
    "failed": "The suite failed here, not the runtime. These cells are no evidence about a"
    " release.",
}
"""The directions in which an outcome can differ, with advice for each."""


class Issue(msgspec.Struct, frozen=True):
    """The text of an issue, and whether one is needed."""

    is_needed: bool = msgspec.field(name="needed")
    """Whether any cell disagrees with its expectation."""
    title: str
    """One line that names at most three releases."""
    body: str
    """Markdown, short enough for an issue."""


def issue_text(run: Run) -> Issue:
    """Return the issue about all unexpected outcomes of a run, in both directions.

    Cells that the machine was too busy to judge are left out.
    """
    run = printable_run(run)
    unexpected = [result for result in run.results if result.unexpected and result.is_judged]
    groups = {
        name: bunches(result for result in unexpected if _direction(result) == name)
        for name in _SECTIONS
    }
    day = run.header.started[:10]
    if not unexpected:
        return Issue(False, "Nightly: all as expected", f"Run of {day}: all as expected.\n")
    parts = [
        f"The run of {day} disagrees with the expectations in {pluralize(len(unexpected), 'cell')} "
        f"of {len(run.results)}. Each nightly run updates this issue.",
        "",
        *(line for name, group in groups.items() for line in _section(name, group)),
        "<details><summary>The whole run</summary>",
        "",
        *_within(render_summary(run).splitlines(), LONGEST_SUMMARY),
        "",
        "</details>",
    ]
    return Issue(True, _title(groups), "\n".join(parts) + "\n")


def _direction(result: Result) -> str:
    if result.outcome == "error":
        return "failed"
    if result.outcome == "pass":
        return "cured"
    return "broken" if "pass" in result.expected else "changed"


def _title(groups: Mapping[str, Sequence[Bunch]]) -> str:
    counts = ", ".join(
        f"{sum(len(bunch.cells) for bunch in group)} {name}"
        for name, group in groups.items()
        if group
    )
    cells = [cell for group in groups.values() for bunch in group for cell in bunch.cells]
    labels = list(dict.fromkeys(version_label(cell) for cell in cells))
    shown_labels = ", ".join(labels[:_MOST_IN_TITLE])
    more = f" and {len(labels) - _MOST_IN_TITLE} more" if len(labels) > _MOST_IN_TITLE else ""
    return textwrap.shorten(
        f"Nightly: {counts} on {shown_labels}{more}", _LONGEST_TITLE, placeholder=" …"
    )


def _section(name: str, group: Sequence[Bunch]) -> list[str]:
    if not group:
        return []
    lines = _within([brief(bunch) for bunch in group[:_MOST_BUNCHES]], _LONGEST_SECTION)
    if len(group) > len(lines):
        lines.append(f"- and {len(group) - len(lines)} more groups of cells")
    return [f"## {name.capitalize()}", "", _SECTIONS[name], "", *lines, ""]


def _within(texts: Sequence[str], limit: int) -> list[str]:
    """Return the first texts that together have at most ``limit`` characters, each whole."""
    ends = itertools.accumulate(len(text) + 1 for text in texts)
    return [text for text, end in zip(texts, ends, strict=True) if end <= limit]
