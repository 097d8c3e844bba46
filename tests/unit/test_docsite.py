"""The documentation site: its generated pages are complete, and its links work."""

from __future__ import annotations

import re

import pytest
import yaml

import tasks
from docsite import example, hooks, reference
from gobun import cells, errors, paths
from gobun.cells import records
from gobun.treatments import TREATMENTS

FIXTURE_BYTES = 50_000
PICTURE_BYTES = 60 * 1024


class _Loader(yaml.SafeLoader):
    """Reads ``mkdocs.yml``, and ignores tags that only MkDocs can resolve."""


_Loader.add_multi_constructor("!", lambda *_: None)
_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def nav_paths(entry: object) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    if isinstance(entry, dict):
        return [path for value in entry.values() for path in nav_paths(value)]
    assert isinstance(entry, list)
    return [path for each in entry for path in nav_paths(each)]


def test_nav_every_page_is_listed_once() -> None:
    config = yaml.load((paths.ROOT / "mkdocs.yml").read_text(), Loader=_Loader)  # noqa: S506 - ours
    docs = paths.ROOT / "docs"
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    pages |= {*hooks.OUTSIDE.values(), *reference.reference_pages()}
    listed = nav_paths(config["nav"])
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize(
    ("page", "link", "target"),
    [
        ("guard.md", "why-it-hangs.md#the-cause", "why-it-hangs.md#the-cause"),
        ("guard.md", "../CONTRIBUTING.md", "contributing.md"),
        ("guard.md", "../native/asherah/asherah.d.ts", "source/native/asherah/asherah.d.ts"),
        ("index.md", "docs/guard.md#the-cure", "guard.md#the-cure"),
        ("go-warmup.md", "../../docs/loader.md", "loader.md"),
        ("guard.md", "https://example.com/x.md", "https://example.com/x.md"),
        ("guard.md", "#the-cure", "#the-cure"),
    ],
)
def test_site_links_follow_moved_pages(page: str, link: str, target: str) -> None:
    assert hooks.site_links(f"[text]({link})", page) == f"[text]({target})"


def test_site_links_inside_fence_stay() -> None:
    text = "```\n[a](../CONTRIBUTING.md)\n```\n"
    assert hooks.site_links(text, "guard.md") == text


def test_linked_sources_are_files_outside_docs() -> None:
    sources = hooks.linked_sources()
    assert "native/asherah/asherah.d.ts" in sources
    assert all((paths.ROOT / source).is_file() for source in sources)


def test_reference_names_everything_in_the_code() -> None:
    pages = reference.reference_pages()
    headings = set(re.findall(r"^### (.+)$", pages["reference/tasks.md"], re.MULTILINE))
    assert headings == {
        task.name.replace("_", "-") for group in tasks.GROUPS.values() for task in group
    }
    scenario = cells.read_scenario()
    names = {*scenario.stress, *cells.OUTCOMES, *TREATMENTS, *cells.LOADS}
    assert {name for name in names if f"`{name}`" not in pages["reference/matrix.md"]} == set()
    codes = {str(each.exit_code) for each in errors.GobunError.__subclasses__()}
    rows = re.findall(r"^\| (\d+) \|", pages["reference/exit-codes.md"], re.MULTILINE)
    assert set(rows) == codes | {"0", "130"}


@pytest.mark.parametrize(
    "record",
    [records.Header, records.Host, records.Shard, records.Result],
    ids=lambda record_type: record_type.__name__,
)
def test_schema_every_field_has_a_meaning(record: type[object]) -> None:
    fields = list(reference.fields_of(record))
    assert fields
    assert [name for name, _, meaning in fields if not meaning] == []


def test_table_bars_and_breaks_stay_in_their_row() -> None:
    text = reference.table(("a", "b"), [("x | y", "one\ntwo")])
    assert text == "| a | b |\n| --- | --- |\n| x \\| y | one two |"


def test_example_report_renders_recorded_run() -> None:
    assert example.RECORDED_RESULTS.stat().st_size < FIXTURE_BYTES
    run = example.recorded_run()
    assert run.header.plan == cells.plan_hash([result.cell for result in run.results])
    assert run.header.cells == len(run.results)
    assert "bun@1.2.19" in example.example_report()


def test_example_picture_is_small_webp() -> None:
    data = (paths.ROOT / "docs" / "example" / "report.webp").read_bytes()
    assert len(data) <= PICTURE_BYTES
    assert (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
