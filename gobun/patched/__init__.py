"""Experiments on Bun itself: builds and registers patched Buns, and compares them with stock."""

from gobun.patched.build import WEBKIT_FROM_NPM, BuildRequest, build_patched, preflight, register
from gobun.patched.compare import (
    SeriesRuns,
    emulations_of,
    run_beside_stock,
    runs_of_series,
    with_series_changes,
)

__all__ = [
    "WEBKIT_FROM_NPM",
    "BuildRequest",
    "SeriesRuns",
    "build_patched",
    "emulations_of",
    "preflight",
    "register",
    "run_beside_stock",
    "runs_of_series",
    "with_series_changes",
]
