"""The matrix: plan the cells, run them, classify how each ended, and record the results."""

from gobun.matrix.attempt import (
    cell_argument,
    cell_command,
    cell_environment,
    treatment_environment,
)
from gobun.matrix.journal import JOURNAL_NAME, Journal, journal_for, read_journal
from gobun.matrix.module_variants import module_variants
from gobun.matrix.repro_bundle import ReproCell, group_name, write_repro
from gobun.matrix.results import FILE_NAME, Run, Writer, new_header, read_results
from gobun.matrix.run import repro, repro_in_guest, run_cell, run_cells
from gobun.matrix.run_context import RunContext, build_run_context
from gobun.matrix.shard import durations_of, parse_shard, plan_json, plan_parts, shard, shard_header

__all__ = [
    "FILE_NAME",
    "JOURNAL_NAME",
    "Journal",
    "ReproCell",
    "Run",
    "RunContext",
    "Writer",
    "build_run_context",
    "cell_argument",
    "cell_command",
    "cell_environment",
    "durations_of",
    "group_name",
    "journal_for",
    "module_variants",
    "new_header",
    "parse_shard",
    "plan_json",
    "plan_parts",
    "read_journal",
    "read_results",
    "repro",
    "repro_in_guest",
    "run_cell",
    "run_cells",
    "shard",
    "shard_header",
    "treatment_environment",
    "write_repro",
]
