"""Reviews expectations: which rows results contradict or never reach, and which lack a reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gobun.cells.records import attempts_of, telling_outcomes
from gobun.expectations.catalogue import unmatchable_selectors
from gobun.expectations.rows import TODO_REASON

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gobun.cells.records import Outcome, Result
    from gobun.expectations.catalogue import Catalogue
    from gobun.expectations.rows import ExpectationRow, Expectations

_CLAIM = re.compile(r"\bC\d+\b")
_LINK = re.compile(r"https?://\S+")
_NEVER_UNEXPECTED = "skip"


def is_unexpected(expected: Sequence[Outcome], attempts: Iterable[Outcome]) -> bool:
    """Return whether an attempt ended with an unexpected outcome. A skip is never unexpected."""
    return any(outcome not in expected for outcome in attempts if outcome != _NEVER_UNEXPECTED)


def review(
    expectations: Expectations, results: Sequence[Result], *, catalogue: Catalogue | None = None
) -> list[str]:
    """Return a line for every reason that these results give to review a row.

    A row is listed if it selects no cell of the run, if a cell ended with an outcome that the row
    does not list, or if the row has no reason yet. Most runs cover only some of the cells that rows
    select. So with ``catalogue``, a row without a cell is listed only if ``catalogue`` shows that
    no cell can match it.

    Raises:
        UsageError: two rows contradict each other on a cell.
    """
    cells = [result.cell for result in results]
    lines = []
    for absent in expectations.unmatched_rows(cells):
        reasons = (
            [""]
            if catalogue is None
            else [f": {why}" for why in unmatchable_selectors(absent, catalogue)]
        )
        lines += [f"{absent.location} matches no cell of this run{why}" for why in reasons]
    decided: dict[ExpectationRow, list[Result]] = {}
    for result in results:
        row = expectations.row(result.cell)
        if row is not None and telling_outcomes(result):
            decided.setdefault(row, []).append(result)
    for row, of_row in decided.items():
        passed = sum(set(attempts_of(result)) == {"pass"} for result in of_row)
        if passed and "pass" not in row.outcomes:
            end = "can go" if passed == len(of_row) else "can be narrowed"
            lines.append(
                f"{row.location}: this expectation {end}, {passed} of its {len(of_row)} cells pass"
            )
        contradicted = [
            outcomes for result in of_row if (outcomes := _unexpected_outcomes(row, result))
        ]
        if contradicted:
            lines.append(
                f"{row.location} expects {'/'.join(row.outcomes)}, and {len(contradicted)} of its "
                f"{len(of_row)} cells end otherwise: {'/'.join(sorted(set().union(*contradicted)))}"
            )
    return [
        *lines,
        *(f"{row.location} has no reason yet" for row in unexplained_rows(expectations)),
    ]


def _unexpected_outcomes(row: ExpectationRow, result: Result) -> set[str]:
    """Return the outcomes that the row does not list; empty if every attempt passed."""
    outcomes = {str(outcome) for outcome in attempts_of(result)} - {_NEVER_UNEXPECTED}
    return set() if outcomes == {"pass"} else outcomes - set(row.outcomes)


def unexplained_rows(expectations: Expectations) -> list[ExpectationRow]:
    """Return the rows that still lack a reason."""
    return [
        row
        for row in expectations.rows
        if row.why.strip().startswith(TODO_REASON.partition(":")[0])
    ]


def lint(
    expectations: Expectations,
    *,
    claims: Collection[str] | None = None,
    catalogue: Catalogue | None = None,
) -> list[str]:
    """Return the errors in rows that are valid TOML.

    It checks the ids of ``claims`` and the names in ``catalogue``, if they are given.
    """
    lines = []
    for row in expectations.rows:
        ids = _CLAIM.findall(row.why)
        if row in unexplained_rows(expectations):
            lines.append(f"{row.location}: why = {row.why!r} is not a reason")
        elif not ids and not _LINK.search(row.why):
            lines.append(f"{row.location}: why has neither a link nor the id of a claim")
        unknown = [name for name in ids if claims is not None and name not in claims]
        lines += [f"{row.location}: why names the unknown {name!r}" for name in unknown]
        if catalogue is not None:
            lines += [f"{row.location}: {why}" for why in unmatchable_selectors(row, catalogue)]
    return lines
