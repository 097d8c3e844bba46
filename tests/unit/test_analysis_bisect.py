"""Bisection on invented releases: the changes of state, and the number of runs to find them."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from typing import TYPE_CHECKING, Literal

import pytest

from gobun.analysis.bisect import MOST_SAMPLES, StateChange, VersionOutcome, bisect
from gobun.analysis.bisect_cells import canaries_of
from gobun.errors import UsageError
from gobun.runtimes.versions import select_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gobun.cells import Outcome

RELEASES = [f"1.{minor}.{patch}" for minor in range(4) for patch in range(32)]


class Fake:
    """A cell that hangs in some versions, and counts its runs."""

    def __init__(
        self, bad: Callable[[str], bool], skip: Callable[[str], bool] | None = None
    ) -> None:
        self.is_bad, self.skip = bad, skip or (lambda _: False)
        self.runs: Counter[str] = Counter()

    def __call__(self, version: str) -> Outcome:
        self.runs[version] += 1
        if self.skip(version):
            return "skip"
        return "hang" if self.is_bad(version) else "pass"


def bad_between(versions: Sequence[str], first: str, last: str) -> Callable[[str], bool]:
    low, high = versions.index(first), versions.index(last)
    return lambda version: low <= versions.index(version) <= high


def test_bisect_hang_in_the_middle_finds_both_ends() -> None:
    probe = Fake(bad_between(RELEASES, "1.2.2", "1.2.19"))
    steps: list[VersionOutcome] = []
    answer = bisect(RELEASES, probe, on_step=steps.append)
    assert answer.text == "bad from 1.2.2 to 1.2.19; first good again 1.2.20"
    assert [(turn.new_state, turn.first_after) for turn in answer.changes] == [
        ("bad", "1.2.2"),
        ("good", "1.2.20"),
    ]
    assert answer.steps == tuple(steps)
    assert len(steps) <= 24
    assert set(probe.runs.values()) == {1, 3}  # a bad one is not run again


def test_bisect_single_change_takes_log_n_steps() -> None:
    chance = random.Random(7)  # noqa: S311
    for _ in range(300):
        count = chance.randint(2, len(RELEASES))
        turn = chance.randint(1, count - 1)
        versions = RELEASES[:count]
        falls = chance.random() < 0.5
        probe = Fake(lambda v, t=turn, f=falls: (RELEASES.index(v) >= t) == f)  # type: ignore[misc]
        ends = [versions[0], versions[-1]]
        good, bad = ends if falls else reversed(ends)
        answer = bisect(versions, probe, good=good, bad=bad, attempts=1)
        into: Literal["good", "bad"] = "bad" if falls else "good"
        assert answer.changes == (StateChange(versions[turn - 1], versions[turn], into),)
        assert len(answer.steps) <= 2 + math.ceil(math.log2(count))
        assert answer.text.startswith("good up to" if falls else "bad up to")


def test_bisect_random_pattern_finds_true_changes() -> None:
    chance = random.Random(8)  # noqa: S311
    refused = 0
    for _ in range(300):
        versions = RELEASES[: chance.randint(2, 60)]
        states = {v: chance.random() < 0.3 for v in versions}
        skips = {v for v in versions if chance.random() < 0.2}
        probe = Fake(states.__getitem__, skips.__contains__)
        try:
            answer = bisect(versions, probe, attempts=1)
        except UsageError:
            refused += 1
            continue
        assert answer.changes
        for turn in answer.changes:
            low, high = versions.index(turn.last_before), versions.index(turn.first_after)
            assert states[turn.first_after] == (turn.new_state == "bad") != states[turn.last_before]
            assert list(turn.untestable) == versions[low + 1 : high]
            assert set(turn.untestable) <= skips
        assert max(probe.runs.values()) == 1
        for earlier, later in itertools.pairwise(answer.changes):
            assert earlier.new_state != later.new_state
    assert refused < 30


def test_bisect_one_bad_attempt_makes_a_version_bad() -> None:
    runs: Counter[str] = Counter()

    def now_and_then(version: str) -> Outcome:
        runs[version] += 1
        bad = RELEASES.index(version) >= 40
        return "hang" if bad and runs[version] == 3 else "pass"

    answer = bisect(RELEASES, now_and_then, good=RELEASES[0], bad=RELEASES[-1])
    assert [(turn.new_state, turn.first_after) for turn in answer.changes] == [
        ("bad", RELEASES[40])
    ]
    bad = next(step for step in answer.steps if step.state == "bad")
    assert bad.outcomes == ("pass", "pass", "hang")


def test_bisect_single_bad_release_finds_both_ends() -> None:
    answer = bisect(RELEASES, Fake(bad_between(RELEASES, "1.2.2", "1.2.4")), bad="1.2.3")
    assert answer.text == "bad from 1.2.2 to 1.2.4; first good again 1.2.5"


def test_bisect_untestable_version_is_skipped_and_reported() -> None:
    skip = bad_between(RELEASES, "1.1.30", "1.2.3")
    probe = Fake(lambda version: RELEASES.index(version) >= 66, skip)
    answer = bisect(RELEASES, probe, good=RELEASES[0], bad=RELEASES[-1])
    (turn,) = answer.changes
    assert (turn.last_before, turn.first_after) == ("1.1.29", "1.2.4")
    assert "1.1.30, 1.1.31, 1.2.0, 1.2.1, 1.2.2, 1.2.3 could not be tested" in answer.text


def test_bisect_canaries_are_matched_to_their_release() -> None:
    releases = (
        "1.2.1-canary.20250120.1",
        "1.2.1-canary.20250201.3",
        "1.2.1-canary.7",  # as the executable names itself: before 1.2.1
        "1.2.2-canary.20250209.1",
        *RELEASES,
    )
    selected = select_versions(canaries_of("1.2.1"), known_versions=releases, tags={})
    assert selected == ("1.2.1-canary.20250120.1", "1.2.1-canary.20250201.3")


def test_bisect_canaries_between_releases_are_tested() -> None:
    days = [f"1.2.1-canary.2025010{day}.1" for day in range(1, 8)]
    tested: list[tuple[str, str]] = []

    def canaries(low: str, high: str) -> list[str]:
        tested.append((low, high))
        return days if low == "1.2.1" else []

    order = [*RELEASES[: RELEASES.index("1.2.2")], *days, *RELEASES[RELEASES.index("1.2.2") :]]
    probe = Fake(bad_between(order, days[4], "1.2.19"))
    answer = bisect(RELEASES, probe, canaries=canaries)
    assert tested == [("1.2.1", "1.2.2"), ("1.2.19", "1.2.20")]
    assert answer.canaries == (StateChange(days[3], days[4], "bad"),)
    assert answer.text == (
        "bad from 1.2.2 to 1.2.19; first good again 1.2.20;"
        " with canaries: good up to 1.2.1-canary.20250104.1, bad from 1.2.1-canary.20250105.1"
    )


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("1.0.0", "1.3.31", r"1\.3\.31 was given as bad and is good, and so the ends do not"),
        ("1.2.5", "1.2.6", r"1\.2\.5 was given as good and is bad, and so the ends do not"),
        ("1.2.5", "1.0.0", r"1\.2\.5 was given as good and is bad"),
        ("1.2.5", None, r"1\.2\.5 was given as good and is bad$"),
        ("9.9.9", None, r"unknown version for --good '9\.9\.9'"),
    ],
)
def test_bisect_wrong_ends_are_rejected(good: str | None, bad: str | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        bisect(RELEASES, Fake(bad_between(RELEASES, "1.2.2", "1.2.19")), good=good, bad=bad)
    caught.match(message.removesuffix("$"))


@pytest.mark.parametrize("state", [True, False])
def test_bisect_without_change_is_rejected(state: bool) -> None:
    probe = Fake(lambda _: state)
    with pytest.raises(UsageError, match=f"all are {'bad' if state else 'good'}"):
        bisect(RELEASES, probe)
    assert len(probe.runs) == MOST_SAMPLES
    with pytest.raises(UsageError, match="all are untestable"):
        bisect(RELEASES[:4], Fake(lambda _: False, lambda _: True))
    with pytest.raises(UsageError, match="nothing to bisect"):
        bisect(["1.0.0"], probe)
    with pytest.raises(UsageError, match="0 attempts"):
        bisect(RELEASES, probe, attempts=0)


def test_bisect_step_is_one_line() -> None:
    assert (
        VersionOutcome("1.2.3", ("pass", "hang"), "bad", 7).text
        == "1.2.3: pass/hang: bad, 7 left between"
    )
    assert VersionOutcome("1.2.3", ("pass",), "good", 0).text == "1.2.3: pass: good"
