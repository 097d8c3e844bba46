"""The cells of a matrix: their records, the axes they come from, and the plan."""

from gobun.cells.records import (
    LOADS,
    OUTCOMES,
    Cell,
    Ending,
    Header,
    Load,
    Outcome,
    Result,
    attempts_of,
)
from gobun.cells.scenario import (
    Axes,
    check_names,
    narrow_axes,
    plan_cells,
    plan_hash,
    read_scenario,
)

__all__ = [
    "LOADS",
    "OUTCOMES",
    "Axes",
    "Cell",
    "Ending",
    "Header",
    "Load",
    "Outcome",
    "Result",
    "attempts_of",
    "check_names",
    "narrow_axes",
    "plan_cells",
    "plan_hash",
    "read_scenario",
]
