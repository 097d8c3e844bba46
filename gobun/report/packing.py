"""Packs results as compact JSON for the page: one list per column, and every text once.

A text is stored as a template and its numbers, because details, paths and commands of neighbouring
cells differ in little else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from gobun.cells.records import WORST_FIRST, Outcome
from gobun.report.difference import KINDS
from gobun.report.order import in_order, load_key, module_key, treatment_key
from gobun.report.summary import loaded_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gobun.cells import Result
    from gobun.report.difference import Difference

HOLE = "\ue000"
"""Replaces a number in a template. ``_Texts.add`` removes this private-use character from texts."""

GLYPHS: dict[Outcome, str] = {
    "pass": "✓",
    "hang": "H",
    "crash": "C",
    "timeout": "T",
    "fail": "F",
    "error": "E",
    "skip": "-",
}
"""Glyphs that distinguish outcomes without colour."""

_NUMBER = re.compile(r"(\d+(?:\.\d+)*)")
_BYTES_A_CELL = 150
"""Limit for the average size of a cell, in bytes. With it, a page of 10,000 cells takes 2 MB."""
_LEAST_BYTES = 400_000
_DETAIL_LIMITS = (4000, 1000, 300, 120, 60)


class _ColumnTable:
    """Distinct values, in the order of their first use."""

    def __init__(self, values: Sequence[str] = ()) -> None:
        self._index = {value: i for i, value in enumerate(values)}

    def add(self, value: str) -> int:
        return self._index.setdefault(value, len(self._index))

    @property
    def values(self) -> list[str]:
        return list(self._index)


class _Texts:
    """Texts as pairs of a template and the values for its holes."""

    def __init__(self, templates: Sequence[str] = ("",), values: Sequence[str] = ("",)) -> None:
        self.templates = _ColumnTable(templates)
        self.filling_table = _ColumnTable(values)

    def copy(self) -> _Texts:
        """Return a copy, to which other texts can be added."""
        return _Texts(self.templates.values, self.filling_table.values)

    def add(self, text: str) -> tuple[int, int]:
        parts = _NUMBER.split(text.replace(HOLE, "\ufffd"))
        return self.templates.add(HOLE.join(parts[::2])), self.filling_table.add(
            " ".join(parts[1::2])
        )


def pack(results: Sequence[Result], differences: Sequence[Difference] = ()) -> bytes:
    """Return results as JSON. Details are truncated if the page would grow too large.

    The cells of ``differences`` become pairs of cell numbers.
    """
    ordered = in_order(results)
    most = max(_LEAST_BYTES, _BYTES_A_CELL * len(ordered))
    pairs = _pair_cells(ordered, differences)
    columns, texts_table = _columns(ordered), _Texts()
    texts: dict[str, list[int]] = {
        "evidence": _add_texts(texts_table, ("\n".join(result.evidence) for result in ordered)),
        "repro": _add_texts(texts_table, (result.repro for result in ordered)),
    }
    packed = b""
    for limit in _DETAIL_LIMITS:
        all_texts = texts_table.copy()
        details = _add_texts(all_texts, (_truncate(result.detail, limit) for result in ordered))
        page = columns | {
            "texts": {"detail": details, **texts},
            "templates": all_texts.templates.values,
            "fillings": all_texts.filling_table.values,
            "differences": pairs,
        }
        packed = msgspec.json.encode(page)
        if len(packed) <= most:
            break
    return packed


def _add_texts(texts_table: _Texts, texts: Iterable[str]) -> list[int]:
    """Return two numbers for each text, and add missing texts to ``texts_table``."""
    return [number for text in texts for number in texts_table.add(text)]


def _columns(ordered: Sequence[Result]) -> dict[str, Any]:
    tables = {
        "platform": _ColumnTable(sorted({result.platform for result in ordered})),
        "runtime": _ColumnTable(sorted({result.runtime for result in ordered})),
        "version": _ColumnTable(),
        "treatment": _ColumnTable([*sorted({r.treatment for r in ordered}, key=treatment_key)]),
        "module": _ColumnTable(sorted({r.module for r in ordered}, key=module_key)),
        "load": _ColumnTable([*sorted({r.load for r in ordered}, key=load_key)]),
        "stress": _ColumnTable(sorted({r.stress for r in ordered})),
        "outcome": _ColumnTable(WORST_FIRST),
        "expected": _ColumnTable(),
        "why": _ColumnTable([""]),
        "kind": _ColumnTable([""]),
        "loaded": _ColumnTable([""]),
        "ended": _ColumnTable([""]),
        "outcomes": _ColumnTable([""]),
    }
    columns: dict[str, list[int]] = {name: [] for name in tables}
    numbers: dict[str, list[int]] = {name: [] for name in ("wall", "cpu", "rss", "attempts")}
    for result in ordered:
        values = {
            "platform": result.platform,
            "runtime": result.runtime,
            "version": result.version,
            "treatment": result.treatment,
            "module": result.module,
            "load": result.load,
            "stress": result.stress,
            "outcome": result.outcome,
            "expected": " or ".join(result.expected),
            "why": result.why,
            "kind": result.kind,
            "loaded": loaded_text(result),
            "ended": _ending_text(result),
            "outcomes": " ".join(result.outcomes) if len(result.outcomes) > 1 else "",
        }
        for name, value in values.items():
            columns[name].append(tables[name].add(value))
        for name, number in zip(
            numbers,
            (result.wall_ms, result.cpu_ms, result.max_rss_kb, result.attempts),
            strict=True,
        ):
            numbers[name].append(number)
    return {
        "tables": {name: table.values for name, table in tables.items()},
        "columns": columns,
        "numbers": numbers,
        "unexpected": [i for i, result in enumerate(ordered) if result.unexpected],
        "intermittent": [i for i, result in enumerate(ordered) if result.intermittent],
        "glyphs": [GLYPHS[outcome] for outcome in WORST_FIRST],
    }


def _pair_cells(
    ordered: Sequence[Result], differences: Sequence[Difference]
) -> list[dict[str, list[list[int]]]]:
    """Return each difference as pairs of cell numbers, by kind. -1: stock has no such cell."""
    number = {result.key: i for i, result in enumerate(ordered)} if differences else {}
    return [
        {
            kind: [
                [number[new.key], number[old.key] if old else -1]
                for new, old in difference.of(kind)
            ]
            for kind in KINDS
        }
        for difference in differences
    ]


def _ending_text(result: Result) -> str:
    if result.signal:
        return result.signal
    return "" if result.exit_code is None else f"exit code {result.exit_code}"


def _truncate(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… (cut; the evidence has it whole)"
