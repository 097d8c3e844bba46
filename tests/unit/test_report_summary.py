"""Summaries of results: counts, order, and results that need an explanation."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import msgspec
import pytest
from sample_results import result_of

from gobun.cells import Cell, Outcome, Result
from gobun.report import summarise
from gobun.report.summary import attempts_text, tally

if TYPE_CHECKING:
    from gobun.cells.records import Load
    from gobun.treatments import TreatmentName


def result(
    version: str,
    outcome: Outcome = "pass",
    *,
    runtime: str = "bun",
    treatment: TreatmentName = "stock",
    module: str = "simple",
    load: Load = "ffi",
    stress: str = "idle",
    unexpected: bool = False,
) -> Result:
    return result_of(
        Cell(runtime, version, treatment, module, load, stress),
        outcome,
        detail=f"it was a {outcome}",
        unexpected=unexpected,
        repro="invoke matrix --versions 1",
    )


@pytest.mark.parametrize(
    ("outcomes", "text", "worst"),
    [
        (["pass", "pass"], "pass", "pass"),
        (["skip"], "skip 1/1", "skip"),
        (["hang"] * 9, "hang 9/9", "hang"),
        (["pass"] * 6 + ["hang"] * 3, "hang 3, pass 6", "hang"),
        (["pass", "skip"], "skip 1, pass 1", "skip"),
        (
            ["pass", "skip", "fail", "timeout", "hang", "crash", "error"],
            "error 1, crash 1, hang 1, timeout 1, fail 1, skip 1, pass 1",
            "error",
        ),
    ],
)
def test_summary_tallies_outcomes(outcomes: list[Outcome], text: str, worst: str) -> None:
    assert tally(outcomes).text == text
    assert tally(outcomes).worst_outcome == worst
    assert tally(list(reversed(outcomes))) == tally(outcomes)


def test_summary_intermittent_cell_is_counted_apart() -> None:
    assert tally(["hang", "hang", "pass"], ["hang"]).text == "hang 1, ~hang 1, pass 1"
    assert tally(["hang", "hang"], ["hang", "hang"]).text == "~hang 2/2"
    assert tally(["hang", "pass"], ["hang"]).text == "~hang 1, pass 1"


def test_summary_attempts_are_listed_worst_first() -> None:
    flaky = msgspec.structs.replace(result("1.2.2", "hang"), outcomes=("pass", "hang", "pass"))
    assert attempts_text(flaky) == "hang 1/3, pass 2/3"
    assert attempts_text(result("1.2.2", "hang")) == "hang 1/1"
    assert summarise([flaky, result("1.2.1")]).intermittent == (flaky,)


def test_summary_empty_run_is_empty() -> None:
    summary = summarise([])
    assert (summary.columns, summary.rows, summary.groups, summary.counts) == ((), (), (), ())
    assert summary.unexpected == 0


def test_summary_rows_are_in_version_order() -> None:
    versions = ["1.2.2", "1.10.0", "1.2.19", "1.3.0-canary.20250101.1", "1.3.0", "1.2.0"]
    results = [result(version) for version in versions] + [result("24.0.0", runtime="node")]
    assert [row.runtime for row in summarise(reversed(results)).rows] == [
        "bun@1.2.0",
        "bun@1.2.2",
        "bun@1.2.19",
        "bun@1.3.0",
        "bun@1.3.0-canary.20250101.1",
        "bun@1.10.0",
        "node@24.0.0",
    ]


def test_summary_columns_do_not_depend_on_first_cell() -> None:
    treatments: tuple[TreatmentName, ...] = ("stock", "warmup")
    modules = ("control", "simple", "crypto", "setup-full")
    results = [
        result("1.2.1", treatment=treatment, module=module)
        for treatment, module in itertools.product(treatments, modules)
    ]
    random.Random(3).shuffle(results)  # noqa: S311  not a secret
    assert summarise(results).columns == tuple(itertools.product(treatments, modules))


def test_summary_missing_table_cell_is_none() -> None:
    results = [result("1.2.1", module="control"), result("1.2.2", "hang", module="simple")]
    summary = summarise(results)
    assert summary.columns == (("stock", "control"), ("stock", "simple"))
    texts = [[t and t.text for t in row.tallies] for row in summary.rows]
    assert texts == [["pass", None], [None, "hang 1/1"]]


def test_summary_differing_outcomes_in_a_column_are_counted() -> None:
    results = [
        result("1.2.2", "hang", stress="idle"),
        result("1.2.2", "pass", stress="gc"),
        result("1.2.2", "crash", stress="wasm"),
    ]
    summary = summarise(results)
    assert summarise(reversed(results)) == summary
    (row,) = summary.rows
    assert [t and t.text for t in row.tallies] == ["crash 1, hang 1, pass 1"]
    assert summary.counts == (("crash", 1), ("hang", 1), ("pass", 1))
    assert sorted(group.outcome for group in summary.groups) == ["crash", "hang"]


def test_summary_groups_hold_failures_and_unexpected_passes() -> None:
    results = [
        result("1.2.1"),
        result("1.2.1", "skip", load="napi-sync"),
        result("1.2.2", "hang", stress="wasm"),
        result("1.2.2", "hang", stress="gc"),
        result("1.2.19", "pass", unexpected=True),
        result("1.2.20", "crash", unexpected=True),
    ]
    summary = summarise(results)
    groups = [
        (group.runtime, group.outcome, group.unexpected, [c.stress for c in group.cells])
        for group in summary.groups
    ]
    assert groups == [
        ("bun@1.2.19", "pass", True, ["idle"]),
        ("bun@1.2.20", "crash", True, ["idle"]),
        ("bun@1.2.2", "hang", False, ["gc", "wasm"]),
    ]
    assert summary.unexpected == 2


def test_summary_expected_and_unexpected_ends_are_separate() -> None:
    results = [result("1.2.2", "hang"), result("1.2.2", "hang", stress="gc", unexpected=True)]
    assert [group.unexpected for group in summarise(results).groups] == [True, False]
