"""The table of what helps, and the rows of it that fit a diagnosis."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from gobun.diagnose.records import Help, Kind
from gobun.diagnose.runtime import parts_of
from gobun.errors import UsageError

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


def _read(table: Path) -> _Table:
    try:
        return msgspec.convert(tomllib.loads(table.read_text()), _Table)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{table}: {error}") from error


def in_range(version: str, span: str) -> bool:
    """Whether a version lies in a range as ``<=1.2.1 || >=1.2.3 <1.2.20``; not, if unknown."""
    parts = parts_of(version)
    return bool(parts) and any(
        all(_fits(parts, clause) for clause in either.split()) for either in span.split("||")
    )


def _fits(parts: tuple[int, ...], clause: str) -> bool:
    sign = clause.rstrip("0123456789.")
    bound = parts_of(clause[len(sign) :])
    fits = {
        ">=": parts >= bound,
        "<=": parts <= bound,
        ">": parts > bound,
        "<": parts < bound,
        "=": parts == bound,
    }
    if sign not in fits or not bound:
        raise UsageError(f"{clause!r} is not a clause of a range", hint="write >=1.2.3 or <2.0.0")
    return fits[sign]
