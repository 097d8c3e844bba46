"""The order of versions, and ranges of them: ``>=1.2.2 <1.2.20``, ``1.0.7 || >=1.3.0``.

The order is that of semver with one exception: a canary on npm comes *after* the release whose
number it carries. ``1.2.20-canary.20250813.1`` was built three days after 1.2.20. Semver puts it
before 1.2.20, among the releases that hang, but it does not hang. So ``<1.2.20`` includes the
canaries of 1.2.19, ``<=1.2.19`` excludes them, and ``>=1.2.2`` includes those of 1.2.2.

The same build reports its version as ``1.2.21-canary.16``, with the number of the next release.
That form has no date, and keeps its place in semver. A range without an upper bound includes
releases that do not exist yet. An invalid version is in no range.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING

import semver

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMPARATOR = re.compile(r"(>=|<=|>|<|=)?(.+)")
_SPACED_OPERATOR = re.compile(r"(>=|<=|>|<|=)\s+")
_NPM_CANARY = re.compile(r"canary\.\d{8}\b.*")

_Precedence = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]

Rank = tuple[_Precedence, bool, _Precedence]
"""The sort key of versions. It has plain values, because a run makes millions of comparisons."""

RankBound = tuple[Rank, bool]
"""A version's rank, and whether the range includes the version."""


@functools.lru_cache(maxsize=4096)
def rank(version: str) -> Rank:
    """Return the sort key of a version.

    Raises:
        ValueError: the text is not a version.
    """
    parsed = semver.Version.parse(version)
    own = _precedence(parsed)
    canary = _NPM_CANARY.fullmatch(parsed.prerelease or "") is not None
    return _precedence(parsed.finalize_version()) if canary else own, canary, own


def _precedence(version: semver.Version) -> _Precedence:
    """Return semver's sort key: a prerelease comes before its release, a number before text."""
    words = version.prerelease.split(".") if version.prerelease else []
    parts = tuple((not w.isdigit(), int(w) if w.isdigit() else 0, w) for w in words)
    return version.major, version.minor, version.patch, not parts, parts


class VersionSpan:
    """The versions between two bounds. Each bound is optional."""

    def __init__(self, text: str) -> None:
        """Parse comparators that must all hold.

        Raises:
            ValueError: a comparator is malformed, or no version matches all of them.
        """
        words = _SPACED_OPERATOR.sub(r"\1", text).split()
        if not words:
            raise ValueError("it is empty")
        ends = [_end(word) for word in words]
        lows = [bound for sign, bound in ends if sign not in {"<", "<="}]
        highs = [bound for sign, bound in ends if sign not in {">", ">="}]
        self.low_bound = max(lows, key=lambda bound: (bound[0], not bound[1])) if lows else None
        self.high = min(highs, key=lambda bound: (bound[0], bound[1])) if highs else None
        if self.low_bound and self.high and _is_below(self.high, self.low_bound):
            raise ValueError(f"no version matches {text.strip()}")

    def holds(self, version: Rank) -> bool:
        """Return whether a version is inside."""
        if self.low_bound and not (
            version > self.low_bound[0] or (self.low_bound[1] and version == self.low_bound[0])
        ):
            return False
        high = self.high
        return not high or version < high[0] or (high[1] and version == high[0])


def _is_below(high: RankBound, low: RankBound) -> bool:
    return high[0] < low[0] or (high[0] == low[0] and not (high[1] and low[1]))


def _end(word: str) -> tuple[str, RankBound]:
    match = _COMPARATOR.fullmatch(word)
    sign, bare = match.groups() if match else ("", word)
    if not semver.Version.is_valid(bare):
        raise ValueError(f"{bare!r} is not a whole version")
    return sign or "=", (rank(bare), sign not in {">", "<"})


@functools.cache
def parse_range(text: str) -> tuple[VersionSpan, ...]:
    """Parse a range: spaces separate comparators, and ``||`` separates alternatives.

    Raises:
        ValueError: it is malformed, or no version matches an alternative.
    """
    return tuple(VersionSpan(part) for part in text.split("||"))


@functools.lru_cache(maxsize=65536)
def in_range(version: str, text: str) -> bool:
    """Return whether ``version`` is in the range ``text``. An invalid version never is.

    Raises:
        ValueError: ``text`` is not a range.
    """
    alternatives = parse_range(text)
    if not semver.Version.is_valid(version):
        return False
    return any(span.holds(rank(version)) for span in alternatives)


def lower_bound_key(text: str | None) -> tuple[bool, Rank]:
    """Return a sort key that orders ranges by their lower bound; None is the range of all versions.

    Raises:
        ValueError: ``text`` is not a range.
    """
    lows = [span.low_bound for span in parse_range(text)] if text else [None]
    bounded = [low[0] for low in lows if low]
    return (False, rank("0.0.0")) if len(bounded) < len(lows) else (True, min(bounded))


def true_runs(flags: Sequence[bool]) -> list[tuple[int | None, int | None]]:
    """Return the first and the last index of each run of ``True``.

    The index is None where a run reaches the start or the end of ``flags``.
    """
    runs: list[tuple[int | None, int | None]] = []
    at = 0
    for value, group in itertools.groupby(flags):
        length = len(list(group))
        if value:
            last = at + length - 1
            runs.append((at or None, last if last + 1 < len(flags) else None))
        at += length
    return runs


def range_text(flags: Sequence[bool], versions: Sequence[str]) -> str | None:
    """Return the range of the ascending ``versions`` that have a true flag; None for all of them.

    It is open at an end if no older, or no newer, version is known.
    """
    parts = []
    for first, last in true_runs(flags):
        if first is None and last is None:
            return None
        if first is not None and first == last:
            parts.append(versions[first])
            continue
        low = [] if first is None else [f">={versions[first]}"]
        high = [] if last is None else [f"<={versions[last]}"]
        parts.append(" ".join((*low, *high)))
    return " || ".join(parts)
