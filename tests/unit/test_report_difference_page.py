"""The difference comes first on the page, needs no script, and contains no markup from results."""

from __future__ import annotations

import json
import re

from report_cells import HOSTILE, cell, patched_run, run_of

from gobun import report
from gobun.report.difference import KINDS, differences
from gobun.report.difference_page import MARKS, difference_section
from gobun.report.order import in_order
from gobun.report.packing import pack


def test_difference_comes_first_on_the_page() -> None:
    page = report.render_html(patched_run())
    body = page[page.index("</h1>") :]
    places = [
        body.index(mark)
        for mark in ('id="difference"', 'class="facts"', 'id="timeline-title"', 'id="map-title"')
    ]
    assert places == sorted(places)
    assert page.count("<table") == 1


def test_difference_without_patches_is_absent() -> None:
    page = report.render_html(run_of([cell("1.2.19", "hang")]))
    assert "What the patches change" not in page.partition("<pre")[0]
    assert difference_section(()) == ""


def test_difference_table_is_complete_without_script() -> None:
    section = difference_section(differences(patched_run()))
    rows = section.partition("<tbody")[2].split("</tr>")
    words = [" ".join(re.sub("<[^>]*>", " ", row).split()) for row in rows]
    assert "preload:suspend emulates suspend-any-stack at load time, nothing is built" in words[0]
    assert words[0].endswith("\u2191 3 0 0 = 2 - 1")
    assert words[1].startswith("bun@1.2.19+patched v1.2.19, suspend-any-stack, 0123456789abcdef")
    assert words[1].endswith("\u2191 2 \u2193 1 \u2260 1 = 1 - 1")


def test_difference_kinds_have_distinct_glyphs() -> None:
    assert tuple(MARKS) == KINDS
    assert len({glyph for glyph, _ in MARKS.values()}) == len(KINDS)


def test_difference_pairs_belong_to_their_cells() -> None:
    run = patched_run()
    pairs = differences(run)
    ordered = in_order(run.results)
    packed = json.loads(pack(run.results, pairs))["differences"]
    assert len(packed) == len(pairs)
    for pair, packed_pair in zip(pairs, packed, strict=True):
        for kind in KINDS:
            cells = [(ordered[now].cell, ordered[before].cell) for now, before in packed_pair[kind]]
            assert cells == [(now.cell, before.cell) for now, before in pair.of(kind) if before]


def test_difference_cell_missing_from_stock_has_no_number() -> None:
    run = patched_run()
    alone = cell("1.2.19+patched", "pass", treatment="patched", stress="alone")
    run = type(run)(run.header, (*run.results, alone))
    packed = json.loads(pack(run.results, differences(run)))["differences"]
    assert [before for _, before in packed[1]["not compared"]].count(-1) == 1


def test_difference_series_text_never_becomes_markup() -> None:
    page = report.render_html(patched_run(remark=HOSTILE))
    assert page.count("<img") == 0
    assert page.count("<script") == page.count("</script>") == 2
