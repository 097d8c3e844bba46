"""Edits the text of an expectations file row by row, so that comments stay when a row changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError

from gobun.errors import UsageError
from gobun.expectations.rows import LISTS, SELECTORS, ExpectationRow
from gobun.version_ranges import lower_bound_key

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEAD = re.compile(r"^\[\[\s*expect\s*\]\]", re.MULTILINE)
_KEYS = (*SELECTORS, "outcomes", "why")
_LONGEST_LINE = 100


class RowBlock(msgspec.Struct):
    """A row's text: the comment directly above it, and the table."""

    comment: str
    """Ends in a newline unless it is empty."""
    table: str
    row: ExpectationRow


class BlockGroup(msgspec.Struct):
    """Consecutive rows, and the separate comment above them."""

    text_above: str
    blocks: list[RowBlock]


def split_rows(text: str, rows: list[ExpectationRow], label: str) -> list[BlockGroup]:
    """Split a file's text into its rows.

    Raises:
        UsageError: its form cannot be split, such as an inline array of tables.
    """
    starts = [match.start() for match in _HEAD.finditer(text)]
    if len(starts) != len(rows):
        raise UsageError(
            f"{label}: not every row is a table of its own",
            hint="write each row as [[expect]] at the beginning of a line",
        )
    sections: list[BlockGroup] = []
    text_above = text[: starts[0]] if starts else text
    ends = [*starts[1:], len(text)] if starts else []
    for start, end, row in zip(starts, ends, rows, strict=True):
        separate, comment = _split_text_above(text_above)
        if separate.strip() or not sections:
            sections.append(BlockGroup(separate, []))
        table, text_above = _body(text[start:end], is_last=end == len(text))
        sections[-1].blocks.append(RowBlock(comment, table, row))
    if text_above.strip() or not sections:
        sections.append(BlockGroup(text_above, []))
    return sections


def _split_text_above(text_above: str) -> tuple[str, str]:
    """Split the text above a row into the separate part and the part that belongs to the row."""
    lines = text_above.splitlines(keepends=True)
    at = len(lines)
    while at and lines[at - 1].startswith("#"):
        at -= 1
    return "".join(lines[:at]), "".join(lines[at:])


def _body(text: str, *, is_last: bool) -> tuple[str, str]:
    """Split a table from the blank lines and comments that follow it."""
    lines = text.splitlines(keepends=True)
    at = len(lines)
    while at and (not lines[at - 1].strip() or lines[at - 1].startswith("#")):
        at -= 1
    table = "".join(lines[:at])
    return table.rstrip("\n") + "\n", "" if is_last and at == len(lines) else "".join(lines[at:])


def join(sections: Iterable[BlockGroup]) -> str:
    """Return the text of a file."""
    parts = []
    for section in sections:
        above = section.text_above.strip("\n")
        blocks = [block.comment + block.table.rstrip("\n") for block in section.blocks]
        parts += ([above] if above else []) + blocks
    return "\n\n".join(parts) + "\n" if parts else ""


def sort(section: BlockGroup) -> None:
    """Sort the rows of a section."""
    section.blocks.sort(key=lambda block: _order(block.row))


def _order(row: ExpectationRow) -> tuple[Any, ...]:
    lists = [getattr(row, name) or () for name in LISTS]
    platform = (row.os or "", row.arch or "", row.libc or "")
    return (row.runtime or "", *platform, lower_bound_key(row.versions), *lists)


def with_selectors(block: RowBlock, row: ExpectationRow) -> RowBlock:
    """Return ``block`` with the keys of ``row``; the rest of its text stays if possible."""
    try:
        document: Any = tomlkit.parse(block.table)
        table: Any = document["expect"][0]
        for name in _KEYS:
            value = getattr(row, name)
            if value is None:
                table.pop(name, None)
            elif name in table and _plain_value(table[name]) != _plain_value(value):
                table[name] = _item(value)
        text = tomlkit.dumps(document)
    except TOMLKitError as error:  # pragma: no cover - the file was read before
        raise UsageError(
            f"{block.row.location} cannot be rewritten: {error}", hint="edit this row by hand"
        ) from error
    for name in _KEYS:
        if getattr(row, name) is not None and name not in table:
            text = _insert_key(text, name, getattr(row, name))
    if not _means(text, row):  # a line of a multi-line string looked like a key
        return RowBlock(block.comment, new_block(row).table, row)
    return RowBlock(block.comment, text, row)


def _insert_key(text: str, name: str, value: object) -> str:
    """Insert a key before the first key that follows it in the usual order."""
    later = "|".join(_KEYS[_KEYS.index(name) + 1 :]) or "$^"
    line = f"{name} = {_item(value).as_string()}\n"
    match = re.search(rf"^\s*(?:{later})\s*=", text, re.MULTILINE)
    at = match.start() if match else len(text.rstrip("\n")) + 1
    return text[:at] + line + text[at:]


def new_block(row: ExpectationRow) -> RowBlock:
    """Return the text of a new row."""
    lines = ["[[expect]]"]
    for name in _KEYS:
        value = getattr(row, name)
        if value is not None:
            lines.append(f"{name} = {_item(value).as_string()}")
    return RowBlock("", "\n".join(lines) + "\n", row)


def _plain_value(value: object) -> object:
    return tuple(value) if isinstance(value, list | tuple) else value


def _item(value: object) -> Any:  # noqa: ANN401 - tomlkit's items have no common public type
    if not isinstance(value, tuple):
        return tomlkit.item(str(value))
    array = tomlkit.array()
    array.extend(value)
    return array.multiline(len(array.as_string()) > _LONGEST_LINE - len("treatments = "))


def _means(text: str, row: ExpectationRow) -> bool:
    try:
        tables: Any = tomlkit.parse(text).unwrap().get("expect", [])
    except TOMLKitError:
        return False
    meant = {name: getattr(row, name) for name in _KEYS if getattr(row, name) is not None}
    return [{name: _plain_value(value) for name, value in table.items()} for table in tables] == [
        meant
    ]
