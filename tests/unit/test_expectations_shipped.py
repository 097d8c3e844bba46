"""The expectations of this repository for every possible cell."""

from __future__ import annotations

import itertools

import pytest

from gobun import build
from gobun.cells import read_scenario
from gobun.cells.records import LOADS, Cell
from gobun.expectations import Place, read_expectations
from gobun.fetch.npm_lock import read_lock
from gobun.treatments import TREATMENTS

SAMPLE_STEP = 6
X64_ALWAYS = ("1.0.4", "1.1.34", "1.2.2", "1.4.3")
MUSL_ALWAYS = ("1.2.4", "1.2.5", "1.4.3")


def samples(libc: str, package: str, always: tuple[str, ...]) -> set[tuple[str, str]]:
    """Return some releases of a build of Bun, each with its C library."""
    stable = [name for name in read_lock().versions(package) if "-" not in name]
    return {(version, libc) for version in (*stable[::SAMPLE_STEP], *always)}


SAMPLES = sorted(
    {("x64", *each) for each in samples("glibc", "@oven/bun-linux-x64", X64_ALWAYS)}
    | {("x64", *each) for each in samples("musl", "@oven/bun-linux-x64-musl", MUSL_ALWAYS)}
    | {("arm64", "1.4.0", "glibc"), ("arm64", "1.4.3", "glibc")}
)


@pytest.mark.parametrize(("arch", "version", "libc"), SAMPLES)
def test_shipped_expectations_do_not_contradict_each_other(
    arch: str, version: str, libc: str
) -> None:
    expectations, scenario = read_expectations(place=Place("linux", arch, libc)), read_scenario()
    axes = (TREATMENTS, build.MODULES, LOADS, scenario.stress)
    for treatment, module, load, stress in itertools.product(*axes):
        cell = Cell("bun", version, treatment, module, load, stress)
        assert expectations.of(cell)


@pytest.mark.parametrize(
    ("arch", "version", "treatment", "outcome"),
    [
        ("x64", "1.4.3", "stock", "pass"),
        ("arm64", "1.4.3", "stock", "hang"),
        ("arm64", "1.4.3", "guard", "pass"),
        ("arm64", "1.4.4", "stock", "pass"),
        ("arm64", "1.3.14", "stock", "hang"),
    ],
)
def test_shipped_expectations_of_hot_wasm_depend_on_the_processor(
    arch: str, version: str, treatment: str, outcome: str
) -> None:
    expectations = read_expectations(place=Place("linux", arch, "glibc"))
    cell = Cell("bun", version, treatment, "simple", "napi-sync", "wasm")
    assert expectations.of(cell) == (outcome,)
