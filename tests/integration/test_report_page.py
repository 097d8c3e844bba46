"""The page in a real browser: clicks, keys and visible content."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from report_browser import Browser, chromium
from report_cells import HOSTILE, cell, many_results, patched_run, run_of

from gobun import files, matrix, report

if TYPE_CHECKING:
    from collections.abc import Iterator

CELLS = "document.querySelectorAll('.cell[aria-label]:not(.none):not(.hidden)')"
STATUS = "document.getElementById('status').textContent"
IS_OPEN_SCRIPT = "document.getElementById('detail').open"
FOCUSED = "document.activeElement.getAttribute('aria-label')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("no Chromium here; Debian has it as the package chromium")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        Browser(program, Path(profile)) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    files.write_whole(path, report.render_html(run_of(many_results())))
    return path.as_uri()


@pytest.fixture
def page(browser: Browser, large: str) -> Iterator[Browser]:
    browser.requests.clear()
    browser.complaints.clear()
    browser.size(1280, 900)
    browser.open("about:blank")
    browser.open(large)
    yield browser
    assert browser.complaints == []
    assert {url.partition("#")[0] for url in browser.requests} <= {large, "about:blank"}


def tick(page: Browser, name: str, value: str = "") -> None:
    """Click a box of the filters."""
    chosen = f"[value='{value}']" if value else ""
    page.run(f"""document.querySelector("#filters input[name='{name}']{chosen}").click()""")


def shown_count(page: Browser) -> int:
    return int(page.run(STATUS).partition(" ")[0])


def test_page_filters_show_matching_cells(page: Browser) -> None:
    results = many_results()
    assert shown_count(page) == 10_000
    tick(page, "outcome", "hang")
    assert shown_count(page) == sum(result.outcome == "hang" for result in results)
    tick(page, "treatment", "warmup")
    tick(page, "module", "simple")
    tick(page, "module", "crypto")
    expected = [
        result
        for result in results
        if result.outcome == "hang"
        and result.treatment == "warmup"
        and result.module in {"simple", "crypto"}
    ]
    assert shown_count(page) == len(expected)
    assert "outcome=hang" in page.run("location.hash")
    assert "module=simple,crypto" in page.run("location.hash")
    tick(page, "intermittent")
    assert shown_count(page) == sum(result.intermittent for result in expected)
    page.run("document.querySelector('#filters [type=reset]').click()")
    assert shown_count(page) == 10_000
    assert page.run("location.hash") == ""
    tick(page, "unexpected")
    assert shown_count(page) == sum(result.unexpected for result in results)


def test_page_search_finds_names_and_causes(page: Browser) -> None:
    def search(words: str) -> int:
        page.run(f"""(() => {{
          const box = document.querySelector('[name=q]');
          box.value = '{words}';
          box.dispatchEvent(new Event('input', {{bubbles: true}}));
        }})()""")
        return shown_count(page)

    results = many_results()
    at = [result for result in results if result.version == "1.2.19"]
    assert search("@1.2.19/") == len(at)
    assert search("@1.2.19/ sigpwr") == sum("SIGPWR" in result.detail for result in at)
    assert search("no such cell") == 0
    assert (
        page.run("document.querySelector('.empty').textContent") == "No cell matches these filters."
    )


def test_page_address_restores_the_view(page: Browser, large: str) -> None:
    cells = [result for result in many_results() if result.outcome == "crash"]
    name = cells[5].cell.name
    page.open("about:blank")
    page.open(f"{large}#outcome=crash&by=stress&q=1.3&cell={name.replace('/', '%2F')}")
    assert shown_count(page) == len(cells)
    assert page.run("document.querySelector('[name=by]').value") == "stress"
    assert page.run("document.querySelector('[name=q]').value") == "1.3"
    assert page.run(IS_OPEN_SCRIPT)
    assert page.run("document.getElementById('detail-title').textContent") == name
    page.press("Escape")
    assert not page.run(IS_OPEN_SCRIPT)
    assert "cell=" not in page.run("new Promise((d) => setTimeout(() => d(location.hash), 50))")


@pytest.mark.parametrize("hash_", ["#%", "#outcome=%zz,hang", "#nothing=1&outcome=none", "#by=x"])
def test_page_broken_address_shows_all_cells(page: Browser, large: str, hash_: str) -> None:
    page.open("about:blank")
    page.open(large + hash_)
    assert shown_count(page) == 10_000


def test_page_works_with_keyboard_alone(page: Browser) -> None:
    page.press("Tab")
    assert page.run("document.activeElement.id") == "skip"
    page.press("Enter")
    assert page.run("document.activeElement.getAttribute('role')") == "gridcell"
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp", "ArrowRight", "ArrowLeft"):
        page.press(key)
    assert page.run(FOCUSED).startswith("bun@1.0.5/stock/simple/ffi/idle: ")
    page.press("End", control=True)
    assert page.run(FOCUSED) == "bun@1.4.5: not run"
    visible_script = """(() => {
      const cell = document.activeElement.getBoundingClientRect();
      const map = document.getElementById('map').getBoundingClientRect();
      const head = document.querySelector('.head').getBoundingClientRect();
      return cell.right <= map.right && cell.bottom <= map.bottom && cell.top >= head.bottom;
    })()"""
    assert page.run(visible_script)
    page.press("Home", control=True)
    assert page.run(FOCUSED).startswith("bun@1.0.0/stock/simple/ffi/gc: ")
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.run("document.querySelectorAll('#map [tabindex=\"0\"]').length") == 1
    page.press("Enter")
    assert page.run(IS_OPEN_SCRIPT)
    page.press("Escape")
    assert not page.run(IS_OPEN_SCRIPT)
    assert page.run(FOCUSED).startswith("bun@1.0.0/stock/simple/ffi/gc: ")


def test_page_roles_form_a_grid(page: Browser) -> None:
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    roles: dict[str, list[Any]] = {}
    for node in tree:
        roles.setdefault(node.get("role", {}).get("value", ""), []).append(node)
    (grid,) = roles["grid"]
    assert grid["name"]["value"] == "Heat map"
    assert len(roles["rowheader"]) == 45
    assert roles["columnheader"]
    assert all(node["name"]["value"] for node in roles["gridcell"])
    assert {"main", "search", "status", "button", "link"} <= roles.keys()


def test_page_detail_shows_all_fields(page: Browser) -> None:
    tick(page, "intermittent")
    page.run(f"{CELLS}[0].click()")
    first = next(result for result in many_results() if result.intermittent)
    detail = page.run("document.getElementById('detail').innerText")
    for text in (
        first.cell.name,
        "intermittent hang",
        first.detail,
        "3: hang pass hang",
        "1500 ms, 5 ms of CPU, 1.0 MiB",
        first.repro,
        *(path.rpartition("/")[2] for path in first.evidence),
    ):
        assert text in detail
    links = page.run(
        "[...document.querySelectorAll('#detail a')].map((a) => a.getAttribute('href'))"
    )
    assert links == [f"./{path}".replace("@", "%40") for path in first.evidence]
    page.run("document.querySelector('[data-copy=repro]').focus()")
    page.press("Enter")
    page.run("new Promise((done) => setTimeout(done, 300))")
    assert page.run("document.getElementById('copied').textContent") == "Copied."
    assert page.run("getSelection().toString()") == first.repro


def test_page_timeline_link_shows_its_cells(page: Browser) -> None:
    page.run("document.querySelectorAll('.stress')[1].open = true")
    page.run("document.querySelector('.stress[open] a').click()")
    page.run("new Promise((done) => setTimeout(done, 100))")
    assert "stress=idle" in page.run("location.hash")
    assert 0 < shown_count(page) < 10_000


def test_page_filtering_rarely_lays_out(page: Browser) -> None:
    """Show why filtering 10,000 cells is fast, which a timed test cannot do on a busy machine."""

    def metrics() -> dict[str, float]:
        metric_list = page.call("Performance.getMetrics")["metrics"]
        return {metric["name"]: metric["value"] for metric in metric_list}

    page.call("Performance.enable")
    steps = {
        "hang": "document.querySelector('#filters [value=hang]').click()",
        "no hang": "document.querySelector('#filters [value=hang]').click()",
        "unexpected": "document.querySelector('#filters [name=unexpected]').click()",
        "all again": "document.querySelector('#filters [name=unexpected]').click()",
        "find": _find("1.2 sigpwr"),
        "find nothing": _find(""),
    }
    layouts = {}
    for name, step in steps.items():
        before = metrics()["LayoutCount"]
        page.run(f"{step}; document.body.offsetHeight")
        layouts[name] = metrics()["LayoutCount"] - before
        page.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert max(layouts.values()) < 10, layouts  # one for each cell would be 10,000


def _find(words: str) -> str:
    return f"""(() => {{
      const input = document.querySelector('[name=q]');
      input.value = '{words}';
      input.dispatchEvent(new Event('input', {{ bubbles: true }}));
    }})()"""


@pytest.mark.parametrize("width", [390, 1280])
def test_page_only_the_map_scrolls_sideways(page: Browser, width: int) -> None:
    page.size(width, 844, phone=width < 500)
    page.run("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run("document.getElementById('map').scrollWidth") > width
    page.run("document.getElementById('map').scrollLeft = 500")
    stuck = """(() => {
      const edge = (found) => Math.round(found.getBoundingClientRect().left);
      return edge(document.querySelector('.name')) - edge(document.getElementById('map'));
    })()"""
    assert 0 <= page.run(stuck) <= 2
    page.run(f"{CELLS}[0].click()")
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run("document.getElementById('detail').scrollWidth") <= width


def test_page_names_are_whole_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    canary = "1.2.19-canary.20250726.1"
    run = run_of([cell(version, "hang") for version in ("1.2.19", canary, "1.4.5")])
    tools = dict.fromkeys(("go", "zig", "node", "deno"), "1.27.3-with-a-long-version")
    path = tmp_path / "canaries.html"
    path.write_text(
        report.render_html(
            matrix.Run(msgspec.structs.replace(run.header, tools=tools), run.results)
        )
    )
    cut = "[...document.querySelectorAll('.name')].filter((it) => it.scrollWidth > it.clientWidth)"
    lines = """Math.max(...[...document.querySelectorAll('.facts dt')].map((it) => {
      const range = document.createRange();
      range.selectNodeContents(it);
      return range.getClientRects().length;
    }))"""
    for width, phone, whole in ((1280, False, 3), (390, True, 2)):
        browser.size(width, 844, phone=phone)
        browser.open("about:blank")
        browser.open(path.as_uri())
        assert 3 - browser.run(f"{cut}.length") == whole
        assert browser.run("document.querySelectorAll('.name')[1].title") == f"bun@{canary}"
        assert browser.run(lines) == 1, "a word is broken into two lines"
        # A touch screen has no arrow keys, so the page does not mention them.
        assert browser.run("document.getElementById('keys').checkVisibility()") is not phone


def test_page_dark_scheme_is_dark(page: Browser) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.run(ground) == "rgb(255, 255, 255)"
    page.dark()
    try:
        assert page.run(ground) == "rgb(20, 23, 26)"
    finally:
        page.call("Emulation.setEmulatedMedia", features=[])


@pytest.fixture
def patched(browser: Browser, tmp_path: Path) -> Iterator[Browser]:
    """A page that begins with the effect of patches."""
    path = tmp_path / "report.html"
    files.write_whole(path, report.render_html(patched_run(broken=60)))
    browser.requests.clear()
    browser.complaints.clear()
    browser.size(1280, 900)
    browser.open(path.as_uri())
    yield browser
    assert browser.complaints == []


LISTED_SCRIPT = "[...document.querySelectorAll('#pairs-list li')].map((item) => item.innerText)"
LIST_OPEN = "!document.getElementById('pairs').hidden"


def test_page_difference_opens_cells_by_keyboard(patched: Browser) -> None:
    for _ in range(2):  # the link to the map, then the first count
        patched.press("Tab")
    assert patched.run(FOCUSED) == "3 cured by bun@1.2.19 stock + preload:suspend"
    for _ in range(4):
        patched.press("Tab")
    assert patched.run(FOCUSED) == "60 broken by bun@1.2.19+patched"
    assert not patched.run(LIST_OPEN)
    patched.press("Enter")
    assert patched.run(LIST_OPEN)
    assert patched.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    lines = patched.run(LISTED_SCRIPT)
    assert len(lines) == 50
    assert lines[0].split() == [*("simple/ffi/broken-0", "\u2713", "pass", "\u2192", "H", "hang")]
    patched.run("document.getElementById('pairs-more').click()")
    assert len(patched.run(LISTED_SCRIPT)) == 60
    assert patched.run("document.getElementById('pairs-more').hidden")
    patched.run("document.querySelector('#pairs-list li button:last-of-type').focus()")
    patched.press("Enter")
    assert patched.run(IS_OPEN_SCRIPT)
    shows = "document.getElementById('detail-title').textContent"
    assert patched.run(shows) == "bun@1.2.19+patched/patched/simple/ffi/broken-0"
    patched.press("Escape")
    assert not patched.run(IS_OPEN_SCRIPT)
    assert patched.run(LIST_OPEN)
    patched.press("Escape")
    assert not patched.run(LIST_OPEN)
    assert patched.run(FOCUSED) == "60 broken by bun@1.2.19+patched"


def test_page_difference_is_a_table_on_a_phone(patched: Browser) -> None:
    for width, phone in ((1280, False), (360, True)):
        patched.size(width, 780, phone=phone)
        patched.run("document.querySelector('button.count[aria-expanded=false]').click()")
        assert patched.run("document.documentElement.scrollWidth") <= width
        # The selected row is visible, however long the table is.
        patched.run("new Promise((done) => setTimeout(done, 600))")
        assert patched.run("document.getElementById('pairs').getBoundingClientRect().top") < 780
        patched.run("scrollTo({ top: 0, behavior: 'instant' })")
        place = "document.getElementById('difference').getBoundingClientRect()"
        assert patched.run(f"{place}.top") < 350  # on the first screen
        tree = patched.call("Accessibility.getFullAXTree")["nodes"]
        roles = [node.get("role", {}).get("value", "") for node in tree]
        assert roles.count("table") == 1
        assert roles.count("cell") == 10
        # Each kind is visually above its counts.
        off = patched.run("""[...document.querySelectorAll('#difference tbody tr')].map((row) =>
          [...row.children].slice(1).map((cell, at) => Math.abs(cell.getBoundingClientRect().left
            - document.querySelectorAll('#difference thead th')[at + 1]
              .getBoundingClientRect().left)))""")
        assert all(distance < 1 for row in off for distance in row)


def test_page_hostile_results_run_no_script(page: Browser, tmp_path: Path) -> None:
    hostile = [
        cell(f"1.0.{i}", "hang", module=HOSTILE, stress=HOSTILE, detail=HOSTILE, repro=HOSTILE,
             evidence=(f"javascript:alert(1)//{i}", "//elsewhere/x"), unexpected=True)
        for i in range(3)
    ]  # fmt: skip
    path = tmp_path / "report.html"
    files.write_whole(path, report.render_html(run_of(hostile)))
    page.open(path.as_uri())
    page.run(f"{CELLS}[0].click()")
    assert page.run("document.querySelectorAll('img').length") == 0
    shows = page.run("document.getElementById('facts').textContent")
    assert "</script><img src=x onerror=alert(1)>" in shows
    links = page.run("[...document.querySelectorAll('#detail a')].map((a) => a.href)")
    assert all(link.startswith("file:///") for link in links)
    page.requests.remove(path.as_uri())
