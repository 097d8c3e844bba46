"""Renders the report as Markdown for a repository; its first part fits into an issue."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from gobun.cells import Outcome, Result
from gobun.cells.records import WORST_FIRST
from gobun.console import pluralize
from gobun.report.difference import difference_lines, differences
from gobun.report.order import in_order, module_key, runtime_label
from gobun.report.printable_run import printable_run
from gobun.report.summary import attempts_text, loaded_text, range_text, summarise, tables
from gobun.report.timeline import describe_members, loads_of, timelines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gobun.cells import Header
    from gobun.matrix import Run
    from gobun.report.summary import OutcomeGroup, Summary, SummaryTable
    from gobun.report.timeline import Timeline, Track

LONGEST_SUMMARY = 20_000
"""In characters; GitHub rejects issues of more than 65,536."""
_ROOM_FOR_NOTE = 80
_MOST_BUNCHES = 12
_MOST_INTERMITTENT = 12
_MOST_TRACKS = 2
_LONGEST_TEXT = 240
_SPECIAL = re.compile(r"([\\`*_<>\[\]|#&])")


class Bunch(msgspec.Struct, frozen=True):
    """Cells of one runtime and treatment with the same outcome, over versions and modules."""

    outcome: Outcome
    unexpected: bool
    runtime: str
    treatment: str
    cells: tuple[Result, ...]
    """In version order."""


def render_markdown(run: Run) -> str:
    """Return the whole page."""
    run = printable_run(run)
    summary = summarise(run.results)
    top, whole = _summary(run, summary)
    parts = [top]
    if summary.groups:
        parts += ["---", "", "The part above is a summary that fits into an issue.", ""]
        if not whole:
            parts += ["## Every version", ""]
            for table in tables(summary):
                parts += [*table_lines(table), ""]
        parts += ["## Each group", ""]
        for group in summary.groups:
            parts += _explain_group(group)
    return "\n".join(parts).rstrip() + "\n"


def render_summary(run: Run) -> str:
    """Return the part to paste into an issue: the table first, then the failures in brief."""
    run = printable_run(run)
    return _summary(run, summarise(run.results))[0]


def _summary(run: Run, summary: Summary) -> tuple[str, bool]:
    """Return the summary, and whether its tables are complete."""
    header = run.header
    tools = ", ".join(f"{name} {version}" for name, version in header.made_with.items())
    parts = [
        "# Go native modules in every runtime",
        "",
        _escape(f"{header.started}, {header.hosts_text}; {tools}; gobun {header.suite}."),
        "",
        count_line(summary, header),
        "",
    ]
    if run.is_cut:
        parts += ["The last line of the results was cut off and is left out.", ""]
    parts += difference_lines(differences(run))
    rest = "\n".join(_after_tables(run, summary))
    room = LONGEST_SUMMARY - len("\n".join(parts)) - len(rest)
    shown_tables, is_whole = _tables_within(summary, room)
    text = "\n".join([*parts, *shown_tables, rest]).rstrip() + "\n"
    return text, is_whole


def _after_tables(run: Run, summary: Summary) -> list[str]:
    parts: list[str] = []
    if summary.intermittent:
        parts += [
            "`~hang` is intermittent: the cell did not hang in every attempt. Other outcomes too.",
            "",
        ]
    if summary.groups:
        parts += ["## First bad, first good", ""]
        parts += [_course(timeline) for timeline in timelines(run.results)]
        parts += ["", "## What did not pass", ""]
        parts += _capped([brief(bunch) for bunch in bunches(run.results)], _MOST_BUNCHES)
        parts += [""]
    if summary.intermittent:
        parts += ["## Intermittent", ""]
        lines = [f"- `{cell.name}`: {attempts_text(cell)}" for cell in summary.intermittent]
        parts += [*_capped(lines, _MOST_INTERMITTENT), ""]
    return parts


def _tables_within(summary: Summary, room: int) -> tuple[list[str], bool]:
    """Return the table rows that fit into ``room`` characters, and whether these are all rows."""
    lines: list[str] = []
    for table in tables(summary):
        head, rule, *rows = table_lines(table)
        remaining = room - len("\n".join([*lines, head, rule, ""])) - _ROOM_FOR_NOTE
        if remaining < 0:
            return [*lines, "More tables are in report.md.", ""], False
        fitting = 0
        for row in rows:
            remaining -= len(row) + 1
            fitting += remaining >= 0
        lines += [head, rule, *rows[:fitting], ""]
        if fitting < len(rows):
            more = f"{len(rows) - fitting} more rows and every other table are in report.md."
            return [*lines, more, ""], False
    return lines, True


def count_line(summary: Summary, header: Header) -> str:
    """Return the number of cells with each outcome, in one line."""
    total = sum(count for _, count in summary.counts)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in reversed(summary.counts))
    planned = header.shard.cells if header.shard else header.cells
    missing = f", {planned - total} not run" if planned > total else ""
    at_times = f", {len(summary.intermittent)} intermittent" if summary.intermittent else ""
    at_times += f", {summary.unjudged_cells} not judged (starved)" if summary.unjudged_cells else ""
    part = f" of shard {header.shard.name}" if header.shard else ""
    ends = f"{counts or 'none'}{missing}"
    return f"{pluralize(total, 'cell')}{part}: {ends}; {summary.unexpected} unexpected{at_times}."


def table_lines(table: SummaryTable) -> list[str]:
    """Return a table of versions and modules as Markdown lines."""
    heads = [f"{_escape(module)}<br>{treatment}" for treatment, module in table.columns]
    lines = [
        "| " + " | ".join(["runtime", *heads]) + " |",
        "|" + " --- |" * (len(heads) + 1),
    ]
    for row in table.rows:
        texts = ["" if t is None else _emphasise(t.text, t.worst_outcome) for t in row.tallies]
        lines.append("| " + " | ".join([_escape(row.runtime), *texts]) + " |")
    return lines


def bunches(results: Iterable[Result]) -> tuple[Bunch, ...]:
    """Group all cells but expected passes and skips: unexpected first, then the most severe."""
    groups: dict[tuple[Outcome, bool, str, str], list[Result]] = {}
    for result in in_order(results):
        if result.unexpected or result.outcome not in {"pass", "skip"}:
            key = (result.outcome, result.unexpected, runtime_label(result), result.treatment)
            groups.setdefault(key, []).append(result)
    ordered = sorted(
        groups.items(), key=lambda item: (not item[0][1], WORST_FIRST.index(item[0][0]))
    )
    return tuple(Bunch(*key, tuple(cells)) for key, cells in ordered)


def _emphasise(text: str, outcome: str) -> str:
    return text if outcome in {"pass", "skip"} else f"**{text}**"


def _course(timeline: Timeline) -> str:
    bad_tracks = [track for track in timeline.tracks if track.is_bad]
    if not bad_tracks:
        return f"- `{timeline.stress}`: no bad version"
    loads = loads_of(timeline)

    def course_of(track: Track) -> str:
        return f"{track.text}: {track.label}, {_truncate(describe_members(track.members, loads))}"

    remaining = len(bad_tracks) - _MOST_TRACKS
    more = f"; and {pluralize(remaining, 'other pattern')}" if remaining > 0 else ""
    courses = "; ".join(course_of(track) for track in bad_tracks[:_MOST_TRACKS])
    return f"- `{timeline.stress}`: {_escape(courses)}{more}"


def brief(bunch: Bunch) -> str:
    """Return a bunch as a Markdown list item, with the cause and the command of its first cell."""
    one = bunch.cells[0]
    versions = list(dict.fromkeys(cell.version for cell in bunch.cells))
    modules = ", ".join(sorted({cell.module for cell in bunch.cells}, key=module_key))
    how = ", ".join(sorted({f"{cell.load}/{cell.stress}" for cell in bunch.cells}))
    where = f"{bunch.runtime} {range_text(versions[0], versions[-1])}"
    several = f" ({len(versions)} versions)" if len(versions) > 1 else ""
    detail = " ".join(one.detail.split())
    lines = [
        f"- **{bunch.outcome}{', unexpected' if bunch.unexpected else ''}**: "
        f"{_escape(f'{where}{several}, {bunch.treatment}, {modules}')}: "
        f"{pluralize(len(bunch.cells), 'cell')}: {_escape(_truncate(how))}",
        *([f"  - for one: {_escape(_truncate(detail))}"] if detail else []),
        *([f"  - expected: {', '.join(one.expected)}"] if bunch.unexpected else []),
        f"  - again: {_code(one.repro)}",
    ]
    return "\n".join(lines)


def _explain_group(group: OutcomeGroup) -> list[str]:
    one = group.cells[0]
    mark = " (unexpected)" if group.unexpected else ""
    where = sorted({f"{cell.load}/{cell.stress}" for cell in group.cells})
    detail = " ".join(one.detail.split())
    flaky = [cell for cell in group.cells if cell.intermittent]
    flaky_cells = [f"{cell.load}/{cell.stress} {attempts_text(cell)}" for cell in flaky]
    return [
        f"### {_escape(group.runtime)}, {group.treatment}, {_escape(group.module)}: "
        f"{group.outcome}{mark}",
        "",
        f"- {pluralize(len(group.cells), 'cell')}: {_escape(', '.join(where))}",
        *([f"- intermittent: {_escape('; '.join(flaky_cells))}"] if flaky_cells else []),
        f"- for one: {_escape(detail) or 'passed, but was expected not to'}",
        *([f"- kind: {_escape(one.kind)}"] if one.kind else []),
        *([f"- module: {loaded_text(one)}"] if one.kind or one.mapped else []),
        f"- expected: {', '.join(one.expected)}",
        f"- again: {_code(one.repro)}",
        *([f"- evidence: {_escape(', '.join(one.evidence))}"] if one.evidence else []),
        "",
    ]


def _capped(lines: Sequence[str], limit: int) -> list[str]:
    if len(lines) <= limit:
        return list(lines)
    return [*lines[:limit], f"- and {len(lines) - limit} more"]


def _truncate(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _escape(text: str) -> str:
    """Return text with Markdown's special characters escaped."""
    return _SPECIAL.sub(r"\\\1", text)


def _code(text: str) -> str:
    """Return a code span, fenced with more backticks than the longest run in the text."""
    line = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}"
