"""Reports: pure functions of a results file."""

from gobun.report.markdown import render_markdown
from gobun.report.summary import summarise
from gobun.report.terminal import print_report

__all__ = ["print_report", "render_markdown", "summarise"]
