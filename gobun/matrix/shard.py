"""Splits a plan among machines: deterministic, disjoint, complete, balanced by past durations."""

from __future__ import annotations

import hashlib
import itertools
import re
import statistics
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from gobun.cells.records import Header, Shard
from gobun.errors import UsageError
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gobun.cells.records import Cell, Result

_FORM = re.compile(r"(\d+)/(\d+)")
_UNKNOWN_MS = 1000.0
_BOUNDARY_SLACK = 1 / 16
"""To keep a version whole, a cut may move by this fraction of the average shard."""


def parse_shard(text: str) -> tuple[int, int]:
    """Return the number of a shard and the number of shards, from text such as ``2/4``.

    Raises:
        UsageError: it does not have that form, or there is no such shard.
    """
    match = _FORM.fullmatch(text.strip())
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= of:
        raise UsageError(f"{text!r} is not a shard", hint="write 2/4 for the second of four")
    return number, of


def durations_of(results: Iterable[Result]) -> dict[Cell, float]:
    """Return the approximate duration of each cell in milliseconds, all attempts together."""
    return {result.cell: float(result.wall_ms * max(1, result.attempts)) for result in results}


def shard(
    cells: Sequence[Cell], number: int, of: int, durations: Mapping[Cell, float] | None = None
) -> list[Cell]:
    """Return the cells of shard ``number`` of ``of``, in plan order.

    ``durations`` is as in ``split_plan``.

    Raises:
        UsageError: there are fewer cells than shards, or no such shard.
    """
    parse_shard(f"{number}/{of}")
    selected = set(split_plan(cells, of, durations)[number - 1])
    return [cell for cell in cells if cell in selected]


def shard_header(
    header: Header,
    cells: Sequence[Cell],
    number: int,
    of: int,
    durations: Mapping[Cell, float] | None = None,
) -> Header:
    """Return the header of a shard's results, made from the ``header`` of the whole plan.

    Raises:
        UsageError: there are fewer cells than shards, or no such shard.
    """
    parse_shard(f"{number}/{of}")
    parts = split_plan(cells, of, durations)
    split = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]
    which = Shard(number, of, len(parts[number - 1]), split)
    return msgspec.structs.replace(header, shard=which)


def split_plan(
    cells: Sequence[Cell], of: int, durations: Mapping[Cell, float] | None = None
) -> list[list[Cell]]:
    """Cut a plan into parts that take equally long and share few versions.

    ``durations`` are those of earlier runs, in milliseconds.

    Few versions are split: a cut close to the end of a version moves there. So all machines
    together fetch at most ``of - 1`` versions more than the plan has. Consecutive versions mostly
    behave alike and go to different shards. That keeps the balance if no durations are known. The
    order of ``cells`` does not matter.

    Raises:
        UsageError: there are fewer cells than shards.
    """
    unplaced = set(cells)
    if not 1 <= of <= len(unplaced):
        raise UsageError(
            f"{len(unplaced)} cells cannot be split into {of} shards",
            hint="request fewer shards, but at least 1",
        )
    estimate = _estimator(durations or {})
    versions = _by_version(unplaced)
    ordered = [cell for first in range(of) for version in versions[first::of] for cell in version]
    begins = [0.0, *itertools.accumulate(map(estimate, ordered))]
    cuts = [0]
    for number in range(1, of):
        # Leave at least one cell for this shard and for each that follows.
        possible = range(cuts[-1] + 1, len(ordered) - (of - number) + 1)
        cuts.append(_boundary_index(ordered, begins, begins[-1] / of, number, possible))
    return [sorted(ordered[low:high]) for low, high in itertools.pairwise([*cuts, len(ordered)])]


class PlanPart(msgspec.Struct, frozen=True):
    """The description of a shard before it is run."""

    shard: str
    """``2/4``."""
    runtimes: str
    """Its runtimes, joined with commas."""
    versions: str
    """Its versions, in the form of ``--versions``."""
    cells: int
    seconds: int
    """The estimated duration of its cells, one by one."""

    @property
    def text(self) -> str:
        """The shard on one line."""
        versions = f": {self.versions}" if self.versions else ""
        duration_text = f"about {self.seconds} s one by one"
        return f"{self.shard}: {self.cells} cells ({duration_text}) of {self.runtimes}{versions}"


def plan_parts(
    cells: Sequence[Cell], of: int, durations: Mapping[Cell, float] | None = None
) -> list[PlanPart]:
    """Return the description of each shard of a split.

    Raises:
        UsageError: there are fewer cells than shards.
    """
    estimate = _estimator(durations or {})
    return [
        PlanPart(
            shard=f"{number}/{of}",
            runtimes=",".join(sorted({cell.runtime for cell in part})),
            versions=",".join(_versions_in(part)),
            cells=len(part),
            seconds=round(sum(map(estimate, part)) / 1000),
        )
        for number, part in enumerate(split_plan(cells, of, durations), start=1)
    ]


def plan_json(parts: Sequence[PlanPart]) -> str:
    """Return a split as JSON for ``strategy.matrix`` of GitHub Actions."""
    return msgspec.json.encode({"include": parts}).decode()


def _versions_in(cells: Iterable[Cell]) -> list[str]:
    """Return the value of ``--versions`` that selects the versions of these cells."""
    versions = sorted(
        {(c.runtime, c.version) for c in cells}, key=lambda pair: (pair[0], rank(pair[1]))
    )
    return [
        version if runtime == "bun" else f"{runtime}@{version}" for runtime, version in versions
    ]


def _by_version(cells: Iterable[Cell]) -> list[list[Cell]]:
    groups: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in sorted(cells):
        groups[cell.runtime, cell.version].append(cell)
    return [groups[key] for key in sorted(groups, key=lambda key: (key[0], rank(key[1]), key[1]))]


def _boundary_index(
    cells: Sequence[Cell],
    start_times: Sequence[float],
    share: float,
    number: int,
    allowed_range: range,
) -> int:
    """Return the index of the first cell of the shard after ``number``."""

    def distance(at: int) -> float:
        return abs(start_times[at] - number * share)

    between = [
        at
        for at in allowed_range
        if (cells[at - 1].runtime, cells[at - 1].version) != (cells[at].runtime, cells[at].version)
        and distance(at) <= share * _BOUNDARY_SLACK
    ]
    return min(between or allowed_range, key=distance)


def _estimator(durations: Mapping[Cell, float]) -> Callable[[Cell], float]:
    """Return a function that estimates the duration of a cell, in milliseconds.

    It returns the cell's own duration, else the median of its stress, else the median of all.
    """
    of_stress: dict[str, list[float]] = defaultdict(list)
    for cell, duration in durations.items():
        of_stress[cell.stress].append(duration)
    usual = statistics.median(durations.values()) if durations else _UNKNOWN_MS
    by_stress = {stress: statistics.median(duration) for stress, duration in of_stress.items()}
    return lambda cell: max(1.0, durations.get(cell, by_stress.get(cell.stress, usual)))
