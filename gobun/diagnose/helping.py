"""The table of what helps, and the rows of it that fit a diagnosis."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from gobun.diagnose.records import Help, Kind
from gobun.errors import UsageError
from gobun.ranges import in_range, spans
from gobun.tables import read_toml

_TABLE = Path(__file__).with_name("help.toml")


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kinds: tuple[Kind, ...]
    do: str
    costs: str = ""
    runtime: str = ""
    versions: str = ""
    armed: bool | None = None


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    copes: str
    """Releases of Bun whose suspend handler works on an alternate stack too."""
    help: tuple[_Row, ...]


def help_for(
    kind: Kind, runtime: str, version: str, *, armed: bool, table: Path = _TABLE
) -> tuple[Help, ...]:
    """Return what helps, the smallest first.

    Raises:
        UsageError: the table is not of the right form.
    """
    rows = _read(table).help
    return tuple(
        Help(row.do, row.costs)
        for row in rows
        if kind in row.kinds
        and row.runtime in {"", runtime}
        and row.armed in {None, armed}
        and (not row.versions or in_range(version, row.versions))
    )


def copes(version: str, table: Path = _TABLE) -> bool:
    """Whether this Bun's suspend handler works on an alternate stack too; not, if unknown."""
    return in_range(version, _read(table).copes)


@functools.cache
def _read(table: Path) -> _Table:
    found = read_toml(table, _Table)
    named = {"copes": found.copes}
    for number, row in enumerate(found.help, start=1):
        if row.versions:
            named[f"row {number} of [[help]]: versions"] = row.versions
    for where, text in named.items():
        try:
            spans(text)
        except ValueError as error:
            raise UsageError(f"{table}: {where} = {text!r} is not a range: {error}") from error
    return found
