"""The expectations that apply only to runtimes for musl."""

from __future__ import annotations

import itertools

import pytest

from gobun.cells import Cell
from gobun.expectations import Expectations, Place, read_expectations

MUSL = Place("linux", "x64", "musl")
GLIBC = Place("linux", "x64", "glibc")


@pytest.fixture(scope="module")
def rows() -> Expectations:
    return read_expectations(place=MUSL)


def cell(version: str, treatment: str, load: str = "napi-sync", module: str = "simple") -> Cell:
    return Cell("bun", version, treatment, module, load, "idle")  # type: ignore[arg-type]


def test_expectations_of_musl_never_contradict(rows: Expectations) -> None:
    treatments = ("stock", "unconverted", "guard", "guard-after", "built-in", "warmup")
    for version, treatment, module, load, stress in itertools.product(
        ("1.1.45", "1.2.4", "1.2.19", "1.3.14", "1.4.3", "1.4.5"),
        (*treatments, "warmup-plain", "preload:suspend", "gc-signal:21"),
        ("control", "simple", "setup-full"),
        ("ffi", "napi-sync", "napi-async"),
        ("idle", "wasm", "profile"),
    ):
        assert rows.of(Cell("bun", version, treatment, module, load, stress))  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["1.1.45", "1.2.19", "1.4.5"])
def test_expectations_of_unconverted_modules_are_failures(rows: Expectations, version: str) -> None:
    assert rows.of(cell(version, "unconverted")) == ("fail",)
    assert rows.of(cell(version, "unconverted", module="control")) == ("pass",)


def test_expectations_of_ffi_begin_with_its_first_release(rows: Expectations) -> None:
    assert rows.of(cell("1.2.4", "guard", "ffi")) == ("fail",)
    assert rows.of(cell("1.2.4", "guard", "ffi", "control")) == ("fail",)
    assert rows.of(cell("1.2.5", "guard", "ffi")) == ("pass",)
    assert rows.of(cell("1.2.4", "warmup")) == ("fail",)
    assert rows.of(cell("1.2.4", "guard")) == ("pass",)


def test_expectations_of_musl_do_not_reach_glibc() -> None:
    here = read_expectations(place=GLIBC)
    assert here.of(cell("1.2.4", "guard", "ffi")) == ("pass",)
