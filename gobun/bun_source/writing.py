"""Writes ``series.toml`` so that what a person wrote in it stays as they wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import tomlkit
from tomlkit.items import AoT, Table

if TYPE_CHECKING:
    from collections.abc import Sequence


class Entry(Protocol):
    """What stands in a series of one patch."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def title(self) -> str:
        """The first line of its commit."""

    @property
    def why(self) -> str:
        """The rest of its commit."""

    @property
    def files(self) -> tuple[str, ...]:
        """What it touches."""


def rewritten(
    text: str,
    version: str,
    entries: Sequence[Entry],
    *,
    without: Sequence[dict[str, str]] = (),
) -> str:
    """Return ``text`` with the patches of Bun being ``entries``, in that order.

    Patches of WebKit and everything that a commit does not know stay; a new patch is added with
    what is known of it. An unchanged series comes out as it was, byte for byte.
    """
    document = tomlkit.parse(text)
    if "version" not in document:
        document["version"] = version
        document["about"] = f"Patches on Bun {version}"
    renamed = str(document["version"]) != version
    if renamed:
        document["version"] = version
    found = document.get("patch")
    tables: list[Table] = list(found) if isinstance(found, AoT) else []
    if _describe(tables) == _wanted(entries) and not without and not renamed:
        return text
    by_id = {str(table["id"]): table for table in tables}
    listed = [_updated(by_id.get(entry.id), entry) for entry in entries]
    listed += [table for table in tables if table.get("tree", "bun") != "bun"]
    others = document.get("without")
    rest: list[Table] = list(others) if isinstance(others, AoT) else []
    _put(document, "patch", listed)
    _put(document, "without", [*rest, *(_table(each) for each in without)])
    return tomlkit.dumps(document)


def _put(document: tomlkit.TOMLDocument, name: str, tables: Sequence[Table]) -> None:
    """Put ``tables`` at the document's end, in the place of what has that name."""
    if name in document:
        document.remove(name)
    if tables:
        document[name] = tomlkit.aot()
        for table in tables:
            document[name].append(table)


def _describe(tables: Sequence[Table]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [
        (str(t["id"]), str(t["title"]), str(t["why"]), tuple(str(path) for path in t["files"]))
        for t in tables
        if t.get("tree", "bun") == "bun"
    ]


def _wanted(entries: Sequence[Entry]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(entry.id, entry.title, entry.why, tuple(entry.files)) for entry in entries]


def _updated(table: Table | None, entry: Entry) -> Table:
    if table is None:
        made = _table({"id": entry.id, "title": entry.title, "why": entry.why})
        made["files"] = list(entry.files)
        made["upstream"] = "not proposed"
        return made
    for name in ("title", "why"):
        if str(table[name]) != getattr(entry, name):
            table[name] = getattr(entry, name)
    if tuple(str(path) for path in table["files"]) != tuple(entry.files):
        table["files"] = list(entry.files)
    return table


def _table(values: dict[str, str]) -> Table:
    table = tomlkit.table()
    for name, value in values.items():
        table[name] = value
    return table
