"""Every relative link between the Markdown files leads to a file, and every anchor to a heading."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from gobun import paths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<text>.+)$", re.MULTILINE)
_EXTERNAL_LINK = re.compile(r"[a-z]+:")
_README_WORDS = 900


def pages() -> list[Path]:
    patterns = ("*.md", "docs/**/*.md", "js/*/*.md", "native/*.md", "go/*.md", ".github/**/*.md")
    return sorted(path for pattern in patterns for path in paths.ROOT.glob(pattern))


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, spelled as GitHub spells them."""
    names: Counter[str] = Counter()
    for heading in _HEADING.finditer(_FENCE.sub("", text)):
        plain = _LINK.sub("]", heading["text"]).lower()
        names[re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")] += 1
    return {f"{name}-{n}" if n else name for name, count in names.items() for n in range(count)}


def broken_links(page: Path) -> Iterator[str]:
    """Yield the relative links of a page that lead nowhere."""
    for link in _LINK.finditer(_FENCE.sub("", page.read_text())):
        name, _, anchor = link["target"].partition("#")
        target = page.parent / name if name else page
        if _EXTERNAL_LINK.match(name):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            yield link["target"]


def test_markdown_links_resolve() -> None:
    wrong = {str(page.relative_to(paths.ROOT)): list(broken_links(page)) for page in pages()}
    assert {page: links for page, links in wrong.items() if links} == {}


def test_markdown_broken_link_and_anchor_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`: three?\n[a](#one-two-three) [b](#gone) [c](gone.md) [d](page.md#gone)\n"
        "[e](https://example.com/#gone) [f](page.md)\n```\n# no heading\n[g](code.md)\n```\n"
        "[h](#no-heading)\n"
    )
    assert list(broken_links(page)) == ["#gone", "gone.md", "page.md#gone", "#no-heading"]


def test_readme_has_at_most_900_words() -> None:
    assert len((paths.ROOT / "README.md").read_text().split()) <= _README_WORDS


def test_every_page_is_linked_from_the_readme() -> None:
    text = (paths.ROOT / "README.md").read_text()
    docs = {f"docs/{page.name}" for page in (paths.ROOT / "docs").glob("*.md")}
    assert {page for page in docs if f"({page}" not in text} == set()


@pytest.mark.parametrize("folder", ["native", "go"])
def test_index_of_sources_names_every_folder(folder: str) -> None:
    index = (paths.ROOT / folder / "README.md").read_text()
    folders = {f"{path.name}/" for path in (paths.ROOT / folder).iterdir() if path.is_dir()}
    assert set(re.findall(r"^\| `([\w]+/)` \|", index, re.MULTILINE)) == folders
