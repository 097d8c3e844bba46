"""The expected outcomes of cells, and their reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sample_results import result_of

from gobun.analysis.claims import read_claims
from gobun.cells import Cell, Result
from gobun.errors import UsageError
from gobun.expectations import (
    Catalogue,
    ExpectationRow,
    Expectations,
    Place,
    is_unexpected,
    known_names,
    lint,
    read_expectations,
    review,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.cells import Outcome
    from gobun.treatments import TreatmentName

CELL = Cell("bun", "1.2.19", "stock", "simple", "ffi", "idle")
LINUX = Place("linux", "x64")
CATALOGUE = Catalogue(
    {"bun": ("1.2.19", "1.4.5"), "node": ("24.19.0",)}, ("simple",), ("idle", "gc")
)


def write_rows(folder: Path, text: str, name: str = "some.toml") -> Path:
    (folder / name).write_text(text)
    return folder


def result(*outcomes: Outcome, cell: Cell = CELL) -> Result:
    return result_of(cell, *outcomes)


def test_expected_outcome_without_row_is_pass() -> None:
    assert Expectations().of(CELL) == ("pass",)
    assert Expectations().reason_for(CELL) == ""


def test_expectation_row_with_most_selectors_wins() -> None:
    general = ExpectationRow(("hang",), "one", modules=("simple",))
    special = ExpectationRow(("crash", "hang"), "two", modules=("simple",), stresses=("idle",))
    rows = Expectations((special, general))
    assert rows.of(CELL) == ("crash", "hang")
    assert rows.reason_for(CELL) == "two"


def test_expectation_tied_rows_that_agree_merge() -> None:
    rows = (
        ExpectationRow(("hang", "pass"), "a", modules=("simple",)),
        ExpectationRow(("pass", "hang"), "b", loads=("ffi",)),
    )
    assert Expectations(rows).of(CELL) == ("hang", "pass")


def test_expectation_tied_rows_that_disagree_are_named(tmp_path: Path) -> None:
    write_rows(
        tmp_path, '[[expect]]\noutcomes = ["hang"]\nwhy = "one"\nmodules = ["simple"]', "a.toml"
    )
    write_rows(tmp_path, '[[expect]]\noutcomes = ["fail"]\nwhy = "two"\nloads = ["ffi"]', "b.toml")
    rows = read_expectations(tmp_path)
    expected = (
        r"contradict each other on bun@1\.2\.19/stock/simple/ffi/idle: "
        r".*a\.toml: row 1 of \[\[expect\]\] \(hang: one\)"
        r" and .*b\.toml: row 1 of \[\[expect\]\] \(fail: two\)"
    )
    with pytest.raises(UsageError, match=expected):
        rows.of(CELL)
    with pytest.raises(UsageError, match="contradict"):
        rows.unmatched_rows([CELL])
    assert rows.of(msgspec.structs.replace(CELL, load="napi-sync")) == ("hang",)


def test_expectation_always_contradicting_rows_are_rejected(tmp_path: Path) -> None:
    first_row = '[[expect]]\noutcomes = ["hang"]\nwhy = "1"\nloads = ["ffi", "worker"]\n'
    other = '[[expect]]\noutcomes = ["fail"]\nwhy = "2"\nloads = ["worker", "ffi"]\n'
    with pytest.raises(UsageError, match=r"row 1 .*\(hang: 1\) and .*row 2 .*\(fail: 2\)"):
        read_expectations(write_rows(tmp_path, first_row + other))


def test_expectation_row_applies_to_its_system_and_processor() -> None:
    rows = (
        ExpectationRow(("hang",), "", os="linux"),
        ExpectationRow(("crash",), "", os="linux", arch="arm64"),
    )
    assert Expectations(rows, LINUX).of(CELL) == ("hang",)
    assert Expectations(rows, Place("linux", "arm64")).of(CELL) == ("crash",)
    assert Expectations(rows, Place("darwin", "arm64")).of(CELL) == ("pass",)


def test_expectation_rows_matching_no_cell_are_found() -> None:
    absent = ExpectationRow(("hang",), "", stresses=("wasm",))
    elsewhere = ExpectationRow(("hang",), "", os="darwin")
    matched = ExpectationRow(("hang",), "", versions="<1.3.0")
    rows = Expectations((absent, matched, elsewhere), LINUX)
    assert rows.unmatched_rows([CELL]) == (absent, elsewhere)


@pytest.mark.parametrize(
    ("attempts", "unexpected"),
    [
        (("hang",), False),
        (("hang", "pass", "hang"), False),
        (("pass", "pass"), False),
        (("hang", "crash"), True),
        (("skip",), False),
        (("error",), True),
    ],
)
def test_expectation_every_attempt_must_be_expected(
    attempts: tuple[Outcome, ...], unexpected: bool
) -> None:
    assert is_unexpected(("hang", "pass"), attempts) is unexpected


def test_expectation_row_observes_the_outcomes_of_its_cells() -> None:
    rows = Expectations((ExpectationRow(("hang",), "C8: storm", location="x"),))

    def observed_outcomes(*attempts: tuple[Outcome, ...]) -> list[str]:
        cells = [msgspec.structs.replace(CELL, version=f"1.2.{n}") for n in range(len(attempts))]
        return review(rows, [result(*a, cell=c) for a, c in zip(attempts, cells, strict=True)])

    assert observed_outcomes(("hang", "hang"), ("hang", "skip")) == []
    assert observed_outcomes(("pass", "pass")) == [
        "x: this expectation can go, 1 of its 1 cells pass"
    ]
    assert observed_outcomes(("hang", "pass"), ("hang",), ("crash", "fail")) == [
        "x expects hang, and 2 of its 3 cells end otherwise: crash/fail/pass"
    ]
    assert observed_outcomes(("pass",), ("crash",)) == [
        "x: this expectation can be narrowed, 1 of its 2 cells pass",
        "x expects hang, and 1 of its 2 cells end otherwise: crash",
    ]
    either = Expectations((ExpectationRow(("hang", "pass"), "C8", location="x"),))
    assert review(either, [result("hang", "pass")]) == []


def test_expectation_review_names_rows_to_drop_or_shrink() -> None:
    other = msgspec.structs.replace(CELL, load="worker")
    stale = ExpectationRow(("hang",), "C1", loads=("ffi",), location="stale")
    half = ExpectationRow(("hang",), "TODO: reason", loads=("worker",), location="half")
    absent = ExpectationRow(
        ("hang",), "C1", stresses=("gc",), modules=("simple",), location="absent"
    )
    node = msgspec.structs.replace(other, version="1.2.20")
    rows = Expectations((stale, half, absent))
    results = [result("pass"), result("pass", cell=other), result("hang", cell=node)]
    assert review(rows, results) == [
        "absent matches no cell of this run",
        "stale: this expectation can go, 1 of its 1 cells pass",
        "half: this expectation can be narrowed, 1 of its 2 cells pass",
        "half has no reason yet",
    ]


@pytest.mark.parametrize(
    ("selectors", "message"),
    [
        ({"runtime": "bun", "versions": ">=1.2.2 <1.2.20", "stresses": ("gc",)}, []),
        ({"versions": ">=24.0.0"}, []),
        ({"versions": "1.2.19-canary.20250726.1"}, []),
        ({"os": "darwin"}, []),
        ({"versions": ">=1.4.6", "runtime": "bun"}, ["versions = '>=1.4.6' holds no release"]),
        ({"runtime": "bunn"}, ["runtime names the unknown 'bunn'"]),
        (
            {"stresses": ("idel",), "modules": ("mine",)},
            ["stresses names", "modules names the unknown"],
        ),
    ],
)
def test_expectation_impossible_row_is_named_in_any_run(
    selectors: dict[str, Any], message: list[str]
) -> None:
    """A row outside of a narrowed run is not listed, unless the review covers all rows."""
    rows = Expectations((ExpectationRow(("hang",), "C1", location="x", **selectors),), LINUX)
    narrow = [result_of(Cell("bun", "1.0.0", "warmup", "control", "ffi", "long"), "pass")]
    problems = review(rows, narrow, catalogue=CATALOGUE)
    for line, each in zip(problems, message, strict=True):
        assert line.startswith(f"x matches no cell of this run: {each}")
    assert review(rows, narrow) == ["x matches no cell of this run"]
    linted = lint(rows, catalogue=CATALOGUE)
    assert [line.partition(": ")[2] for line in linted] == [
        t.partition("run: ")[2] for t in problems
    ]


def test_expectation_reason_needs_existing_link_or_claim() -> None:
    rows = Expectations(
        (
            ExpectationRow(("hang",), "because", location="a"),
            ExpectationRow(("hang",), "see https://example.org/1", location="b"),
            ExpectationRow(("hang",), "C99: no such", location="c", stresses=("boil",)),
            ExpectationRow(("hang",), "TODO: reason", location="d"),
        )
    )
    assert lint(rows, claims=["C1"], catalogue=CATALOGUE) == [
        "a: why has neither a link nor the id of a claim",
        "c: why names the unknown 'C99'",
        "c: stresses names the unknown 'boil'",
        "d: why = 'TODO: reason' is not a reason",
    ]


def test_expectation_shipped_rows_are_valid_with_reasons() -> None:
    shipped = msgspec.structs.replace(read_expectations(), place=LINUX)
    assert shipped.of(CELL) == ("hang",)
    assert shipped.of(Cell("bun", "1.2.19", "stock", "control", "ffi", "idle")) == ("pass",)
    assert shipped.of(Cell("node", "24.19.0", "stock", "simple", "ffi", "idle")) == ("pass",)
    assert lint(shipped, claims=read_claims(), catalogue=known_names()) == []
    for version, outcome in (
        ("1.2.2-canary.20250209.1", "hang"),
        ("1.2.19-canary.20250726.1", "hang"),
        ("1.2.20-canary.20250813.1", "pass"),
    ):  # the observed outcomes
        assert shipped.of(msgspec.structs.replace(CELL, version=version)) == (outcome,)


@pytest.mark.parametrize(
    ("treatment", "outcome"),
    [
        ("preload:suspend", "pass"),
        ("preload:stack8m+sigmask+suspend", "pass"),
        ("preload:stack8m", "hang"),
        ("preload:sigmask-keep", "hang"),
        ("preload:stack8m+sigmask", "hang"),
    ],
)
@pytest.mark.parametrize(("version", "stress"), [("1.2.19", "idle"), ("1.3.14", "profile")])
def test_expectation_preload_words_only_guard_helps(
    treatment: TreatmentName, outcome: Outcome, version: str, stress: str
) -> None:
    shipped = msgspec.structs.replace(read_expectations(), place=LINUX)
    cell = Cell("bun", version, treatment, "simple", "napi-sync", stress)
    assert shipped.of(cell) == (outcome,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[expect]]\noutcomes = ["hangs"]\nwhy = ""',
            r"toml: outcomes of row 1 of .*, item 1: .*'hangs'",
        ),
        ('[[expect]]\noutcomes = ["hang"]', r"row 1 of \[\[expect\]\] lacks the key 'why'"),
        (
            '[[expect]]\noutcomes = []\nwhy = ""\nstres = ["idle"]',
            r"row 1 .* an unknown key 'stres'",
        ),
        (
            '[[expect]]\noutcomes = ["hang"]\nwhy = ""\nwhere = "x"',
            r"row 1 .* an unknown key 'where'",
        ),
        ('[[expect]]\noutcomes = ["hang"]\nwhy = ""\nos = "windows"', r"os of row 1 .*'windows'"),
        ("[[expect]", r"some\.toml is not TOML"),
        ('[[expect]]\noutcomes = []\nwhy = ""', r"some\.toml: row 1 .*outcomes = \[\]"),
        ('[[expect]]\noutcomes = ["hang"]\nwhy = ""\nloads = []', r"row 1 .*loads = \[\]"),
        (
            '[[expect]]\noutcomes = ["hang"]\nwhy = ""\nloads = ["ffi", "ffi"]',
            r"row 1 .*loads lists 'ffi' twice",
        ),
        ('[[expect]]\noutcomes = ["hang"]\nwhy = ""\nversions = "1.2"', r"row 1 .*not a range"),
        ('[[expect]]\noutcomes = ["hang"]\nwhy = ""\nversions = ""', r"row 1 .*not a range"),
        (
            '[[expect]]\noutcomes = ["hang"]\nwhy = ""\nversions = ">1.3.0 <1.2.0"',
            r"row 1 .*not a range: no version matches >1\.3\.0 <1\.2\.0",
        ),
    ],
)
def test_expectation_malformed_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_expectations(write_rows(tmp_path, text))


def test_expectation_row_with_libc_selects_only_it() -> None:
    rows = (ExpectationRow(outcomes=("crash",), why="x", libc="musl"),)
    assert Expectations(rows, Place("linux", "x64", "musl")).of(CELL) == ("crash",)
    assert Expectations(rows, Place("linux", "x64", "glibc")).of(CELL) == ("pass",)
