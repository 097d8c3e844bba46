"""Renders the effect of patches as the first table of the page. A script opens the cells."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from gobun.report.difference import KINDS, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.report.difference import Difference

MARKS: dict[Kind, tuple[str, str]] = {
    "cured": ("\u2191", "pass"),
    "broken": ("\u2193", "hang"),
    "changed": ("\u2260", "timeout"),
    "unchanged": ("=", "skip"),
    "not compared": ("-", "skip"),
}
"""A glyph, which distinguishes kinds without colour, and the outcome that has the same colours."""


def difference_section(differences: Sequence[Difference]) -> str:
    """Return the section, or ``""`` if the run compares no patches.

    ARIA roles are explicit, because the style of a narrow page changes the layout of the table.
    Browsers then drop the implied roles.
    """
    if not differences:
        return ""
    heads = "".join(
        f'<th role="columnheader" scope="col">{_mark(kind)} {kind}</th>' for kind in KINDS
    )
    rows = "".join(_row(number, difference) for number, difference in enumerate(differences))
    return (
        '<section aria-labelledby="difference-title">'
        '<h2 id="difference-title">What the patches change</h2>'
        '<p class="note">Each patched Bun is compared with the stock binary of the same release, '
        "on the same cells of this run. A cell is cured if it passes in every attempt and did not "
        "pass in stock.</p>"
        '<table id="difference" role="table" aria-labelledby="difference-title">'
        '<thead role="rowgroup"><tr role="row">'
        f'<th role="columnheader" scope="col">patched</th>{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
        '<div id="pairs" role="region" aria-labelledby="pairs-title" hidden>'
        '<div class="bar"><h3 id="pairs-title"></h3>'
        '<button type="button" id="pairs-close">Close</button></div><ol id="pairs-list"></ol>'
        '<button type="button" id="pairs-more" hidden></button></div></section>'
    )


def _row(number: int, difference: Difference) -> str:
    counts = "".join(_count(number, difference, kind) for kind in KINDS)
    return (
        f'<tr role="row"><th role="rowheader" scope="row"><b>{html.escape(difference.title)}</b>'
        f" <span>{html.escape(difference.remark)}</span></th>{counts}</tr>"
    )


def _count(number: int, difference: Difference, kind: Kind) -> str:
    count = len(difference.of(kind))
    if not count:
        return '<td role="cell"><span class="count">0</span></td>'
    glyph, colours = MARKS[kind]
    # Plain text for a page without scripts. The script turns it into a button.
    return (
        f'<td role="cell"><span class="count {colours}" data-of="{number}" data-kind="{kind}">'
        f'<span aria-hidden="true">{glyph}</span> {count}</span></td>'
    )


def _mark(kind: Kind) -> str:
    glyph, colours = MARKS[kind]
    return f'<span class="mark {colours}" aria-hidden="true">{glyph}</span>'
