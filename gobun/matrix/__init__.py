"""The matrix: which cells there are, running them, and how each ended."""

from gobun.matrix.attempt import Bench, cell_command, cell_environment
from gobun.matrix.expect import Expectations, read_expectations
from gobun.matrix.plan import plan_cells, plan_hash
from gobun.matrix.records import (
    LOADS,
    OUTCOMES,
    TREATMENTS,
    Cell,
    Load,
    Outcome,
    Result,
    Treatment,
)
from gobun.matrix.results import FILE_NAME, Run, Writer, new_header, read_results
from gobun.matrix.run import run_cell, run_cells
from gobun.matrix.scenario import Axes, check_names, narrowed, read_scenario

__all__ = [
    "FILE_NAME",
    "LOADS",
    "OUTCOMES",
    "TREATMENTS",
    "Axes",
    "Bench",
    "Cell",
    "Expectations",
    "Load",
    "Outcome",
    "Result",
    "Run",
    "Treatment",
    "Writer",
    "cell_command",
    "cell_environment",
    "check_names",
    "narrowed",
    "new_header",
    "plan_cells",
    "plan_hash",
    "read_expectations",
    "read_results",
    "read_scenario",
    "run_cell",
    "run_cells",
]
