"""Finds the releases at which a cell turned bad, or good again, in about log2(n) steps."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun.cells.records import Outcome
from gobun.console import pluralize
from gobun.errors import UsageError
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

State = Literal["good", "bad", "untestable"]
"""``good``: every attempt passed. ``bad``: an attempt did not pass. ``untestable``: the cell was
skipped, or the harness failed."""

_OPPOSITE_STATE: dict[Literal["good", "bad"], Literal["good", "bad"]] = {
    "good": "bad",
    "bad": "good",
}

MOST_SAMPLES = 32
"""The number of tried releases after which the search concludes that all have the same outcome."""


class VersionOutcome(msgspec.Struct, frozen=True):
    """One version that was tried."""

    version: str
    outcomes: tuple[Outcome, ...]
    """The outcome of each attempt. No attempt follows one that did not pass."""
    state: State
    remaining_versions: int
    """Number of versions between which the next change may still lie; 0 until both states are
    known."""

    @property
    def text(self) -> str:
        """The step on one line."""
        remaining = f", {self.remaining_versions} left between" if self.remaining_versions else ""
        return f"{self.version}: {'/'.join(self.outcomes)}: {self.state}{remaining}"


class StateChange(msgspec.Struct, frozen=True):
    """The place where one state ends and the other begins."""

    last_before: str
    """The newest version of the older state."""
    first_after: str
    """The oldest version of the newer state."""
    new_state: Literal["good", "bad"]
    untestable: tuple[str, ...] = ()
    """The versions between the two that could not be tested."""

    @property
    def old_state(self) -> Literal["good", "bad"]:
        """The state before the change."""
        return _OPPOSITE_STATE[self.new_state]


class Answer(msgspec.Struct, frozen=True):
    """The state changes of a cell, and the steps that found them."""

    changes: tuple[StateChange, ...]
    """The state changes among releases, ascending."""
    canaries: tuple[StateChange, ...]
    """The same changes among the canaries between two releases, if there are any."""
    steps: tuple[VersionOutcome, ...]

    @property
    def text(self) -> str:
        """The answer in one sentence."""
        between = [
            f" ({', '.join(change.untestable)} could not be tested)"
            for change in self.changes
            if change.untestable
        ]
        exact = [
            f"; with canaries: {change.old_state} up to {change.last_before}, "
            f"{change.new_state} from {change.first_after}"
            for change in self.canaries
        ]
        return _sentence(self.changes) + "".join(between) + "".join(exact)


def _sentence(changes: Sequence[StateChange]) -> str:
    first = changes[0]
    if len(changes) == 1:
        return (
            f"{first.old_state} up to {first.last_before}; "
            f"first {first.new_state} {first.first_after}"
        )
    parts = [
        f"{change.new_state} from {change.first_after} to {after.last_before}"
        for change, after in itertools.pairwise(changes)
    ]
    return f"{', '.join(parts)}; first {changes[-1].new_state} again {changes[-1].first_after}"


def bisect(
    versions: Sequence[str],
    probe: Callable[[str], Outcome],
    *,
    good: str | None = None,
    bad: str | None = None,
    attempts: int = 3,
    canaries: Callable[[str, str], Sequence[str]] | None = None,
    on_step: Callable[[VersionOutcome], None] | None = None,
) -> Answer:
    """Return the state changes of a cell among ``versions``.

    If both ``good`` and ``bad`` are given, the search finds the one change between them, in either
    direction. Otherwise it tries the ends first, then an ever finer grid until it knows a good and
    a bad release. It then finds every change between the versions that it tried.

    ``probe`` runs the cell once. One bad attempt of ``attempts`` makes a version bad. ``canaries``
    returns the canaries between two releases, ascending.

    Raises:
        UsageError: a version is unknown, the ends do not differ, all tried versions have the same
            state, or ``attempts`` is less than 1.
    """
    ordered = sorted(dict.fromkeys(versions), key=rank)
    for name, end in (("good", good), ("bad", bad)):
        if end is not None and end not in ordered:
            raise UsageError.unknown(f"version for --{name}", end, list(reversed(ordered)))
    if len(ordered) < 2:
        raise UsageError(
            f"nothing to bisect: {pluralize(len(ordered), 'version')} selected",
            hint="select at least two",
        )
    bench = _Bisection(probe, attempts, on_step)
    tried = _find_both_states(bench, ordered, good, bad)
    pairs = _neighbours_that_differ(bench, ordered, tried)
    changes = tuple(_locate_change(bench, ordered[low : high + 1]) for low, high in pairs)
    finer = []
    for change in changes if canaries else ():
        between = [
            change.last_before,
            *(canaries(change.last_before, change.first_after) if canaries else ()),
            change.first_after,
        ]
        if len(between) > 2:
            finer.append(_locate_change(bench, between))
    return Answer(changes, tuple(finer), tuple(bench.steps))


class _Bisection:
    def __init__(
        self,
        probe: Callable[[str], Outcome],
        attempts: int,
        on_step: Callable[[VersionOutcome], None] | None,
    ) -> None:
        if attempts < 1:
            raise UsageError(f"{attempts} attempts would run nothing", hint="give at least 1")
        self._probe = probe
        self._attempts = attempts
        self._on_step = on_step
        self._states: dict[str, State] = {}
        self.steps: list[VersionOutcome] = []

    def state(self, version: str, versions_left: int = 0) -> State:
        """Return the state of a version, and try the version if that has not been done."""
        if version not in self._states:
            outcomes: list[Outcome] = []
            while len(outcomes) < self._attempts and set(outcomes) <= {"pass"}:
                outcomes.append(self._probe(version))
            state = _state(outcomes[-1])
            self._states[version] = state
            step = VersionOutcome(version, tuple(outcomes), state, versions_left)
            self.steps.append(step)
            if self._on_step:
                self._on_step(step)
        return self._states[version]


def _state(outcome: Outcome) -> State:
    if outcome in {"skip", "error"}:
        return "untestable"
    return "good" if outcome == "pass" else "bad"


def _find_both_states(
    bench: _Bisection, ordered: Sequence[str], good: str | None, bad: str | None
) -> list[int]:
    """Try versions until a good and a bad one are known; return their indices."""
    ends = [version for version in (good, bad) if version is not None]
    for state, version in (("good", good), ("bad", bad)):
        if version is not None and (observed := bench.state(version)) != state:
            explanation = (
                f", and so the ends do not differ: {good} and {bad}" if len(ends) == 2 else ""
            )
            raise UsageError(
                f"{version} was given as {state} and is {observed}{explanation}",
                hint=f"give a version that is {state}, or leave the flag out to search for one",
            )
    if len(ends) == 2:
        return sorted(map(ordered.index, ends))
    tried: list[int] = [ordered.index(version) for version in ends]
    for place in _grid(len(ordered)):
        states = {bench.state(ordered[at]) for at in tried}
        enough = {0, len(ordered) - 1} <= set(tried)
        if enough and {"good", "bad"} <= states:
            return sorted(tried)
        if len(bench.steps) >= MOST_SAMPLES:
            break
        bench.state(ordered[place])
        tried.append(place)
    states = {bench.state(ordered[at]) for at in tried}
    if {"good", "bad"} <= states:
        return sorted(set(tried))
    states_text = ", ".join(sorted(states))
    raise UsageError(
        f"nothing to bisect: of {len(bench.steps)} versions from {ordered[0]} to {ordered[-1]},"
        f" all are {states_text}",
        hint="name a release with another outcome with --good or --bad",
    )


def _grid(count: int) -> Iterator[int]:
    """Yield both ends, then the middle, the quarters, the eighths … of ``count`` indices."""
    indexes = {0, count - 1}
    yield 0
    yield count - 1
    gaps = [(0, count - 1)]
    while gaps:
        low, high = gaps.pop(0)
        middle = (low + high) // 2
        if middle in indexes:
            continue
        indexes.add(middle)
        yield middle
        gaps += [(low, middle), (middle, high)]


def _neighbours_that_differ(
    bench: _Bisection, ordered: Sequence[str], tried_indices: Sequence[int]
) -> list[tuple[int, int]]:
    """Return neighbours among the tried versions whose states differ."""
    testable = [at for at in sorted(set(tried_indices)) if bench.state(ordered[at]) != "untestable"]
    return [
        (low, high)
        for low, high in itertools.pairwise(testable)
        if bench.state(ordered[low]) != bench.state(ordered[high])
    ]


def _locate_change(bench: _Bisection, versions: Sequence[str]) -> StateChange:
    """Return the state change between the first and the last version. Their states must differ."""
    low, high = 0, len(versions) - 1
    older = bench.state(versions[low])
    while (middle := _nearest_untried_index(bench, versions, low, high)) is not None:
        if bench.state(versions[middle], high - low - 1) == older:
            low = middle
        else:
            high = middle
    into: Literal["good", "bad"] = "bad" if older == "good" else "good"
    return StateChange(versions[low], versions[high], into, tuple(versions[low + 1 : high]))


def _nearest_untried_index(
    bench: _Bisection, versions: Sequence[str], low: int, high: int
) -> int | None:
    """Return the index of the testable version nearest to the middle between two."""
    middle = (low + high) // 2
    nearest = sorted(range(low + 1, high), key=lambda at: (abs(at - middle), at))
    return next(
        (at for at in nearest if bench.state(versions[at], high - low - 1) != "untestable"),
        None,
    )
