"""Runs a plan: each cell in processes of its own, each result written as soon as it exists."""

from __future__ import annotations

import collections
import concurrent.futures
import shlex
import threading
from typing import TYPE_CHECKING

from gobun import console, process
from gobun.cells.records import UNJUDGED_KINDS, WORST_FIRST, Result
from gobun.expectations import is_unexpected
from gobun.matrix import evidence
from gobun.matrix.journal import Journal, record_of
from gobun.matrix.retry import attempt_until_judged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gobun.cells.records import Cell, Outcome
    from gobun.matrix.attempt import Attempt
    from gobun.matrix.journal import AttemptRecord
    from gobun.matrix.run_context import RunContext


def repro(cell: Cell, libc: str = "") -> str:
    """Return the command line that runs ``cell`` alone, with the C library if it is given."""
    words = ["invoke", "matrix", "--runtime", cell.runtime, "--versions", cell.version]
    words += ["--treatment", cell.treatment, "--module", cell.module]
    words += ["--load", cell.load, "--stress", cell.stress]
    words += ["--libc", libc] if libc else []
    return shlex.join(words)


def repro_in_guest(repro: str, repeat_command: str) -> str:
    """Return the command line ``repro`` with ``repeat_command`` in place of ``invoke matrix``."""
    return repro.replace("invoke matrix", repeat_command, 1)


def run_cells(
    context: RunContext,
    cells: Sequence[Cell],
    *,
    jobs: int,
    record: Callable[[Result], None],
    journal: Journal | None = None,
    on_start: Callable[[Cell], None] = lambda _: None,
) -> None:
    """Run every cell, ``jobs`` at a time, and pass each result to ``record`` as it arrives.

    Any thread may call ``on_start`` with a cell before it starts. Any thread may call ``record``,
    but never two at once. On an exception, such as KeyboardInterrupt, it kills the cells in flight
    and raises the exception again. By then ``record`` has received every cell that ended.

    Raises:
        UsageError: two expectations contradict each other on a cell.
        PrerequisiteError: the disk is full or refuses a write.
    """
    stop = threading.Event()
    recording = threading.Lock()

    def run_one(cell: Cell) -> Result:
        if not stop.is_set():
            on_start(cell)
        result = run_cell(context, cell, stop, journal)
        with recording:
            record(result)
        return result

    with (
        console.progress("cells", len(cells)) as progress,
        concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool,
    ):
        running = [pool.submit(run_one, cell) for cell in cells]
        try:
            for future in concurrent.futures.as_completed(running):
                result = future.result()
                progress.advance(note=f"{result.cell.name}: {result.outcome}")
        except BaseException as error:
            stop.set()
            if isinstance(error, KeyboardInterrupt):
                process.interrupt_tools()  # a debugger takes seconds for a backtrace
            pool.shutdown(cancel_futures=True)
            raise


def run_cell(
    context: RunContext, cell: Cell, stop: threading.Event, journal: Journal | None = None
) -> Result:
    """Run one cell as often as the context requires; its worst attempt decides the result.

    Each attempt goes into ``journal`` when it ends. Attempts that the journal already holds count.

    Raises:
        StoppedError: ``stop`` was set meanwhile.
        UsageError: two expectations contradict each other on the cell.
        PrerequisiteError: the journal cannot be written.
    """
    journal = journal or Journal()
    past = list(journal.earlier_attempts(cell))[: context.repeat]
    worst: Attempt | None = None
    while len(past) < context.repeat and not (past and past[0].outcome == "skip"):
        attempt = attempt_until_judged(context, cell, stop)
        past.append(record_of(cell, len(past) + 1, attempt))
        journal.add(past[-1])
        if worst is None or _rank(past[-1]) < _rank(record_of(cell, 0, worst)):
            worst = attempt
    return _result(context, cell, past, worst)


def _rank(attempt: AttemptRecord) -> tuple[bool, int]:
    """Return the sort key of attempts: the worst first, those without a verdict last."""
    return attempt.kind in UNJUDGED_KINDS, WORST_FIRST.index(attempt.outcome)


def _result(
    context: RunContext,
    cell: Cell,
    past_attempts: Sequence[AttemptRecord],
    worst_attempt: Attempt | None,
) -> Result:
    """Build the result from a cell's attempts; ``worst_attempt`` is the worst one of this run."""
    judged = [each for each in past_attempts if each.kind not in UNJUDGED_KINDS] or past_attempts
    worst = min(judged, key=_rank)
    outcomes = tuple(each.outcome for each in judged)
    expected = context.expectations.of(cell)
    detail = _detail(worst, outcomes)
    evidence_paths: tuple[str, ...] = ()
    if worst_attempt is not None and worst_attempt.ending.outcome == worst.outcome:
        try:
            evidence_paths = evidence.write_evidence(
                worst_attempt.observation, cell, worst_attempt.ending, context.out
            )
        except Exception as error:  # noqa: BLE001 - a child chooses most of what is in it
            detail = f"{detail} (its evidence could not be kept: {type(error).__name__}: {error})"
    by_itself = worst.outcome not in {"hang", "timeout"}
    return Result(
        **{field: getattr(cell, field) for field in cell.__struct_fields__},
        outcome=worst.outcome,
        detail=detail,
        expected=expected,
        unexpected=is_unexpected(expected, outcomes),
        wall_ms=worst.wall_ms,
        cpu_ms=worst.cpu_ms,
        max_rss_kb=worst.max_rss_kb,
        exit_code=worst.exit_code if by_itself else None,
        signal=worst.signal if by_itself else None,
        attempts=len(judged),
        evidence=evidence_paths,
        repro=repro(cell, context.foreign_libc),
        outcomes=outcomes,
        why=context.expectations.reason_for(cell),
        kind=worst.kind,
        mapped=any(each.mapped for each in judged),
        go=any(each.go for each in judged),
    )


def _detail(worst_attempt: AttemptRecord, outcomes: Sequence[Outcome]) -> str:
    outcome_counts = collections.Counter(outcomes)
    if len(outcome_counts) == 1:
        return worst_attempt.detail
    mixed = ", ".join(
        f"{outcome} {outcome_counts[outcome]}" for outcome in WORST_FIRST if outcome_counts[outcome]
    )
    return f"intermittent ({mixed}): {worst_attempt.detail}"
