"""Experiments on Bun itself: patched binaries are made, kept, and run beside stock."""

from gobun.patched.build import WEBKIT_FROM_NPM, BuildRequest, build_patched, preflight, register
from gobun.patched.compare import SeriesRuns, emulations_of, run_beside_stock, runs_of_series

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
]
