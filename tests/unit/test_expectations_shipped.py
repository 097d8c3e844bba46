"""The expectations of this repository, asked about every cell there can be."""

from __future__ import annotations

import itertools

import pytest

from gobun import build
from gobun.cells import read_scenario
from gobun.cells.records import LOADS, Cell
from gobun.expectations import read_expectations
from gobun.fetch.npm_lock import read_lock
from gobun.treatments import TREATMENTS

STABLE = [name for name in read_lock().versions("@oven/bun-linux-x64") if "-" not in name]
EVERY = 6


@pytest.mark.parametrize("version", sorted({*STABLE[::EVERY], "1.0.4", "1.1.34", "1.2.2", "1.4.3"}))
def test_shipped_expectations_do_not_contradict_each_other(version: str) -> None:
    expectations, scenario = read_expectations(), read_scenario()
    axes = (TREATMENTS, build.MODULES, LOADS, scenario.stress)
    for treatment, module, load, stress in itertools.product(*axes):
        cell = Cell("bun", version, treatment, module, load, stress)
        assert expectations.of(cell)
