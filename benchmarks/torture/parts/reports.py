"""Reports of hostile results, and of very many results."""

from __future__ import annotations

import contextlib
import io
import itertools
import resource
import time
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import msgspec

from benchmarks.torture.fuzzing import fuzz, randomly
from benchmarks.torture.parts.parsers import sample_result
from benchmarks.torture.registry import Budget, Figure, part
from gobun import matrix, pipeline
from gobun.analysis import merge_into
from gobun.cells import Cell, Outcome, Result
from gobun.cells.records import LOADS, OUTCOMES
from gobun.report import print_report, render_html, render_junit, render_markdown
from gobun.treatments import TREATMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

_PIECES = (
    "\x1b[2J\x1b[1;1H",
    "\u202e",
    "\0",
    "\x9b31m",
    "\r",
    "\n",
    "</script><script>alert(1)</script>",
    "]]>",
    "<!--",
    "[red]",
    "[/nonsense]",
    ":smile:",
    "`" * 5,
    "|",
    "![x](http://x)",
    "\uffff",
    "{{style}}",
    "a" * 20_000,
)
_CELLS = 100_000
_STRESSES = 50


@part(seconds=60, quick=True)
def fuzz_reports(budget: Budget) -> Iterator[Figure]:
    """Report results with texts that try to control a terminal, a page or a CI system."""
    unsafe = 0

    def feed(results: list[Result]) -> None:
        nonlocal unsafe
        cells = [result.cell for result in results]
        run = matrix.Run(matrix.new_header(cells), tuple(results))
        document = render_junit(run)
        ET.fromstring(document)  # noqa: S314 - our own, and that it can be parsed is the question
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            print_report(run)
        page = render_html(run)
        texts = (document, shown.getvalue(), page, render_markdown(run))
        unsafe += not all(_is_plain(text) for text in texts) or page.count("</script>") != _SCRIPTS

    yield from fuzz(budget, randomly(_results), feed, least=5)
    yield Figure("reports with a character that acts or hides", unsafe, at_most=0)


_SCRIPTS = 2
"""Script elements of a page: the data, and the script that displays it."""


def _results(random: Random) -> list[Result]:
    def text() -> str:
        return "".join(random.choices(_PIECES, k=random.randrange(4)))

    results = []
    for number in range(3):
        cell = Cell("bun", f"1.0.{number}", "stock", f"m{text()}", "ffi", f"s{text()}")
        result = sample_result(cell, random.choice(OUTCOMES))
        results.append(
            msgspec.structs.replace(
                result, detail=text(), repro=text(), why=text(), signal=text(), evidence=(text(),)
            )
        )
    return results


def _is_plain(text: str) -> bool:
    return text.translate(_ALLOWED_CONTROLS).isprintable()


_ALLOWED_CONTROLS = {ord(character): None for character in "\n\t\ue000"}


@part(seconds=120, grace_s=600)
def hundred_thousand_results(budget: Budget) -> Iterator[Figure]:
    """Report and merge 100,000 results."""
    count = budget.scale(_CELLS, 120, least=5000)
    cells = list(itertools.islice(_cells(), count))
    out = budget.folder / "whole"
    halves = [cells[: count // 2], cells[count // 2 :]]
    for name, part_of in (("whole", cells), ("one", halves[0]), ("two", halves[1])):
        header = matrix.new_header(cells)
        results = [_result(number, cell) for number, cell in enumerate(part_of)]
        with matrix.Writer(budget.folder / name / matrix.FILE_NAME, header, results):
            pass
    yield Figure("results", count, at_least=1)
    merged = budget.folder / "merged"
    parts = [budget.folder / "one", budget.folder / "two"]
    yield _timed_figure("merge", lambda: merge_into(parts, merged), 60)
    same = len(matrix.read_results(merged).results)
    yield Figure("results lost or doubled", abs(count - same), at_most=0)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        yield _timed_figure("report", lambda: pipeline.write_report(out), 120)
    for path in sorted(out.iterdir()):
        size = path.stat().st_size / (1 << 20)
        yield Figure(
            f"size of {path.name}", round(size, 1), "MiB", at_most=_LARGEST_MIB.get(path.name)
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure("memory", peak, "MiB", at_most=2048)


_LARGEST_MIB = {"report.html": 20.0, "report.md": 10.0}


def _timed_figure(title: str, call: Callable[[], object], at_most: float) -> Figure:
    started = time.process_time()
    call()
    seconds = time.process_time() - started
    return Figure(f"processor time of {title}", round(seconds, 1), "s", at_most=at_most)


def _cells() -> Iterator[Cell]:
    versions = (f"1.{minor}.{patch}" for minor in range(100) for patch in range(20))
    for version in versions:
        for treatment, load in itertools.product(list(TREATMENTS)[:3], LOADS):
            for stress in range(_STRESSES):
                yield Cell("bun", version, treatment, "simple", load, f"stress-{stress}")


def _result(number: int, cell: Cell) -> Result:
    outcome: Outcome = OUTCOMES[number % 7] if number % 5 == 0 else "pass"
    detail = f"no turn of the event loop in {number % 97}.0 s, thread {number}"
    return msgspec.structs.replace(sample_result(cell, outcome), detail=detail)
