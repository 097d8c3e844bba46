"""Tasks that plan a matrix and run it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gobun import flow, own
from gobun import matrix as measuring
from gobun.commands.words import Selection, command, number, selecting, whole_number

if TYPE_CHECKING:
    from invoke.context import Context


def request(cells: Selection, **others: Any) -> flow.Request:  # noqa: ANN401 - flow's own fields
    """Return what is asked of the flow."""
    return flow.Request(
        runtimes=cells.runtime,
        versions=cells.versions,
        treatments=cells.treatment,
        modules=cells.module,
        loads=cells.load,
        stresses=cells.stress,
        **others,
    )


@command
@selecting
def matrix(
    _: Context,
    cells: Selection,
    out: str = "report",
    jobs: str = "",
    limit: str = "",
    repeat: str = "1",
    resume: bool = False,
    shard: str = "",
    durations: str = "",
    addon: str = "",
    smoke: str = "",
) -> None:
    """Run the matrix; the first six take comma lists. --addon FILE --smoke SCRIPT: your module."""
    flow.run_matrix(
        request(
            cells,
            out=Path(out),
            jobs=whole_number(jobs, "--jobs"),
            limit_s=number(limit, "--limit"),
            repeat=whole_number(repeat, "--repeat") or 0,
            resume=resume,
            shard=shard,
            durations=Path(durations) if durations else None,
            addon=own.own_addon(addon, smoke),
        )
    )


@command
@selecting
def plan(_: Context, cells: Selection, shards: str = "1", durations: str = "") -> None:
    """Print a plan split into --shards N as JSON, for the matrix of a CI system."""
    past = measuring.read_results(Path(durations)).results if durations else ()
    parts = whole_number(shards, "--shards") or 0
    planned = flow.plan_matrix(request(cells)).cells
    print(measuring.plan_json(planned, parts, measuring.durations_of(past)))
