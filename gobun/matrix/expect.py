"""What is known of cells: rows of TOML that select cells and say how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import semver

from gobun import paths
from gobun.errors import UsageError
from gobun.matrix.records import Cell, Load, Outcome, Treatment
from gobun.matrix.scenario import read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cells and their expected outcomes; a selector that is left out selects everything."""

    outcomes: tuple[Outcome, ...]
    why: str
    runtime: str | None = None
    versions: str | None = None
    """Comparators that must all hold, between spaces: ``>=1.2.2 <1.2.20``."""
    treatments: tuple[Treatment, ...] | None = None
    modules: tuple[str, ...] | None = None
    loads: tuple[Load, ...] | None = None
    stresses: tuple[str, ...] | None = None

    @property
    def specificity(self) -> int:
        """How many selectors it has."""
        selectors = (self.runtime, self.versions, self.treatments, self.modules)
        return sum(given is not None for given in (*selectors, self.loads, self.stresses))

    def selects(self, cell: Cell) -> bool:
        """Return whether this row speaks of ``cell``."""
        return (
            self.runtime in {None, cell.runtime}
            and (self.treatments is None or cell.treatment in self.treatments)
            and (self.modules is None or cell.module in self.modules)
            and (self.loads is None or cell.load in self.loads)
            and (self.stresses is None or cell.stress in self.stresses)
            and (self.versions is None or _in_range(cell.version, self.versions))
        )


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    expect: tuple[Row, ...] = ()


class Expectations(msgspec.Struct, frozen=True):
    """All that is known; what no row selects is expected to pass."""

    rows: tuple[Row, ...] = ()

    def of(self, cell: Cell) -> tuple[Outcome, ...]:
        """Return the outcomes that are expected of ``cell``.

        Raises:
            UsageError: two rows that are equally specific disagree.
        """
        selecting = [row for row in self.rows if row.selects(cell)]
        if not selecting:
            return ("pass",)
        most = max(row.specificity for row in selecting)
        best = [row for row in selecting if row.specificity == most]
        if len({frozenset(row.outcomes) for row in best}) > 1:
            whys = "; ".join(f"{'/'.join(row.outcomes)}: {row.why}" for row in best)
            raise UsageError(
                f"expectations contradict each other on {cell.name}: {whys}",
                hint="give one of the rows another selector",
            )
        return best[0].outcomes


def read_expectations(folder: Path | None = None) -> Expectations:
    """Read every ``*.toml`` of a folder, by default ``expectations/``.

    Raises:
        UsageError: a file is not of the right form.
    """
    rows: list[Row] = []
    for path in sorted((folder or paths.EXPECTATIONS).glob("*.toml")):
        for number, row in enumerate(read_toml(path, _File).expect, start=1):
            if row.versions is not None:
                _check_range(row.versions, f"{path}: row {number} of [[expect]]")
            rows.append(row)
    return Expectations(tuple(rows))


def _comparators(versions: str) -> Sequence[str]:
    return versions.split()


def _in_range(version: str, versions: str) -> bool:
    # A canary counts as its release: it carries the change that the release will have, or not yet.
    found = semver.Version.parse(version).finalize_version()
    return all(found.match(comparator) for comparator in _comparators(versions))


def _check_range(versions: str, where: str) -> None:
    try:
        matched = [semver.Version(0).match(part) for part in _comparators(versions)]
    except ValueError:
        matched = []
    if not matched:
        raise UsageError(
            f"{where}: versions = {versions!r} is not a range",
            hint="write comparators between spaces, as '>=1.2.2 <1.2.20'",
        )
