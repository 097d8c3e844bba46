"""Renders JUnit XML for the test pages of CI systems: a suite per version, a case per cell."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from gobun.report.order import in_order, version_label
from gobun.report.printable_run import printable_run
from gobun.report.summary import attempts_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gobun.cells import Result
    from gobun.matrix import Run

_ILLEGAL_CHARACTER = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
"""Characters that XML 1.0 cannot contain, not even as a reference. Compiled at its first use,
because that takes 20 ms."""
_LONGEST_MESSAGE = 500


def render_junit(run: Run) -> str:
    """Return the whole document.

    An unexpected outcome is a failure, or an error if the harness itself failed. A cell that hangs,
    crashes or fails as expected passes, and its output states how it ended.
    """
    run = printable_run(run)
    ordered = in_order(run.results)
    root = ET.Element("testsuites", {"name": "gobun", **_counts(ordered)})
    del root.attrib["skipped"]  # The schema permits it only on suites.
    for runtime, results in itertools.groupby(ordered, key=version_label):
        root.append(_suite(runtime, list(results), run))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def xml_text(text: str) -> str:
    """Return text with readable escapes for the characters that XML does not allow."""
    return re.sub(_ILLEGAL_CHARACTER, lambda match: f"\\x{ord(match[0]):02x}", text)


def _suite(runtime: str, results: Sequence[Result], run: Run) -> ET.Element:
    host = results[0].host or run.header.host
    suite = ET.Element(
        "testsuite",
        {
            "name": xml_text(runtime),
            **_counts(results),
            "timestamp": xml_text(run.header.started.partition("+")[0]),
            "hostname": "localhost",
        },
    )
    properties = ET.SubElement(suite, "properties")
    known = {
        "host": host.text,
        "gobun": run.header.suite,
        **run.header.made_with,
    }
    for name, value in known.items():
        ET.SubElement(properties, "property", {"name": xml_text(name), "value": xml_text(value)})
    suite.extend(_case(result) for result in results)
    return suite


def _case(result: Result) -> ET.Element:
    # CI systems read dots as packages. Class and name together identify a test.
    group = version_label(result).replace(".", "_")
    case = ET.Element(
        "testcase",
        {
            "classname": xml_text(f"{group}.{result.treatment}.{result.module}"),
            "name": xml_text(f"{result.load}/{result.stress}"),
            "time": _seconds([result]),
        },
    )
    kind = _kind(result)
    detail = " ".join(result.detail.split())
    if kind == "skipped":
        ET.SubElement(case, "skipped", {"message": _message(detail)})
    elif kind:
        expected = "/".join(result.expected)
        message = f"{result.outcome}, expected {expected}" + (f": {detail}" if detail else "")
        problem = ET.SubElement(case, kind, {"type": result.outcome, "message": _message(message)})
        problem.text = xml_text(_failure_text(result))
    elif result.outcome != "pass":
        ET.SubElement(case, "system-out").text = xml_text(
            f"as expected, this did not pass\n{_failure_text(result)}"
        )
    elif result.intermittent:
        ET.SubElement(case, "system-out").text = xml_text(_failure_text(result))
    return case


def _failure_text(result: Result) -> str:
    lines = [
        f"outcome: {result.outcome}" + (f" ({result.kind})" if result.kind else ""),
        *([f"detail: {result.detail}"] if result.detail else []),
        f"expected: {', '.join(result.expected)}",
        *([f"intermittent: {attempts_text(result)}"] if result.intermittent else []),
        f"again: {result.repro}",
        *(f"evidence: {path}" for path in result.evidence),
    ]
    return "\n".join(lines)


def _kind(result: Result) -> str:
    """Return the XML element for a cell's outcome, or ``""`` if the cell counts as passed."""
    if result.unexpected:
        return "error" if result.outcome == "error" else "failure"
    return "skipped" if result.outcome == "skip" else ""


def _counts(results: Iterable[Result]) -> dict[str, str]:
    cells = list(results)
    kinds = [_kind(result) for result in cells]
    return {
        "tests": str(len(cells)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "skipped": str(kinds.count("skipped")),
        "time": _seconds(cells),
    }


def _seconds(results: Sequence[Result]) -> str:
    return f"{sum(result.wall_ms for result in results) / 1000:.3f}"


def _message(text: str) -> str:
    shortened = text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"
    return xml_text(shortened)
