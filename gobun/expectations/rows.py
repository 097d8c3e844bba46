"""The expectations of cells: rows of TOML that select cells and list their expected outcomes."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun import paths
from gobun.cells.records import Cell, Load, Outcome
from gobun.errors import PrerequisiteError, UsageError
from gobun.targets import host_arch, host_target
from gobun.toml_config import read_toml
from gobun.treatments import TreatmentName
from gobun.version_ranges import in_range, parse_range

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gobun.cells.records import Host

TODO_REASON = "TODO: reason"
"""The reason of a row that was written from results and still lacks a real reason."""


class Place(msgspec.Struct, frozen=True):
    """The platform that cells run on, with Node's names for systems and processors."""

    os: str
    arch: str
    libc: str = ""
    """``glibc`` or ``musl``; empty outside Linux, or if unknown."""


def this_place() -> Place:
    """Return the place of this process."""
    try:
        host = host_target()
    except PrerequisiteError:  # nothing is built for this platform, but results can be read
        return Place(sys.platform, host_arch())
    return Place(host.os, host.arch, host.libc)


def place_of(host: Host) -> Place:
    """Return the place of results. Old results lack the processor, so they get this machine's."""
    return Place(host.os, host.arch or this_place().arch, host.libc_name)


class ExpectationFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cells and their expected outcomes; an omitted selector selects everything."""

    outcomes: tuple[Outcome, ...]
    """The permitted outcomes: every attempt must end in one of them. Several mean that all
    occur."""
    why: str
    """The reason, with a link or the id of a claim."""
    runtime: str | None = None
    os: Literal["linux", "darwin"] | None = None
    arch: Literal["x64", "arm64"] | None = None
    libc: Literal["glibc", "musl"] | None = None
    versions: str | None = None
    """A version range in the syntax of ``gobun.version_ranges``."""
    treatments: tuple[TreatmentName, ...] | None = None
    modules: tuple[str, ...] | None = None
    loads: tuple[Load, ...] | None = None
    stresses: tuple[str, ...] | None = None


SELECTORS = (
    *("runtime", "os", "arch", "libc", "versions"),
    *("treatments", "modules", "loads", "stresses"),
)
LISTS = ("treatments", "modules", "loads", "stresses")
AXES = ("treatment", "module", "load", "stress")
"""The field of a cell for each entry of ``LISTS``."""


class ExpectationRow(ExpectationFields, frozen=True):
    """A table of a file, and its location."""

    location: str = "a row made by hand"
    """The file, and the number of the row in it."""

    @property
    def specificity(self) -> int:
        """The number of its selectors."""
        return sum(getattr(self, name) is not None for name in SELECTORS)

    def selects_place(self, place: Place) -> bool:
        """Return whether this row applies to ``place``."""
        selectors = ((self.os, place.os), (self.arch, place.arch), (self.libc, place.libc))
        return all(selector in {None, value} for selector, value in selectors)

    def selects_values(self, values: Sequence[str]) -> bool:
        """Return whether this row applies to a treatment, module, load and stress."""
        selectors = (self.treatments, self.modules, self.loads, self.stresses)
        return all(
            names is None or value in names for names, value in zip(selectors, values, strict=True)
        )

    def selects_version(self, version: str) -> bool:
        """Return whether this row applies to ``version``."""
        return self.versions is None or in_range(version, self.versions)

    def selects(self, cell: Cell, place: Place) -> bool:
        """Return whether this row applies to ``cell`` in ``place``."""
        return (
            self.runtime in {None, cell.runtime}
            and self.selects_place(place)
            and self.selects_values((cell.treatment, cell.module, cell.load, cell.stress))
            and self.selects_version(cell.version)
        )

    def agrees_with(self, other: ExpectationRow) -> bool:
        """Return whether both rows expect the same outcomes."""
        return set(self.outcomes) == set(other.outcomes)


class RowIndex:
    """Finds the rows for a treatment, module, load and stress, without a test of each row.

    A run looks up every cell of its plan, and an update looks up every possible cell.
    """

    def __init__(self, rows: Sequence[ExpectationRow]) -> None:
        """Record which rows select each value of each axis, as bit masks (bit 0: first row)."""
        self.specificities = [row.specificity for row in rows]
        self._of_all = [0] * len(LISTS)
        self._of_value: list[dict[str, int]] = [{} for _ in LISTS]
        for bit, row in enumerate(rows):
            for axis, name in enumerate(LISTS):
                values: tuple[str, ...] | None = getattr(row, name)
                if values is None:
                    self._of_all[axis] |= 1 << bit
                for value in values or ():
                    self._of_value[axis][value] = self._of_value[axis].get(value, 0) | 1 << bit

    def matching_rows(self, values: Sequence[str]) -> list[int]:
        """Return the indices of the rows that apply to a treatment, module, load and stress."""
        bits = -1
        for axis, value in enumerate(values):
            bits &= self._of_all[axis] | self._of_value[axis].get(value, 0)
        return [at for at in range(bits.bit_length()) if bits >> at & 1]


class Expectations(msgspec.Struct, frozen=True, dict=True):
    """All expectations; a cell that no row selects is expected to pass."""

    rows: tuple[ExpectationRow, ...] = ()
    place: Place = msgspec.field(default_factory=this_place)

    @functools.cached_property
    def _index(self) -> RowIndex:
        return RowIndex(self.rows)

    def row(self, cell: Cell) -> ExpectationRow | None:
        """Return the row that decides on ``cell``: the most specific of those that select it.

        Raises:
            UsageError: two rows that are equally specific disagree.
        """
        values = (cell.treatment, cell.module, cell.load, cell.stress)
        selecting = [
            (self._index.specificities[at], self.rows[at])
            for at in self._index.matching_rows(values)
            if self.rows[at].selects(cell, self.place)
        ]
        if not selecting:
            return None
        most = max(specificity for specificity, _ in selecting)
        best = [row for specificity, row in selecting if specificity == most]
        for other in best[1:]:
            if not other.agrees_with(best[0]):
                raise contradiction(best[0], other, cell.name)
        return best[0]

    def of(self, cell: Cell) -> tuple[Outcome, ...]:
        """Return the expected outcomes of ``cell``.

        Raises:
            UsageError: two rows that are equally specific disagree.
        """
        row = self.row(cell)
        return row.outcomes if row else ("pass",)

    def reason_for(self, cell: Cell) -> str:
        """Return the reason for the expectation of ``cell``; empty if no row selects it.

        Raises:
            UsageError: two rows that are equally specific disagree.
        """
        row = self.row(cell)
        return row.why if row else ""

    def unmatched_rows(self, cells: Iterable[Cell]) -> tuple[ExpectationRow, ...]:
        """Return the rows that select none of ``cells``.

        Raises:
            UsageError: two rows that are equally specific disagree on one of ``cells``.
        """
        remaining = list(self.rows)
        for cell in cells:
            self.row(cell)
            remaining = [row for row in remaining if not row.selects(cell, self.place)]
        return tuple(remaining)


def contradiction(first: ExpectationRow, second: ExpectationRow, cell_name: str) -> UsageError:
    """Return the error for two equally specific rows that disagree."""
    texts = " and ".join(
        f"{row.location} ({'/'.join(row.outcomes)}: {row.why})" for row in (first, second)
    )
    return UsageError(
        f"expectations contradict each other on {cell_name}: {texts}",
        hint="give one of the two rows another selector, or narrow its range",
    )


def read_expectations(folder: Path | None = None, *, place: Place | None = None) -> Expectations:
    """Read every ``*.toml`` of a folder, by default ``expectations/``.

    ``place`` is the platform of the cells, by default this process's.

    Raises:
        UsageError: a file has the wrong form, or two rows always contradict each other.
    """
    rows: list[ExpectationRow] = []
    for path in sorted((folder or paths.EXPECTATIONS).glob("*.toml")):
        rows += read_rows(path)
    known_rows: dict[tuple[object, ...], ExpectationRow] = {}
    for row in rows:
        other = known_rows.setdefault(_selection(row), row)
        if not row.agrees_with(other):
            raise contradiction(other, row, "every cell they select")
    return Expectations(tuple(rows), place or this_place())


class _ExpectationsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    expect: tuple[ExpectationFields, ...] = ()


def read_rows(path: Path) -> list[ExpectationRow]:
    """Read the rows of one file.

    Raises:
        UsageError: it has the wrong form. The error names the file, the table and the key.
    """
    rows = []
    for number, table in enumerate(read_toml(path, _ExpectationsFile).expect, start=1):
        row = ExpectationRow(
            **msgspec.structs.asdict(table), location=f"{path}: row {number} of [[expect]]"
        )
        _check(row)
        rows.append(row)
    return rows


def _check(row: ExpectationRow) -> None:
    for name in ("outcomes", *LISTS):
        values: tuple[str, ...] | None = getattr(row, name)
        if values is None:
            continue
        if not values:
            raise UsageError(f"{row.location}: {name} = [] selects no cell", hint="leave it out")
        repeated = {value for value in values if values.count(value) > 1}
        if repeated:
            raise UsageError(
                f"{row.location}: {name} lists {min(repeated)!r} twice", hint="remove one of them"
            )
    if row.versions is not None:
        try:
            parse_range(row.versions)
        except ValueError as error:
            raise UsageError(
                f"{row.location}: versions = {row.versions!r} is not a range: {error}",
                hint="write comparators between spaces, as '>=1.2.2 <=1.2.19', and || between two",
            ) from error


def _selection(row: ExpectationRow) -> tuple[object, ...]:
    values = (getattr(row, name) for name in SELECTORS)
    return tuple(frozenset(value) if isinstance(value, tuple) else value for value in values)
