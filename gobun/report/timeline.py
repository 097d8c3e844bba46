"""Finds the "first bad" and "first good" versions of every stress.

A sequence is one treatment, module and load of a stress, over the versions of a runtime in semver
order. Sequences that change at the same versions form one track, which keeps a page of them
readable.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import msgspec

from gobun.cells.records import WORST_FIRST, Load, Outcome
from gobun.report.order import column_key, load_key, version_key
from gobun.treatments import TreatmentName

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gobun.cells import Result

MOST_CHANGES = 4
"""Most changes of a sequence that gets boundaries. With more changes, it is unsettled."""

_BAD_OUTCOMES: frozenset[Outcome] = frozenset({"crash", "hang", "timeout", "fail"})
_OMITTED_OUTCOMES: frozenset[Outcome] = frozenset({"skip", "error"})
"""Outcomes that are no evidence about a runtime."""
_UNSETTLED_KIND = "unsettled"


class OutcomeSpan(msgspec.Struct, frozen=True):
    """Neighbouring versions with the same outcome."""

    outcome: Outcome
    first_version: str
    last_version: str
    versions: int
    """The number of tested versions in it."""
    intermittent: bool = False
    """Whether the attempts of any of its cells had different outcomes."""

    @property
    def is_bad(self) -> bool:
        """Whether the runtime failed."""
        return self.outcome in _BAD_OUTCOMES

    @property
    def text(self) -> str:
        """The outcome, with a mark if it is intermittent."""
        return ("~" if self.intermittent else "") + self.outcome


class Member(msgspec.Struct, frozen=True):
    """A sequence, without its runtime and stress."""

    treatment: TreatmentName
    module: str
    load: Load


class Track(msgspec.Struct, frozen=True):
    """Sequences of one runtime that change at the same versions."""

    runtime: str
    spans: tuple[OutcomeSpan, ...]
    members: tuple[Member, ...]
    is_settled: bool = True
    """Whether it has few enough changes for boundaries; else each version shows its worst
    outcome."""
    platform: str = ""
    """As in ``Result``."""

    @property
    def label(self) -> str:
        """The runtime, after its platform in a run that joins several."""
        return f"{self.platform} {self.runtime}".lstrip()

    @property
    def is_bad(self) -> bool:
        """Whether it is bad in any version."""
        return any(span.is_bad for span in self.spans)

    @property
    def text(self) -> str:
        """``first bad 1.2.2 (hang), first good 1.2.20``."""
        if not self.is_bad:
            return "no bad version"
        if not self.is_settled:
            bad = [span for span in self.spans if span.is_bad]
            return (
                f"comes and goes: first bad {bad[0].first_version}, last bad {bad[-1].last_version}"
            )
        if len(self.spans) == 1:
            return f"{self.spans[0].text} on every version"
        oldest = self.spans[0]
        steps = [f"{oldest.text} on the oldest, {oldest.first_version}"] if oldest.is_bad else []
        names = {True: "bad again" if oldest.is_bad else "first bad", False: "first good"}
        for before, span in itertools.pairwise(self.spans):
            if before.is_bad and span.is_bad:
                steps.append(f"{span.text} from {span.first_version}")
                continue
            note = f" ({span.text})" if span.is_bad else ""
            steps.append(f"{names[span.is_bad]} {span.first_version}{note}")
            names[span.is_bad] = "bad again" if span.is_bad else "good again"
        return ", ".join(steps)


_Sequences = dict[tuple[str, str, Member], list["Result"]]
"""The results of each sequence of a stress, by its platform, runtime and member."""


class Timeline(msgspec.Struct, frozen=True):
    """The tracks of one stress: for each runtime, bad tracks first, then the most common ones."""

    stress: str
    tracks: tuple[Track, ...]


def timelines(results: Iterable[Result]) -> tuple[Timeline, ...]:
    """Compute the tracks of each stress, without skips and harness errors."""
    sequences: dict[str, _Sequences] = {}
    for result in results:
        if result.outcome not in _OMITTED_OUTCOMES:
            member = Member(result.treatment, result.module, result.load)
            of_stress = sequences.setdefault(result.stress, {})
            of_stress.setdefault((result.platform, result.runtime, member), []).append(result)
    return tuple(Timeline(stress, _tracks(sequences[stress])) for stress in sorted(sequences))


def spans_of(results: Iterable[Result]) -> tuple[OutcomeSpan, ...]:
    """Return the spans of one sequence."""
    ordered = sorted(results, key=lambda result: version_key(result.version))
    spans = []
    for outcome, group in itertools.groupby(ordered, key=lambda result: result.outcome):
        cells = list(group)
        spans.append(
            OutcomeSpan(
                outcome,
                cells[0].version,
                cells[-1].version,
                len(cells),
                any(cell.intermittent for cell in cells),
            )
        )
    return tuple(spans)


def describe_members(members: Sequence[Member], loads: Sequence[Load] = ()) -> str:
    """Return a description of sequences: ``stock, warmup: simple, crypto (ffi)``.

    Loads are named unless they are all of ``loads``.
    """
    by_pair: dict[tuple[TreatmentName, str], list[Load]] = {}
    for member in members:
        by_pair.setdefault((member.treatment, member.module), []).append(member.load)
    kinds: dict[tuple[TreatmentName, tuple[Load, ...]], list[str]] = {}
    for (treatment, module), used in sorted(by_pair.items(), key=lambda item: column_key(item[0])):
        kinds.setdefault((treatment, tuple(sorted(used, key=load_key))), []).append(module)
    alike: dict[tuple[tuple[str, ...], tuple[Load, ...]], list[str]] = {}
    for (treatment, used_loads), modules in kinds.items():
        alike.setdefault((tuple(modules), used_loads), []).append(treatment)
    return "; ".join(
        f"{', '.join(treatments)}: {', '.join(modules)}"
        + ("" if set(used_loads) == set(loads) else f" ({', '.join(used_loads)})")
        for (modules, used_loads), treatments in alike.items()
    )


def loads_of(timeline: Timeline) -> tuple[Load, ...]:
    """Return every load that a stress was run with."""
    used = {member.load for track in timeline.tracks for member in track.members}
    return tuple(sorted(used, key=load_key))


def _tracks(sequences: _Sequences) -> tuple[Track, ...]:
    alike: dict[tuple[str, str, object], list[tuple[Member, list[Result]]]] = {}
    for (platform, runtime, member), cells in sequences.items():
        shape = _shape(spans_of(cells))
        alike.setdefault((platform, runtime, shape), []).append((member, cells))
    tracks = []
    for (platform, runtime, shape), similar in alike.items():
        similar.sort(key=lambda one: _member_key(one[0]))
        settled = shape != _UNSETTLED_KIND
        if settled:
            each = (spans_of(cells) for _, cells in similar)
            spans = functools.reduce(_widen_spans, each)
        else:
            spans = spans_of(_worst_by_version(cell for _, cells in similar for cell in cells))
        members = tuple(member for member, _ in similar)
        tracks.append(Track(runtime, spans, members, settled, platform))
    return tuple(sorted(tracks, key=_track_key))


def _shape(spans: Sequence[OutcomeSpan]) -> object:
    # A sequence does not change at its first and last tested versions, so leave them out.
    if len(spans) > MOST_CHANGES + 1:
        return _UNSETTLED_KIND
    last = len(spans) - 1
    return tuple(
        (span.outcome, span.first_version if i else "", span.last_version if i < last else "")
        for i, span in enumerate(spans)
    )


def _widen_spans(
    first_spans: tuple[OutcomeSpan, ...], second_spans: tuple[OutcomeSpan, ...]
) -> tuple[OutcomeSpan, ...]:
    return tuple(
        OutcomeSpan(
            a.outcome,
            min(a.first_version, b.first_version, key=version_key),
            max(a.last_version, b.last_version, key=version_key),
            max(a.versions, b.versions),
            a.intermittent or b.intermittent,
        )
        for a, b in zip(first_spans, second_spans, strict=True)
    )


def _worst_by_version(results: Iterable[Result]) -> list[Result]:
    """Return the worst result of each version."""
    worst: dict[str, Result] = {}
    for result in results:
        worst_result = worst.get(result.version)
        if worst_result is None or _severity(result) < _severity(worst_result):
            worst[result.version] = result
    return list(worst.values())


def _severity(result: Result) -> tuple[int, bool]:
    return WORST_FIRST.index(result.outcome), not result.intermittent


def _member_key(member: Member) -> tuple[object, ...]:
    return column_key((member.treatment, member.module)), load_key(member.load)


def _track_key(track: Track) -> tuple[object, ...]:
    bad = next((span for span in track.spans if span.is_bad), None)
    place = (track.platform, track.runtime)
    if bad is None:
        return (*place, 1)
    of_first = _member_key(track.members[0])
    return (*place, 0, -len(track.members), version_key(bad.first_version), of_first)
