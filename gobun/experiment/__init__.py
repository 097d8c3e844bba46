"""Experiments on Bun itself: patched binaries are made, kept, and run beside stock."""

from gobun.experiment.comparing import Line, compare, emulated, lines_to_run
from gobun.experiment.making import Wish, build, preflight, register

__all__ = [
    "Line",
    "Wish",
    "build",
    "compare",
    "emulated",
    "lines_to_run",
    "preflight",
    "register",
]
