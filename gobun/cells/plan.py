"""The plan: the cells of a run, in order."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING

import msgspec

from gobun.cells.records import Cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gobun.cells.scenario import Axes


def plan_cells(runtimes: Iterable[tuple[str, str]], axes: Axes) -> list[Cell]:
    """Return every combination of ``runtimes`` (name, version) and ``axes``, versions outermost."""
    return [
        Cell(name, version, treatment, module, load, stress)
        for (name, version), treatment, module, load, stress in itertools.product(
            runtimes, axes.treatments, axes.modules, axes.loads, axes.stresses
        )
    ]


def plan_hash(cells: Sequence[Cell]) -> str:
    """Return the hash of a plan, independent of the order of its cells."""
    return hashlib.sha256(msgspec.json.encode(sorted(cells))).hexdigest()[:16]
