"""The expectations of this repository, asked about every cell there can be."""

from __future__ import annotations

import itertools

import pytest

from gobun import build, matrix
from gobun.fetch.lock import read_lock
from gobun.matrix.records import LOADS, TREATMENTS, Cell

STABLE = [name for name in read_lock().versions("@oven/bun-linux-x64") if "-" not in name]
EVERY = 6


@pytest.mark.parametrize("version", sorted({*STABLE[::EVERY], "1.0.4", "1.1.34", "1.2.2", "1.4.3"}))
def test_no_two_rows_contradict_each_other(version: str) -> None:
    expectations, scenario = matrix.read_expectations(), matrix.read_scenario()
    axes = (TREATMENTS, build.FIXTURES, LOADS, scenario.stress)
    for treatment, module, load, stress in itertools.product(*axes):
        cell = Cell("bun", version, treatment, module, load, stress)
        assert expectations.of(cell)
