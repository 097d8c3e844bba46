"""The bare command behind a cell, for a terminal, a debugger or an issue upstream."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from gobun import build, matrix, runtimes
from gobun.errors import UsageError
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gobun.matrix import Cell


def commands(out: Path, only: str = "") -> Iterator[str]:
    """Yield a comment and a command line for each cell of ``out`` that did not pass.

    ``only`` is part of a cell's name, as ``bun@1.2.19/stock/simple``; with it, cells that passed
    are there too.

    Raises:
        UsageError: there are no results, or no cell fits.
    """
    results = matrix.read_results(out / matrix.FILE_NAME).results
    wanted = [
        result
        for result in results
        if (only in result.cell.name if only else result.outcome not in {"pass", "skip"})
    ]
    if only and not wanted:
        raise UsageError.unknown("cell", only, [result.cell.name for result in results])
    for result in sorted(wanted, key=lambda result: result.cell):
        yield f"# {result.cell.name}: {result.outcome}"
        yield shlex.join(_command(result.cell))


def _command(cell: Cell) -> list[str]:
    target = host_target()
    (runtime,) = runtimes.provide_runtimes(cell.runtime, [cell.version], target)
    return matrix.cell_command(
        cell,
        runtime,
        build.build_fixture(cell.module, target),
        build.build_warmup([target])[0].library,
    )
