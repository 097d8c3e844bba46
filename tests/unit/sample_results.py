"""Makes results of a cell, with defaults for most fields."""

from __future__ import annotations

import msgspec

from gobun.cells import Cell, Outcome, Result


def result_of(cell: Cell, *outcomes: Outcome, **changes: object) -> Result:
    """Return the result of a cell with ``outcomes``. ``changes`` sets other fields."""
    result = Result(
        **msgspec.structs.asdict(cell),
        outcome=outcomes[0],
        detail="",
        expected=("pass",),
        unexpected=False,
        wall_ms=1,
        cpu_ms=1,
        max_rss_kb=1,
        exit_code=0,
        signal=None,
        attempts=len(outcomes),
        evidence=(),
        repro="invoke matrix",
        outcomes=outcomes,
    )
    return msgspec.structs.replace(result, **changes)
