"""Updates ``expectations/*.toml`` from results: adjusts ranges, and adds rows without a reason."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gobun import build, files, paths
from gobun.cells.records import LOADS, telling_outcomes
from gobun.cells.scenario import read_scenario
from gobun.errors import UsageError
from gobun.expectations import toml_edit
from gobun.expectations.catalogue import known_names
from gobun.expectations.reconcile import ObservedRuns, compare
from gobun.expectations.rows import (
    AXES,
    LISTS,
    TODO_REASON,
    ExpectationRow,
    Place,
    read_expectations,
    read_rows,
    this_place,
)
from gobun.treatments import TREATMENTS
from gobun.version_ranges import range_text, rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gobun.cells.records import Result
    from gobun.expectations.cover import Box
    from gobun.expectations.reconcile import ObservedOutcomes


class Update(msgspec.Struct, frozen=True):
    """The result of an update."""

    diff: str
    """A unified diff of all files; empty if nothing changed."""
    unexplained_rows: tuple[str, ...]
    """The file and number of each row that has no reason yet."""


def update_expectations(
    results: Sequence[Result],
    folder: Path | None = None,
    *,
    known_versions: Mapping[str, Sequence[str]] | None = None,
    place: Place | None = None,
    write: bool = True,
) -> Update:
    """Rewrite the rows of ``folder`` so that they expect ``results``.

    ``known_versions`` holds the releases of each runtime. ``place`` is the platform of the results,
    by default this process's. Without ``write``, no file changes. Skips, starved cells and harness
    errors are no evidence. A row that still holds keeps its text.

    Raises:
        UsageError: a file has the wrong form, rows contradict each other, or they overlap so that
            no update fits.
        FetchError: a lock file is missing or malformed.
        PrerequisiteError: a file cannot be written.
    """
    folder = folder or paths.EXPECTATIONS
    place = place or this_place()
    known_versions = known_versions or known_names().releases
    before = read_expectations(folder).rows
    for strict in (False, True):
        after = _replacements(before, results, known_versions, place, strict=strict)
        if _is_settled(after, results, known_versions, place):
            break
    else:
        raise UsageError(
            f"the rows of {folder} overlap so that no update of them fits these results",
            hint="give each row a runtime, and narrow those that select the same cells",
        )
    old = {path: path.read_text() for path in sorted(folder.glob("*.toml"))}
    new, unexplained = _texts(folder, old, after)
    if write:
        for path, text in new.items():
            if old.get(path) != text:
                files.write_whole(path, text)
    return Update("".join(_diff(path, old.get(path, ""), new[path]) for path in new), unexplained)


class _ChangedRows(msgspec.Struct, frozen=True):
    replaced: Mapping[str, tuple[ExpectationRow, ...]]
    """For the location of each changed row, the rows that replace it. Other rows stay."""
    added_rows: tuple[ExpectationRow, ...]
    kept_rows: tuple[ExpectationRow, ...]

    @property
    def rows(self) -> tuple[ExpectationRow, ...]:
        return (
            *self.kept_rows,
            *(row for rows in self.replaced.values() for row in rows),
            *self.added_rows,
        )


def _replacements(
    rows: Sequence[ExpectationRow],
    results: Sequence[Result],
    known_versions: Mapping[str, Sequence[str]],
    place: Place,
    *,
    strict: bool,
) -> _ChangedRows:
    replaced: dict[str, tuple[ExpectationRow, ...]] = {}
    added_rows: list[ExpectationRow] = []
    for runtime in sorted({result.runtime for result in results}):
        matching = [
            row for row in rows if row.runtime in {None, runtime} and row.selects_place(place)
        ]
        of_it = [result for result in results if result.runtime == runtime]
        world = _world(of_it, matching, known_versions.get(runtime, ()))
        changes = compare(matching, world, strict=strict)
        for index, boxes in changes.rewritten.items():
            row = matching[index]
            replaced[row.location] = tuple(
                msgspec.structs.replace(row, **_selectors(box, world, row)) for box in boxes
            )
        for outcomes, box in changes.added_boxes:
            blank = {"outcomes": outcomes, "why": TODO_REASON, "runtime": runtime, **_where(place)}
            added_rows.append(msgspec.convert(blank | _selectors(box, world), ExpectationRow))
    return _ChangedRows(
        replaced, tuple(added_rows), tuple(r for r in rows if r.location not in replaced)
    )


def _where(place: Place) -> dict[str, str]:
    """Return the selectors for a place. Rows without ``arch`` and ``libc`` also hold for others.

    Most results come from x64 and glibc, and most outcomes are the same elsewhere.
    """
    where = {"os": place.os}
    if place.arch != "x64":
        where["arch"] = place.arch
    if place.libc == "musl":
        where["libc"] = place.libc
    return where


def _world(
    results: Sequence[Result], rows: Sequence[ExpectationRow], known_versions: Sequence[str]
) -> ObservedRuns:
    tested = {result.version for result in results}
    versions = tuple(sorted({*tested, *known_versions}, key=rank))
    suite = (tuple(TREATMENTS), build.MODULES, LOADS, tuple(read_scenario().stress))
    axes = tuple(
        tuple(
            dict.fromkeys(
                [
                    *of_suite,
                    *sorted({getattr(result, axis) for result in results}),
                    *(value for row in rows for value in getattr(row, names) or ()),
                ]
            )
        )
        for of_suite, axis, names in zip(suite, AXES, LISTS, strict=True)
    )
    place = {version: at for at, version in enumerate(versions)}
    observed: ObservedOutcomes = defaultdict(dict)
    for result in results:
        config = (result.treatment, result.module, result.load, result.stress)
        outcomes = telling_outcomes(result) | observed[config].get(
            place[result.version], frozenset()
        )
        if outcomes:
            observed[config][place[result.version]] = outcomes
    return ObservedRuns(versions, axes, dict(observed))


def _selectors(box: Box, world: ObservedRuns, row: ExpectationRow | None = None) -> dict[str, Any]:
    flags = [bool(box.versions >> at & 1) for at in range(len(world.versions))]
    lists = {
        names: None if len(values) == len(axis) else values
        for names, values, axis in zip(LISTS, box.values, world.axes, strict=True)
    }
    if row and flags == [row.selects_version(version) for version in world.versions]:
        return {"versions": row.versions, **lists}
    return {"versions": range_text(flags, world.versions), **lists}


def _is_settled(
    changed_rows: _ChangedRows,
    results: Iterable[Result],
    known_versions: Mapping[str, Sequence[str]],
    place: Place,
) -> bool:
    """Return whether nothing is left to change, and no two rows contradict each other."""
    numbered = [
        msgspec.structs.replace(row, location=f"{number}: {row.location}")
        for number, row in enumerate(changed_rows.rows)
    ]
    try:
        remaining = _replacements(numbered, list(results), known_versions, place, strict=False)
    except UsageError:  # now two equally specific rows disagree
        return False
    return not remaining.replaced and not remaining.added_rows


def _texts(
    folder: Path, old_texts: Mapping[Path, str], changed_rows: _ChangedRows
) -> tuple[dict[Path, str], tuple[str, ...]]:
    new: dict[Path, str] = {}
    unexplained: list[str] = []
    homes = {folder / f"{row.runtime}.toml" for row in changed_rows.added_rows}
    for path in sorted({*old_texts, *homes}):
        rows = read_rows(path) if path in old_texts else []
        added_rows = [
            row for row in changed_rows.added_rows if path == folder / f"{row.runtime}.toml"
        ]
        sections = toml_edit.split_rows(old_texts.get(path, ""), rows, str(path))
        if added_rows or any(row.location in changed_rows.replaced for row in rows):
            for section in sections:
                section.blocks = [
                    block
                    for each_block in section.blocks
                    for block in _edit_block(each_block, changed_rows.replaced)
                ]
            sections[-1].blocks += map(toml_edit.new_block, added_rows)
            for section in sections:
                toml_edit.sort(section)
            new[path] = toml_edit.join(sections)
        remaining = [block.row for section in sections for block in section.blocks]
        unexplained += [
            f"{path}: row {number} of [[expect]]"
            for number, row in enumerate(remaining, start=1)
            if row.why == TODO_REASON
        ]
    return new, tuple(unexplained)


def _edit_block(
    block: toml_edit.RowBlock, replaced: Mapping[str, tuple[ExpectationRow, ...]]
) -> list[toml_edit.RowBlock]:
    if block.row.location not in replaced:
        return [block]
    rows = replaced[block.row.location]
    return [toml_edit.with_selectors(block, row) for row in rows[:1]] + [
        toml_edit.new_block(row) for row in rows[1:]
    ]


def _diff(path: Path, old_text: str, new_text: str) -> str:
    before, after = old_text.splitlines(keepends=True), new_text.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, f"a/{path.name}", f"b/{path.name}"))
