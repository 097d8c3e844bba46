"""Tasks that plan a matrix and run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gobun import custom_addon, pipeline
from gobun import matrix as measuring
from gobun.commands.cli import (
    Selection,
    command,
    given_path,
    optional_integer,
    run_flags,
    with_cell_selection,
)
from gobun.console import show
from gobun.custom_addon_config import MatrixTable, find_config, runtime_of

if TYPE_CHECKING:
    from invoke.context import Context


class AddonFlags(msgspec.Struct, frozen=True):
    """The flags that name a person's own addon, or the file that says all of it."""

    addon: str
    smoke: str
    name: str
    config: str


def make_request(cells: Selection, mine: AddonFlags, **flags: Any) -> pipeline.Request:  # noqa: ANN401 - the pipeline's own
    """Return what the pipeline runs: by flags, and by ``gobun.toml`` where they are silent."""
    found = find_config(mine.config, modules=cells.module, addon=mine.addon)
    given, table = (found.addon, found.matrix) if found else (None, MatrixTable())
    versions = ",".join(each for each in table.versions if runtime_of(each) in cells.runtime)
    addon = custom_addon.make_addon(
        mine.addon or (given.file if given else ""),
        mine.smoke or (given.smoke if given else ""),
        mine.name or (given.name if given else ""),
        flags.get("libc", ""),
    )
    for field in ("jobs", "limit_s"):
        if flags.get(field) is None:
            flags[field] = getattr(table, field)
    return pipeline.Request(
        runtimes=cells.runtime,
        versions=cells.versions or versions,
        treatments=cells.treatment or table.treatments,
        modules=cells.module,
        loads=cells.load or table.loads,
        stresses=cells.stress or table.stresses,
        addon=addon,
        **flags,
    )


@command
@with_cell_selection
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
    core: bool = False,
    addon: str = "",
    smoke: str = "",
    name: str = "",
    config: str = "",
    libc: str = "",
) -> None:
    """Run the matrix of cells, on the modules here or on your own addon."""
    pipeline.run_matrix(
        make_request(
            cells,
            AddonFlags(addon, smoke, name, config),
            **run_flags(out, jobs, limit, repeat, resume=resume),
            shard=shard,
            durations=given_path(durations) if durations else None,
            core=core,
            libc=libc,
        )
    )


@command
@with_cell_selection
def plan(
    _: Context,
    cells: Selection,
    shards: str = "1",
    durations: str = "",
    json: bool = False,
    addon: str = "",
    smoke: str = "",
    name: str = "",
    config: str = "",
    libc: str = "",
) -> None:
    """Print the plan of a matrix, split into shards."""
    past = measuring.read_results(given_path(durations)).results if durations else ()
    parts = optional_integer(shards, "--shards") or 0
    planned = pipeline.plan_matrix(
        make_request(cells, AddonFlags(addon, smoke, name, config), libc=libc)
    ).cells
    found = measuring.plan_parts(planned, parts, measuring.durations_of(past))
    show(measuring.plan_json(found) if json else "\n".join(part.text for part in found))
