"""Edits ``series.toml``, and preserves the comments and keys that a person added."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

import tomlkit
from tomlkit.items import AoT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TABLE = re.compile(r"(?:^#.*\n)*^\[\[(?P<kind>patch|without)\]\]", re.MULTILINE)


class SeriesText(Protocol):
    """The facts about one patch that come from its commit."""

    @property
    def id(self) -> str:
        """The id of the patch."""

    @property
    def title(self) -> str:
        """The first line of its commit message."""

    @property
    def why(self) -> str:
        """The body of its commit message."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it touches."""


def rewritten(
    text: str,
    version: str,
    entries: Sequence[SeriesText],
    *,
    left_out: Sequence[dict[str, str]] = (),
) -> str:
    """Return ``text`` with ``entries`` as the patches of Bun, in that order.

    Patches of WebKit and all keys that no commit provides stay. A new patch is added with its
    known facts, and replaces a ``[[without]]`` with the same id. ``left_out`` lists new
    ``[[without]]`` tables. An unchanged series is returned byte for byte.
    """
    head, blocks = _split_tables(text)
    if not text:
        head = f'version = "{version}"\nabout = "Patches on Bun {version}"'
    document = tomlkit.parse(head)
    renamed = str(document["version"]) != version
    if renamed:
        document["version"] = version
    patches = {str(_parse_block(block)["id"]): block for kind, block in blocks if kind == "patch"}
    others = [
        block for block in patches.values() if _parse_block(block).get("tree", "bun") != "bun"
    ]
    bun_blocks = {name: block for name, block in patches.items() if block not in others}
    tables = [_updated(bun_blocks.get(entry.id), entry) for entry in entries]
    if tables == list(bun_blocks.values()) and not left_out and not renamed:
        return text
    carried = {entry.id for entry in entries}
    rest = [
        block
        for kind, block in blocks
        if kind == "without" and _parse_block(block)["id"] not in carried
    ]
    rest += [_dump_table("without", each) for each in left_out]
    parts = [tomlkit.dumps(document), *tables, *others, *rest]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _split_tables(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Split a series into its head and its tables, each with the comments above it."""
    starts = list(_TABLE.finditer(text))
    if not starts:
        return text, []
    ends = [*(start.start() for start in starts[1:]), len(text)]
    return text[: starts[0].start()], [
        (start["kind"], text[start.start() : end]) for start, end in zip(starts, ends, strict=True)
    ]


def _parse_block(block: str) -> dict[str, Any]:
    """Return the one table of a block."""
    return dict(next(iter(tomlkit.parse(block).unwrap().values()))[0])


def _updated(block: str | None, entry: SeriesText) -> str:
    fields = {"id": entry.id, "title": entry.title, "why": entry.why, "files": list(entry.files)}
    if block is None:
        return _dump_table("patch", {**fields, "upstream": "not proposed"})
    document = tomlkit.parse(block)
    tables = document["patch"]
    table = _parse_block(block)
    new_values = {
        name: value for name, value in fields.items() if _strip_blanks(table[name]) != value
    }
    if not new_values:
        return block
    if isinstance(tables, AoT):
        for name, value in new_values.items():
            tables[0][name] = value
    return tomlkit.dumps(document)


def _strip_blanks(value: Any) -> Any:  # noqa: ANN401 - whatever TOML has
    """Strip the whitespace around a text, because a commit message does not keep it."""
    return value.strip() if isinstance(value, str) else value


def _dump_table(kind: str, values: Mapping[str, object]) -> str:
    return f"[[{kind}]]\n{tomlkit.dumps(dict(values))}"
