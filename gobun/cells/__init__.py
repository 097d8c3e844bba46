"""The cells of a matrix: their records, the axes they come from, and the plan."""

from gobun.cells.plan import plan_cells, plan_hash
from gobun.cells.records import (
    EMULATION,
    LOADS,
    OUTCOMES,
    TREATMENTS,
    Cell,
    Ending,
    Header,
    Load,
    Outcome,
    Result,
    Treatment,
    attempts_of,
    words_of,
)
from gobun.cells.scenario import Axes, check_names, narrowed, read_scenario

__all__ = [
    "EMULATION",
    "LOADS",
    "OUTCOMES",
    "TREATMENTS",
    "Axes",
    "Cell",
    "Ending",
    "Header",
    "Load",
    "Outcome",
    "Result",
    "Treatment",
    "attempts_of",
    "check_names",
    "narrowed",
    "plan_cells",
    "plan_hash",
    "read_scenario",
    "words_of",
]
