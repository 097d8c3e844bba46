"""Makes a cell reproducible without this suite: as a command, or as a folder to share."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import msgspec

from gobun import console, custom_addon, matrix, runtimes
from gobun.analysis import platform_path
from gobun.cells import Ending
from gobun.errors import UsageError
from gobun.targets import Target, for_libc, host_target, target_named
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from gobun.cells import Result
    from gobun.cells.records import Host
    from gobun.matrix import Run, RunContext


def commands(out: Path, pattern: str = "") -> Iterator[str]:
    """Yield a comment and a command line for each cell of ``out`` that did not pass or skip.

    The command line runs the bare cell, or the cell in a virtual machine if another system or
    processor ran it.

    ``pattern`` is part of a cell's name, such as ``bun@1.2.19/stock/simple``. It selects every cell
    that matches, whatever its outcome.

    Raises:
        UsageError: there are no results, or no cell matches.
    """
    run = matrix.read_results(out / matrix.FILE_NAME)
    for result in _select_results(run.results, pattern):
        host = result.host or run.header.host
        target = _target_of(host)
        name = f"{result.name}: {result.outcome}"
        if not _is_here(target):
            yield f"# {name}: ran on {host.system}, and this machine is {host_target().name}"
            yield _command_for_other_host(result, target)
            continue
        context = _context(result, out, target)
        try:
            treated = matrix.treatment_environment(context, result.cell)
        except runtimes.LacksError as lack:
            yield f"# {name}: {lack}"
            continue
        settings = [f"{key}={value}" for key, value in treated.items()]
        command = matrix.cell_command(context, result.cell)
        yield f"# {name}"
        yield shlex.join(["env", *settings, *command] if settings else command)


def _target_of(host: Host) -> Target:
    """Return the target of a cell that ran on ``host``; this machine supplies unknown facts."""
    machine = target_named(f"{host.os}-{host.arch or host_target().arch}")
    return for_libc(machine, host.libc_name if host.os == "linux" else "")


def _is_here(target: Target) -> bool:
    host = host_target()
    return (target.os, target.arch) == (host.os, host.arch)


def _command_for_other_host(result: Result, target: Target) -> str:
    """Return the command line that runs a cell of another system or processor."""
    if target.os != "linux":
        return f"# run this on {target.name}: {result.repro}"
    return matrix.repro_in_guest(result.repro, f"invoke vm --arch {target.arch}")


def folders(out: Path, pattern: str = "") -> Iterator[Path]:
    """Make a folder for each group of cells of ``out`` that did not pass or skip; yield each path.

    The cells of a group differ only in their version. The folder holds scripts, libraries, a
    command and a README, and can be attached to an issue. ``pattern`` is as in ``commands``.

    Raises:
        UsageError: there are no results, no cell matches, or this machine cannot run one.
        PrerequisiteError: a folder cannot be written.
    """
    run = matrix.read_results(out / matrix.FILE_NAME)
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in _select_results(run.results, pattern):
        key = result.platform, matrix.group_name(result.cell)
        groups.setdefault(key, []).append(result)
    for (platform, name), results in groups.items():
        yield _write(out / platform_path(f"repro/{name}", platform), results, run)


def _select_results(results: Iterable[Result], pattern: str) -> list[Result]:
    matching = list(results)
    chosen_results = [
        result
        for result in matching
        if (pattern in result.name if pattern else result.outcome not in {"pass", "skip"})
    ]
    if pattern and not chosen_results:
        raise UsageError.unknown("cell", pattern, [result.name for result in matching])
    if not chosen_results:
        console.log("every cell passed or was skipped, so there is nothing to reproduce")
    return sorted(chosen_results, key=lambda result: (rank(result.version), result.cell))


def _write(folder: Path, results: list[Result], run: Run) -> Path:
    last = results[-1].cell
    host = results[-1].host or run.header.host
    target = _target_of(host)
    context = _context(results[-1], folder.parent, target)
    package = runtimes.fitting_package(target) if last.runtime == "bun" else ""
    try:
        treated = matrix.treatment_environment(context, last)
    except runtimes.LacksError as lack:
        raise UsageError(
            f"{last.name} cannot be run here: {lack}",
            hint="name another cell with --only, or use a machine of that platform",
        ) from lack
    matrix.write_repro(
        folder,
        [matrix.ReproCell(r.cell, Ending(r.outcome, r.detail)) for r in results],
        runtime=context.runtimes[last.runtime, last.version],
        argument=matrix.cell_argument(context, last),
        environment=treated,
        package=package,
        header=msgspec.structs.replace(run.header, host=host),
    )
    return folder


def _context(result: Result, out: Path, target: Target) -> RunContext:
    cell, addon = result.cell, custom_addon.addon_of(result)
    modules, treatments = [] if addon else [cell.module], [cell.treatment]
    context = matrix.build_run_context(modules, target, out=out, limit_s=0, treatments=treatments)
    [runtime] = runtimes.provide_runtimes(cell.runtime, [cell.version], target)
    context = msgspec.structs.replace(context, runtimes={(cell.runtime, cell.version): runtime})
    return custom_addon.with_custom_addon(context, addon, treatments) if addon else context
