"""Finds errors in a series file without reading any sources."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec

from gobun.bun_source.hunks import parse_patch
from gobun.bun_source.series import FILE_NAME, TODO_REASON, Change, Patch, Series, SeriesEntry
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CLAIM = re.compile(r"\bC\d+\b")
_TITLE_MOST = 72


class KnownNames(msgspec.Struct, frozen=True):
    """The names that a series may use. Each is defined elsewhere."""

    claims: Collection[str]
    treatments: Collection[str]
    modules: Collection[str]
    loads: Collection[str]
    stresses: Collection[str]
    outcomes: Collection[str]


def lint_series(series: Sequence[Series], known_names: KnownNames) -> list[str]:
    """Return every error with its position."""
    problems = [problem for each in series for problem in _lint(each, known_names)]
    for root in {each.folder.parent for each in series}:
        others = set(root.iterdir()) - {each.folder for each in series}
        problems += [f"{path}: is not a series" for path in sorted(others)]
    # A build patch belongs to one line, so other lines cannot lack it.
    known_files = {
        patch.id: each.line for each in series for patch in each.patches if patch.kind == "change"
    }
    for each in series:
        spoken = {entry.id for entry in (*each.patches, *each.without)}
        problems += [
            f"{each.path}: has no entry for {name}, which {line} has: add it, or a [[without]]"
            for name, line in known_files.items()
            if name not in spoken
        ]
        problems += [
            f"{each.path}: [[without]] {entry.id} is not a patch of any line"
            for entry in each.without
            if entry.id not in known_files
        ]
    return problems


def _lint(series: Series, known_names: KnownNames) -> Iterator[str]:
    where = series.path
    named = {series.file(patch).name for patch in series.patches}
    for path in sorted(series.folder.iterdir()):
        if path.name not in {*named, FILE_NAME}:
            yield f"{path}: is no patch of the series"
    entries: tuple[SeriesEntry, ...] = (*series.patches, *series.without)
    for entry in entries:
        if not entry.why.strip() or TODO_REASON in entry.why:
            yield f"{where}: {entry.id} needs a reason"
        for claim in _CLAIM.findall(entry.why):
            if claim not in known_names.claims:
                yield f"{where}: {entry.id} speaks of {claim}, and there is no such claim"
    labels: dict[bytes, str] = {}
    for patch in series.patches:
        yield from _entry(series, patch, known_names)
        try:
            content = series.content(patch)
        except UsageError as error:
            yield error.what
            continue
        if content in labels:
            yield f"{series.file(patch)}: is the same as {labels[content]}"
        labels[content] = patch.id
        yield from _content(series, patch, content)


def _entry(series: Series, patch: Patch, known_names: KnownNames) -> Iterator[str]:
    where = f"{series.path}: {patch.id}"
    if not patch.title or len(patch.title) > _TITLE_MOST or patch.title.endswith("."):
        yield f"{where}: the title is one line of {_TITLE_MOST} characters at most, without a stop"
    if patch.upstream != "not proposed" and not patch.upstream_note:
        yield f"{where}: is {patch.upstream} upstream, and upstream_note does not say where"
    if patch.emulation and patch.emulation not in known_names.treatments:
        yield f"{where}: emulation = {patch.emulation!r} is no treatment"
    others = {each.id for each in series.bun_patches if each is not patch}
    for change in patch.changes:
        yield from _change(change, where, known_names)
        for name in (*change.beside, *change.without):
            if name not in others:
                yield f"{where}: changes name {name!r} beside or without, which is no other patch"
        for name in sorted(set(change.beside) & set(change.without)):
            yield f"{where}: changes name {name!r} beside and without, so they never happen"


def _change(change: Change, position: str, known_names: KnownNames) -> Iterator[str]:
    for kind in ("modules", "loads", "stresses"):
        for name in getattr(change, kind) or ():
            if name not in getattr(known_names, kind):
                yield f"{position}: changes name {name!r}, which is not among the {kind}"
    for name in (*change.was, *change.outcomes):
        if name not in known_names.outcomes:
            yield f"{position}: changes name {name!r}, which is no outcome"
    if set(change.was) == set(change.outcomes) or not change.was or not change.outcomes:
        yield f"{position}: changes that change nothing: was and outcomes must differ"


def _content(series: Series, patch: Patch, content: bytes) -> Iterator[str]:
    where = series.file(patch)
    if not content:
        yield f"{where}: is empty"
        return
    try:
        diffs = parse_patch(content, str(where))
    except UsageError as error:
        yield error.what
        return
    touched = [diff.path for diff in diffs]
    for path in sorted({path for path in touched if touched.count(path) > 1}):
        yield f"{where}: touches {path} twice"
    if tuple(touched) != patch.files:
        yield f"{where}: touches {', '.join(touched)}, and {series.path.name} says otherwise"
    if patch.warmup_variable.encode() not in content:
        yield f"{where}: does not read {patch.warmup_variable}, its warmup_variable"
    for diff in diffs:
        for hunk in diff.hunks:
            for line in hunk.added:
                text = line.rstrip(b"\n")
                if text != text.rstrip():
                    yield (
                        f"{where}: {diff.path}, hunk {hunk.number}: an added line ends in blanks: "
                        f"{text.decode(errors='replace').strip()!r}"
                    )
