"""The expectations of this repository, asked about every cell there can be."""

from __future__ import annotations

import itertools

import pytest

from gobun import build
from gobun.cells import read_scenario
from gobun.cells.records import LOADS, Cell
from gobun.expectations import Place, read_expectations
from gobun.fetch.npm_lock import read_lock
from gobun.treatments import TREATMENTS

EVERY = 6


def samples(libc: str, package: str, always: tuple[str, ...]) -> set[tuple[str, str]]:
    """Return some releases of a build of Bun, each with its C library."""
    stable = [name for name in read_lock().versions(package) if "-" not in name]
    return {(version, libc) for version in (*stable[::EVERY], *always)}


SAMPLES = sorted(
    samples("glibc", "@oven/bun-linux-x64", ("1.0.4", "1.1.34", "1.2.2", "1.4.3"))
    | samples("musl", "@oven/bun-linux-x64-musl", ("1.2.4", "1.2.5", "1.4.3"))
)


@pytest.mark.parametrize(("version", "libc"), SAMPLES)
def test_shipped_expectations_do_not_contradict_each_other(version: str, libc: str) -> None:
    expectations, scenario = read_expectations(place=Place("linux", "x64", libc)), read_scenario()
    axes = (TREATMENTS, build.MODULES, LOADS, scenario.stress)
    for treatment, module, load, stress in itertools.product(*axes):
        cell = Cell("bun", version, treatment, module, load, stress)
        assert expectations.of(cell)
