"""Renders reports, as pure functions of a results file."""

from gobun.report.difference import Difference, differences, emulation_note
from gobun.report.html import render_html
from gobun.report.issue import Issue, issue_text
from gobun.report.junit import render_junit
from gobun.report.markdown import render_markdown, render_summary
from gobun.report.summary import summarise
from gobun.report.terminal import print_report

__all__ = [
    "Difference",
    "Issue",
    "differences",
    "emulation_note",
    "issue_text",
    "print_report",
    "render_html",
    "render_junit",
    "render_markdown",
    "render_summary",
    "summarise",
]
