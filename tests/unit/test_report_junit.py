"""JUnit XML, read back by a real parser."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from report_cells import HOSTILE, cell, many_results, run_of

from gobun import report
from gobun.report.junit import xml_text

if TYPE_CHECKING:
    from gobun.cells import Result


def parse_junit(*results: Result) -> ET.Element:
    return ET.fromstring(report.render_junit(run_of(results)))  # noqa: S314 - our own


def test_junit_has_suite_per_version_and_case_per_cell() -> None:
    root = parse_junit(cell("1.10.0"), cell("1.2.1"), cell("1.2.1", load="napi-sync", stress="gc"))
    assert root.attrib == {
        "name": "gobun",
        "tests": "3",
        "failures": "0",
        "errors": "0",
        "time": "4.500",
    }
    old, new = root
    assert (old.get("name"), new.get("name")) == ("bun@1.2.1", "bun@1.10.0")
    assert (old.get("tests"), old.get("time"), old.get("skipped")) == ("2", "3.000", "0")
    assert old.get("timestamp") == "2026-01-02T03:04:05"
    assert {p.get("name"): p.get("value") for p in old.iter("property")}["go"] == "1.27.3"
    assert [(c.get("classname"), c.get("name"), c.get("time")) for c in old.iter("testcase")] == [
        ("bun@1_2_1.stock.simple", "ffi/idle", "1.500"),
        ("bun@1_2_1.stock.simple", "napi-sync/gc", "1.500"),
    ]
    assert not list(old.iter("system-out"))


def test_junit_outcomes_map_to_case_states() -> None:
    root = parse_junit(
        cell(outcome="hang", expected=("hang",), detail="livelock", stress="a"),
        cell(outcome="hang", unexpected=True, detail="livelock\nand more", stress="b"),
        cell(outcome="pass", unexpected=True, expected=("hang",), stress="c"),
        cell(outcome="skip", detail="no ffi", stress="d"),
        cell(outcome="error", unexpected=True, detail="cannot start", stress="e"),
        cell(outcome="skip", unexpected=True, detail="no ffi", stress="f"),
    )
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("6", "3", "1")
    states = {case.get("name"): next(iter(case), None) for case in root.iter("testcase")}
    kinds = {name: None if child is None else child.tag for name, child in states.items()}
    assert kinds == {
        "ffi/a": "system-out",
        "ffi/b": "failure",
        "ffi/c": "failure",
        "ffi/d": "skipped",
        "ffi/e": "error",
        "ffi/f": "failure",
    }
    marked = {name: child for name, child in states.items() if child is not None}
    assert "as expected, this did not pass\noutcome: hang" in (marked["ffi/a"].text or "")
    assert marked["ffi/b"].get("message") == "hang, expected pass: livelock and more"
    assert "again: invoke matrix" in (marked["ffi/b"].text or "")
    assert marked["ffi/c"].get("message") == "pass, expected hang"
    assert marked["ffi/d"].get("message") == "no ffi"


def test_junit_intermittent_cell_is_marked() -> None:
    root = parse_junit(cell(outcome="hang", expected=("hang",), outcomes=("pass", "hang", "pass")))
    (output,) = root.iter("system-out")
    assert "intermittent: hang 1/3, pass 2/3" in (output.text or "")


def test_junit_invalid_xml_characters_are_escaped() -> None:
    root = parse_junit(
        cell(
            outcome="crash",
            unexpected=True,
            detail=HOSTILE,
            module=HOSTILE,
            repro=HOSTILE,
        )
    )
    (failure,) = root.iter("failure")
    (case,) = root.iter("testcase")
    assert "\\x00\\x1b[31m&amp;'\"" in (failure.text or "")
    assert "</script><img src=x onerror=alert(1)>" in case.get("classname", "")
    assert xml_text("a\tb\ufffe\x0b") == "a\tb\\xfffe\\x0b"
    assert xml_text("\ud800") == "\\xd800"


def test_junit_long_detail_is_whole_only_in_text() -> None:
    root = parse_junit(cell(outcome="crash", unexpected=True, detail="x" * 5000))
    (failure,) = root.iter("failure")
    assert len(failure.get("message", "")) == 500
    assert "x" * 5000 in (failure.text or "")


def test_junit_cases_are_unique() -> None:
    root = parse_junit(*many_results(2000))
    cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(cases) == len(set(cases)) == 2000


def test_junit_empty_run_is_valid() -> None:
    assert len(parse_junit()) == 0
