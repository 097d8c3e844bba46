"""The page is small and self-contained, and readable in light and dark colours."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import itertools
import json
import re
from importlib import resources
from typing import TYPE_CHECKING

import msgspec
import pytest
from report_cells import HOSTILE, cell, many_results, run_of, sequence

from gobun import report
from gobun.cells.records import WORST_FIRST
from gobun.report.html import embedded_json
from gobun.report.packing import GLYPHS, HOLE, pack

if TYPE_CHECKING:
    from gobun.cells import Result

MEGABYTE = 1_000_000
AA = 4.5
AA_LARGE = 3.0
"""The contrast that WCAG requires of text, and of the edges of controls."""


class Reader(html.parser.HTMLParser):
    """Collects the elements of a page, and the text of its scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw_parts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.raw_parts.append(data)


def page(*results: Result) -> str:
    return report.render_html(run_of(results))


def unpack_texts(results: list[Result], kind: str) -> list[str]:
    """Unpack the texts as the page does."""
    packed = json.loads(pack(results))
    indices = iter(packed["texts"][kind])
    texts = []
    for template, filling in zip(indices, indices, strict=True):
        numbers = packed["fillings"][filling].split(" ")
        pieces = packed["templates"][template].split(HOLE)
        holes = itertools.chain(numbers[: len(pieces) - 1], [""])
        texts.append("".join(piece + hole for piece, hole in zip(pieces, holes, strict=True)))
    return texts


def test_html_texts_round_trip() -> None:
    texts = ["", "no number", "1.2.3 and 4", "7", "a 1.5 s b", "ends in 9"]
    results = [cell(f"1.0.{i}", detail=text) for i, text in enumerate(texts)]
    assert unpack_texts(results, "detail") == texts


def test_html_data_names_kind_and_loaded_module() -> None:
    hung = cell("1.2.19", "hang")
    storm = msgspec.structs.replace(hung, kind="livelock", mapped=True, go=True)
    packed = json.loads(pack([storm, cell("1.2.20", "skip")]))

    def shown(name: str) -> list[str]:
        return [packed["tables"][name][i] for i in packed["columns"][name]]

    assert sorted(shown("kind")) == ["", "livelock"]
    assert sorted(shown("loaded")) == ["", "mapped in the process, with a Go runtime in it"]


def test_html_ten_thousand_cells_stay_small() -> None:
    results = many_results()
    assert len(results) == 10_000
    assert len(page(*results).encode()) < 2 * MEGABYTE


@pytest.mark.slow
def test_html_long_details_stay_small() -> None:
    results = [
        cell(r.version, "crash", treatment=r.treatment, module=r.module, load=r.load,
             stress=r.stress, detail=f"{i:x} " * 700)
        for i, r in enumerate(many_results())
    ]  # fmt: skip
    assert len(page(*results).encode()) < 2 * MEGABYTE
    few = unpack_texts([cell(detail="x" * 3000)], "detail")
    assert few == ["x" * 3000]


def test_html_results_never_become_markup() -> None:
    plain = page(*sequence("phhp"))
    hostile = [
        cell(f"1.0.{i}", "hang", module=HOSTILE, stress=HOSTILE, detail=HOSTILE,
             evidence=(HOSTILE,), repro=HOSTILE, outcomes=("hang", "pass"), unexpected=True)
        for i in range(3)
    ]  # fmt: skip
    text = page(*hostile)
    tags = {tag for tag, _ in Reader(text).tags}
    assert tags == {tag for tag, _ in Reader(plain).tags}
    assert not {name for _, attrs in Reader(text).tags for name in attrs if name[:2] == "on"}
    assert text.count("<script") == text.count("</script>") == 2
    assert "\u2028" not in text.split('id="data"')[1]


def test_html_hostile_machine_never_becomes_markup() -> None:
    run = run_of([cell()])
    tools = {"go": HOSTILE, HOSTILE: "1"}
    changed = type(run)(
        type(run.header)(
            suite=HOSTILE,
            started=HOSTILE,
            host=run.header.host,
            tools=tools,
            plan="",
            cells=1,
            patched=tools,
        ),
        run.results,
    )
    assert report.render_html(changed).count("<img") == 0


def test_html_json_cannot_end_its_script() -> None:
    text = embedded_json(json.dumps({"a": "</script>\u2028<!--"}, ensure_ascii=False).encode())
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text) == {"a": "</script>\u2028<!--"}


def test_html_page_loads_nothing_external() -> None:
    text = page(*sequence("phhp"))
    reader = Reader(text)
    (policy,) = [
        attrs["content"] or ""
        for tag, attrs in reader.tags
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    style, _, script = (raw for raw in reader.raw_parts if raw.strip())
    for name, part in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert not [tag for tag, attrs in reader.tags if {"src", "style"} & attrs.keys()]
    links = {attrs["href"] or "" for tag, attrs in reader.tags if "href" in attrs}
    assert all(link.startswith("#") for link in links)
    assert not re.search(r"url\(|@import|https?:", style + script)


def test_html_without_script_shows_the_outcomes() -> None:
    text = page(*sequence("phhp"))
    assert "first bad 1.0.1 (hang), first good 1.0.3" in text
    assert "4 cells: 2 pass, 2 hang; 0 unexpected." in text
    assert "#stress=idle&amp;runtime=bun&amp;treatment=stock&amp;module=simple&amp;load=ffi" in text


def test_html_outcomes_have_distinct_glyphs() -> None:
    assert sorted(GLYPHS) == sorted(WORST_FIRST)
    assert len(set(GLYPHS.values())) == len(WORST_FIRST)


def colours(scheme: str) -> dict[str, str]:
    style = (resources.files("gobun.report") / "page" / "page.css").read_text()
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    dark = dark[: dark.index("}\n}")]
    values = re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light)
    return dict(values) | (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", dark)) if scheme == "dark" else {}
    )


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_html_colours_have_enough_contrast(scheme: str) -> None:
    palette = colours(scheme)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for outcome in WORST_FIRST:
        for ground in (outcome, f"{outcome}-stripe"):
            if ground in palette:
                assert contrast(palette[ground], palette[f"{outcome}-on"]) >= AA, ground
    for text, ground in itertools.product(("text", "quiet", "link"), ("back", "raised")):
        assert contrast(palette[text], palette[ground]) >= AA, (text, ground)
    assert contrast(palette["focus"], palette["back"]) >= AA_LARGE
