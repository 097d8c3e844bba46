"""MkDocs hooks: pages that live outside of ``docs/``, generated pages, and the links between them.

A page links another as GitHub shows it, so that both GitHub and the site can follow the link.
"""

from __future__ import annotations

import os.path
import posixpath
import re
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from docsite.example import example_report
from docsite.reference import reference_pages
from gobun import paths

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "js/go-warmup/README.md": "go-warmup.md",
}
"""Pages outside of ``docs/``, by path in the repository, and their path in the site."""

EXAMPLE = "example/report.html"
SOURCES = "source"
"""The folder of the site with the source files that pages link."""
_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the source files that are not in ``docs/``."""
    for source, path in OUTSIDE.items():
        files.append(File.generated(config, path, abs_src_path=str(paths.ROOT / source)))
    for path, text in reference_pages().items():
        files.append(File.generated(config, path, content=text))
    for source in linked_sources():
        path = f"{SOURCES}/{source}"
        files.append(File.generated(config, path, abs_src_path=str(paths.ROOT / source)))
    files.append(File.generated(config, EXAMPLE, content=example_report()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Replace each relative link by the address of its page on the site."""
    return site_links(markdown, page.file.src_uri)


def linked_sources() -> list[str]:
    """Return the paths, in the repository, of the source files that a page links."""
    pages = [*(paths.ROOT / "docs").glob("*.md"), *(paths.ROOT / path for path in OUTSIDE)]
    sources = {
        _resolve_link(page.relative_to(paths.ROOT).as_posix(), link["path"])
        for page in pages
        for link in _LINK.finditer(_FENCE.sub("", page.read_text()))
    }
    others = {path for path in sources if not path.startswith("docs/")} - OUTSIDE.keys()
    return sorted(path for path in others if (paths.ROOT / path).is_file())


def _resolve_link(page: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def site_links(markdown: str, page: str) -> str:
    """Return Markdown whose links lead from ``page`` of the site to other pages of the site."""
    source = next(
        (path for path, site_path in OUTSIDE.items() if site_path == page), f"docs/{page}"
    )
    fences = [match.span() for match in _FENCE.finditer(markdown)]

    def move_link(link: re.Match[str]) -> str:
        if any(start <= link.start() < end for start, end in fences):
            return link[0]
        target = _resolve_link(source, link["path"])
        in_docs = target.removeprefix("docs/")
        site_path = OUTSIDE.get(target) or (in_docs if in_docs != target else f"{SOURCES}/{target}")
        return os.path.relpath(site_path, posixpath.dirname(page) or ".") + (link["anchor"] or "")

    return _LINK.sub(move_link, markdown)
