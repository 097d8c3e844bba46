"""Tasks that plan a matrix and run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gobun import custom_addon, patched, pipeline
from gobun import matrix as measuring
from gobun.commands.cli import command, given_path, optional_integer
from gobun.commands.run_flags import CellFlags, MatrixFlags, with_flags
from gobun.console import print_result
from gobun.custom_addon_config import MatrixTable, find_config, runtime_of

if TYPE_CHECKING:
    from invoke.context import Context


class AddonFlags(msgspec.Struct, frozen=True):
    """The flags that name a custom addon, or the file that describes it."""

    addon: str
    smoke: str
    name: str
    config: str


def make_request(cells: CellFlags, addon_flags: AddonFlags, **flags: Any) -> pipeline.Request:  # noqa: ANN401 - fields of Request
    """Return the request for the pipeline. Flags take precedence over ``gobun.toml``.

    Raises:
        UsageError: the configuration file is malformed, or the addon cannot be used.
    """
    axes = cells.fields()
    config = find_config(addon_flags.config, modules=axes["modules"], addon=addon_flags.addon)
    addon_config, table = (config.addon, config.matrix) if config else (None, MatrixTable())
    versions = [each for each in table.versions if runtime_of(each) in axes["runtimes"]]
    axes["versions"] = axes["versions"] or ",".join(versions)
    axes["treatments"] = axes["treatments"] or table.treatments
    axes["loads"] = axes["loads"] or table.loads
    axes["stresses"] = axes["stresses"] or table.stresses
    addon = custom_addon.make_addon(
        addon_flags.addon or (addon_config.file if addon_config else ""),
        addon_flags.smoke or (addon_config.smoke if addon_config else ""),
        addon_flags.name or (addon_config.name if addon_config else ""),
        flags.get("libc", ""),
    )
    for field in ("jobs", "limit_s"):
        if flags.get(field) is None:
            flags[field] = getattr(table, field)
    return pipeline.Request(**axes, addon=addon, **flags)


@command
@with_flags("cells", CellFlags)
@with_flags("run", MatrixFlags)
def matrix(
    _: Context,
    cells: CellFlags,
    run: MatrixFlags,
    addon: str = "",
    smoke: str = "",
    name: str = "",
    config: str = "",
) -> None:
    """Run the matrix of cells, on the modules here or on your own addon."""
    addon_flags = AddonFlags(addon, smoke, name, config)
    request = make_request(cells, addon_flags, **run.fields())
    known_expectations = patched.with_series_changes(
        pipeline.known_expectations(request), request.versions
    )
    pipeline.run_matrix(request, expectations=known_expectations)


@command
@with_flags("cells", CellFlags)
def plan(
    _: Context,
    cells: CellFlags,
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
    plan_parts = measuring.plan_parts(planned, parts, measuring.durations_of(past))
    print_result(
        measuring.plan_json(plan_parts) if json else "\n".join(part.text for part in plan_parts)
    )
