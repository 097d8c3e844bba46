"""The report as Markdown, to be read in a repository or pasted into an issue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun.report.summary import summarise

if TYPE_CHECKING:
    from gobun.matrix import Run
    from gobun.report.summary import Group, Summary


def render_markdown(run: Run) -> str:
    """Return the whole page."""
    summary = summarise(run.results)
    header = run.header
    host = header.host
    tools = ", ".join(f"{name} {version}" for name, version in sorted(header.tools.items()))
    parts = [
        "# Go native modules: how each runtime takes them",
        "",
        f"{header.started}, {host.os} {host.kernel}, {host.cpu} ({host.cores} cores), "
        f"{host.libc}; {tools}; gobun {header.suite}.",
        "",
        count_line(summary, header.cells),
        "",
        *table(summary),
    ]
    if run.cut:
        parts += ["", "The last line of the results was cut off and is left out."]
    if summary.groups:
        parts += ["", "## What did not pass", ""]
        for group in summary.groups:
            parts += _explain(group)
    return "\n".join(parts).rstrip() + "\n"


def count_line(summary: Summary, planned: int) -> str:
    """Return how many cells ended how, in one line."""
    total = sum(count for _, count in summary.counts)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in reversed(summary.counts))
    missing = f", {planned - total} not run" if planned > total else ""
    return f"{total} cells: {counts or 'none'}{missing}; {summary.unexpected} unexpected."


def table(summary: Summary) -> list[str]:
    """Return the table of versions and modules as Markdown lines."""
    heads = [f"{module}<br>{treatment}" for treatment, module in summary.columns]
    lines = [
        "| " + " | ".join(["runtime", *heads]) + " |",
        "|" + " --- |" * (len(heads) + 1),
    ]
    for row in summary.rows:
        texts = ["" if t is None else _emphasised(t.text, t.worst) for t in row.tallies]
        lines.append("| " + " | ".join([row.runtime, *texts]) + " |")
    return lines


def _emphasised(text: str, worst: str) -> str:
    return text if worst in {"pass", "skip"} else f"**{text}**"


def _explain(group: Group) -> list[str]:
    one = group.cells[0]
    mark = " (unexpected)" if group.unexpected else ""
    where = sorted({f"{cell.load}/{cell.stress}" for cell in group.cells})
    return [
        f"### {group.runtime}, {group.treatment}, {group.module}: {group.outcome}{mark}",
        "",
        f"- {len(group.cells)} cells: {', '.join(where)}",
        f"- for one: {' '.join(one.detail.split()) or 'passed, where something else was expected'}",
        f"- expected: {', '.join(one.expected)}",
        f"- again: `{one.repro}`",
        *([f"- evidence: {', '.join(one.evidence)}"] if one.evidence else []),
        "",
    ]
