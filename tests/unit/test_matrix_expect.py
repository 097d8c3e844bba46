"""Which outcome is expected of which cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gobun.errors import UsageError
from gobun.matrix import Cell, Expectations, read_expectations
from gobun.matrix.expect import Row

if TYPE_CHECKING:
    from pathlib import Path

CELL = Cell("bun", "1.2.19", "stock", "simple", "ffi", "idle")


def written(folder: Path, text: str) -> Path:
    (folder / "some.toml").write_text(text)
    return folder


def test_what_no_row_selects_passes() -> None:
    assert Expectations().of(CELL) == ("pass",)


@pytest.mark.parametrize(
    ("version", "outcome"),
    [
        ("1.2.1", "pass"),
        ("1.2.2", "hang"),
        ("1.2.19", "hang"),
        ("1.2.19-canary.20250726.1", "hang"),
        ("1.2.20", "pass"),
        ("1.10.0", "pass"),
    ],
)
def test_ranges_are_those_of_semver(version: str, outcome: str) -> None:
    rows = Expectations((Row(("hang",), "why", versions=">=1.2.2 <1.2.20"),))
    cell = Cell("bun", version, "stock", "simple", "ffi", "idle")
    assert rows.of(cell) == (outcome,)


def test_the_row_that_selects_most_wins() -> None:
    general = Row(("hang",), "why", modules=("simple",))
    special = Row(("crash", "hang"), "why", modules=("simple",), stresses=("idle",))
    assert Expectations((special, general)).of(CELL) == ("crash", "hang")


def test_rows_that_tie_and_agree_are_one() -> None:
    rows = (Row(("hang",), "a", modules=("simple",)), Row(("hang",), "b", loads=("ffi",)))
    assert Expectations(rows).of(CELL) == ("hang",)


def test_rows_that_tie_and_disagree_are_an_error() -> None:
    rows = (Row(("hang",), "one", modules=("simple",)), Row(("fail",), "two", loads=("ffi",)))
    with pytest.raises(UsageError, match=r"contradict each other on .*hang: one; fail: two"):
        Expectations(rows).of(CELL)


def test_the_shipped_rows_can_be_read() -> None:
    shipped = read_expectations()
    assert shipped.of(CELL) == ("hang",)
    assert shipped.of(Cell("bun", "1.2.19", "stock", "control", "ffi", "idle")) == ("pass",)
    assert shipped.of(Cell("node", "24.19.0", "stock", "simple", "ffi", "idle")) == ("pass",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[expect]]\noutcomes = ["hangs"]\nwhy = ""', r"some\.toml: Invalid enum value 'hangs'"),
        ('[[expect]]\noutcomes = ["hang"]', r"missing required field `why`"),
        ('[[expect]]\noutcomes = []\nwhy = ""\nstres = ["idle"]', r"unknown field `stres`"),
        ("[[expect]", r"some\.toml is not TOML"),
        ('[[expect]]\noutcomes = ["hang"]\nwhy = ""\nversions = "1.2"', r"row 1 .*not a range"),
        ('[[expect]]\noutcomes = ["hang"]\nwhy = ""\nversions = ""', r"row 1 .*not a range"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_expectations(written(tmp_path, text))
