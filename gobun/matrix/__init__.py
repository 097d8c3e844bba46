"""The matrix: which cells there are, running them, how each ended, and what is asked of that."""

from gobun.matrix.attempt import (
    cell_argument,
    cell_command,
    cell_environment,
    treatment_environment,
)
from gobun.matrix.bench import Bench, build_bench
from gobun.matrix.bisect_probe import Question, bisect_releases
from gobun.matrix.bundle import Trial, group_name, write_repro
from gobun.matrix.claims import read_claims
from gobun.matrix.claims_render import claims_markdown, print_claims
from gobun.matrix.claims_verdict import library_sizes, read_facts, verdicts, write_facts
from gobun.matrix.expect import (
    Expectations,
    known_names,
    lint,
    place_of,
    read_expectations,
    review,
    update_expectations,
)
from gobun.matrix.merge import merge, merge_into
from gobun.matrix.plan import plan_cells, plan_hash
from gobun.matrix.records import (
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
from gobun.matrix.results import FILE_NAME, Run, Writer, new_header, read_results
from gobun.matrix.run import run_cell, run_cells
from gobun.matrix.scenario import Axes, check_names, narrowed, read_scenario
from gobun.matrix.shard import (
    durations_of,
    parse_shard,
    plan_json,
    plan_parts,
    shard,
    shard_header,
)

__all__ = [
    "EMULATION",
    "FILE_NAME",
    "LOADS",
    "OUTCOMES",
    "TREATMENTS",
    "Axes",
    "Bench",
    "Cell",
    "Ending",
    "Expectations",
    "Header",
    "Load",
    "Outcome",
    "Question",
    "Result",
    "Run",
    "Treatment",
    "Trial",
    "Writer",
    "attempts_of",
    "bisect_releases",
    "build_bench",
    "cell_argument",
    "cell_command",
    "cell_environment",
    "check_names",
    "claims_markdown",
    "durations_of",
    "group_name",
    "known_names",
    "library_sizes",
    "lint",
    "merge",
    "merge_into",
    "narrowed",
    "new_header",
    "parse_shard",
    "place_of",
    "plan_cells",
    "plan_hash",
    "plan_json",
    "plan_parts",
    "print_claims",
    "read_claims",
    "read_expectations",
    "read_facts",
    "read_results",
    "read_scenario",
    "review",
    "run_cell",
    "run_cells",
    "shard",
    "shard_header",
    "treatment_environment",
    "update_expectations",
    "verdicts",
    "words_of",
    "write_facts",
    "write_repro",
]
