"""Runs a plan: each cell in processes of its own, each result written as it comes."""

from __future__ import annotations

import collections
import concurrent.futures
import shlex
import threading
from typing import TYPE_CHECKING

from gobun import console
from gobun.cells.records import UNJUDGED, WORST_FIRST, Result
from gobun.expectations import is_unexpected
from gobun.matrix import evidence
from gobun.matrix.retry import attempt_until_judged
from gobun.observe import signal_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gobun.cells.records import Cell
    from gobun.matrix.attempt import Attempt
    from gobun.matrix.run_context import RunContext


def repro(cell: Cell) -> str:
    """Return the command line that runs ``cell`` alone."""
    words = ["invoke", "matrix", "--runtime", cell.runtime, "--versions", cell.version]
    words += ["--treatment", cell.treatment, "--module", cell.module]
    words += ["--load", cell.load, "--stress", cell.stress]
    return shlex.join(words)


def run_cells(
    context: RunContext, cells: Sequence[Cell], *, jobs: int, record: Callable[[Result], None]
) -> None:
    """Run every cell, ``jobs`` at a time, and hand each result to ``record`` as it comes.

    On KeyboardInterrupt the cells in flight are killed, and the interruption goes on.
    """
    stop = threading.Event()
    with (
        console.progress("cells", len(cells)) as shown,
        concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool,
    ):
        running = [pool.submit(run_cell, context, cell, stop) for cell in cells]
        try:
            for future in concurrent.futures.as_completed(running):
                result = future.result()
                record(result)
                shown.advance(note=f"{result.cell.name}: {result.outcome}")
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def run_cell(context: RunContext, cell: Cell, stop: threading.Event) -> Result:
    """Run one cell as often as the context says; the worst attempt is what it came to.

    Raises:
        StoppedError: ``stop`` was set meanwhile.
    """
    attempts = [attempt_until_judged(context, cell, stop)]
    while len(attempts) < context.repeat and attempts[0].ending.outcome != "skip":
        attempts.append(attempt_until_judged(context, cell, stop))
    attempts = [one for one in attempts if one.ending.kind not in UNJUDGED] or attempts
    worst = min(attempts, key=lambda attempt: WORST_FIRST.index(attempt.ending.outcome))
    outcomes = tuple(attempt.ending.outcome for attempt in attempts)
    expected = context.expectations.of(cell)
    end, outcome = worst.end, worst.ending.outcome
    by_itself = end is not None and outcome not in {"hang", "timeout"}
    return Result(
        **{field: getattr(cell, field) for field in cell.__struct_fields__},
        outcome=outcome,
        detail=_detail(worst, attempts),
        expected=expected,
        unexpected=is_unexpected(expected, outcomes),
        wall_ms=worst.wall_ms,
        cpu_ms=end.cpu_ms if end else 0,
        max_rss_kb=end.max_rss_kb if end else 0,
        exit_code=end.exit_code if end and by_itself else None,
        signal=signal_name(end.signal) if end and end.signal and by_itself else None,
        attempts=len(attempts),
        evidence=evidence.write_evidence(worst.seen, cell, worst.ending, context.out),
        repro=repro(cell),
        outcomes=outcomes,
        why=context.expectations.why(cell),
        kind=worst.ending.kind,
        mapped=any(one.seen.mapped for one in attempts),
        go=any(one.seen.go for one in attempts),
    )


def _detail(worst: Attempt, attempts: Sequence[Attempt]) -> str:
    counted = collections.Counter(attempt.ending.outcome for attempt in attempts)
    if len(counted) == 1:
        return worst.ending.detail
    mixed = ", ".join(
        f"{outcome} {counted[outcome]}" for outcome in WORST_FIRST if counted[outcome]
    )
    return f"intermittent ({mixed}): {worst.ending.detail}"
