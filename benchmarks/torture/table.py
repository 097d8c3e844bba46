"""The table of docs/trust.md: the figures, with the date and the machine of each measurement."""

from __future__ import annotations

import datetime as dt
import os
import platform
from typing import TYPE_CHECKING

from gobun import files
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.torture.isolation import Outcome
    from benchmarks.torture.registry import Figure

_BEGIN_MARKER = "<!-- begin: nox -s torture writes this -->"
_END = "<!-- end -->"


def render(outcomes: Sequence[Outcome]) -> str:
    """Return the table in Markdown, with a line about the machine above it."""
    lines = [
        machine(),
        "",
        "| part | measured | figure | limit | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for outcome in outcomes:
        for number, figure in enumerate(outcome.figures):
            title = (
                f"`{outcome.part}`, {outcome.seconds:.0f} s: {outcome.description}"
                if number == 0
                else ""
            )
            verdict = "holds" if figure.holds else "**does not hold**"
            lines.append(
                f"| {title} | {figure.name} | {_value(figure)} | {_limit(figure)} | {verdict} |"
            )
    return "\n".join(lines)


def machine() -> str:
    """Return the date and a description of this machine, on one line."""
    today = dt.datetime.now(dt.UTC).date().isoformat()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{today}, {platform.system()} {platform.release()} {platform.machine()}, "
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    )


def write_into(page: Path, outcomes: Sequence[Outcome]) -> None:
    """Replace the table of a page.

    Raises:
        UsageError: the page has no place for it.
        PrerequisiteError: it cannot be written.
    """
    text = page.read_text()
    head, begin, rest = text.partition(_BEGIN_MARKER)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise UsageError(
            f"{page} has no place for the table", hint=f"add {_BEGIN_MARKER} and {_END}"
        )
    files.write_whole(page, f"{head}{begin}\n\n{render(outcomes)}\n\n{end}{tail}")


def _value(figure: Figure) -> str:
    number = f"{figure.value:,.0f}" if figure.value == int(figure.value) else f"{figure.value:,.2f}"
    return f"{number} {figure.unit}".rstrip()


def _limit(figure: Figure) -> str:
    if figure.at_most is not None:
        return f"≤ {figure.at_most:,g}"
    return f"≥ {figure.at_least:,g}" if figure.at_least is not None else ""
