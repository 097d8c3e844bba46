"""Reads the table of remedies, and selects the rows that fit a diagnosis."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from gobun.diagnose.records import Kind, Remedy
from gobun.errors import UsageError
from gobun.toml_config import read_toml
from gobun.version_ranges import in_range, parse_range

_TABLE = Path(__file__).with_name("remedies.toml")


class _RemedyRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kinds: tuple[Kind, ...]
    do: str
    costs: str = ""
    runtime: str = ""
    versions: str = ""
    armed: bool | None = None
    taken: bool | None = None


class _RemedyTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    copes: str
    """Releases of Bun whose suspend handler also works on an alternate stack."""
    help: tuple[_RemedyRow, ...]


def remedies_for(
    kind: Kind,
    runtime: str,
    version: str,
    *,
    armed: bool,
    handler_is_lost: bool = False,
    table: Path = _TABLE,
) -> tuple[Remedy, ...]:
    """Return the remedies for a runtime's version, the smallest first.

    ``armed`` is whether a suspension of the main thread hangs the process.

    Raises:
        UsageError: the table has the wrong form.
    """
    rows = _read_remedies(table).help
    return tuple(
        Remedy(row.do, row.costs)
        for row in rows
        if kind in row.kinds
        and row.runtime in {"", runtime}
        and row.armed in {None, armed}
        and row.taken in {None, handler_is_lost}
        and (not row.versions or in_range(version, row.versions))
    )


def is_fixed_in(version: str, table: Path = _TABLE) -> bool:
    """Whether this Bun's suspend handler also works on an alternate stack; false if unknown.

    Raises:
        UsageError: the table has the wrong form.
    """
    return in_range(version, _read_remedies(table).copes)


@functools.cache
def _read_remedies(table: Path) -> _RemedyTable:
    remedies = read_toml(table, _RemedyTable)
    named = {"copes": remedies.copes}
    for number, row in enumerate(remedies.help, start=1):
        if row.versions:
            named[f"row {number} of [[help]]: versions"] = row.versions
    for where, text in named.items():
        try:
            parse_range(text)
        except ValueError as error:
            raise UsageError(
                f"{table}: {where} = {text!r} is not a range: {error}",
                hint='write it like ">=1.2.2 <=1.2.19"',
            ) from error
    return remedies
