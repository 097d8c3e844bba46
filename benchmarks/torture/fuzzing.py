"""Feeds random inputs to a reader until the time is spent, and counts unexpected errors."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, TypeVar

import hypothesis
import hypothesis.configuration
from hypothesis import strategies as st

from benchmarks.torture.registry import Budget, Figure
from gobun.errors import GobunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_T = TypeVar("_T")

_BATCH = 200
_LEAST_INPUTS = 20
_SLOWEST_S = 2.0
"""A reader that needs longer for a small input has a cost that grows too fast."""


def fuzz(
    budget: Budget,
    inputs: st.SearchStrategy[_T],
    feed: Callable[[_T], object],
    *,
    allowed: tuple[type[Exception], ...] = (GobunError,),
    slowest_s: float = _SLOWEST_S,
    least: int = _LEAST_INPUTS,
) -> Iterator[Figure]:
    """Feed inputs until the budget is spent, and yield the figures.

    A reader may raise the errors in ``allowed``. It gets at least ``least`` inputs, even if the
    machine is too slow for the budget.
    """
    hypothesis.configuration.set_hypothesis_home_dir(budget.folder / "hypothesis")
    tally = _Tally(feed, allowed)
    batch = 0
    while budget.remains() or tally.inputs < least:
        _one_batch(lambda: budget.remains() or tally.inputs < least, inputs, tally, batch)
        batch += 1
    yield Figure("inputs", tally.inputs, at_least=1)
    yield Figure("refused with an error of ours", tally.refused_count)
    yield Figure("uncaught exceptions", tally.uncaught_count, at_most=0, detail=tally.first_error)
    slowest = "processor time for the slowest input"
    yield Figure(slowest, tally.longest_s, "s", at_most=slowest_s, detail=tally.slowest_input)


class _Tally:
    def __init__(self, feed: Callable[[_T], object], allowed: tuple[type[Exception], ...]) -> None:
        self._feed = feed
        self._allowed_errors = allowed
        self.inputs = self.refused_count = self.uncaught_count = 0
        self.longest_s = 0.0
        self.first_error = self.slowest_input = ""

    def try_input(self, value: object) -> None:
        started = time.process_time()
        self.inputs += 1
        try:
            self._feed(value)  # type: ignore[arg-type]  # the strategy and the reader agree
        except self._allowed_errors:
            self.refused_count += 1
        except Exception as error:  # noqa: BLE001 - this is what is counted
            self.uncaught_count += 1
            self.first_error = (
                self.first_error or f"{type(error).__name__}: {error}, of {value!r:.400}"
            )
        seconds = time.process_time() - started
        if seconds > self.longest_s:
            self.longest_s, self.slowest_input = seconds, f"{value!r:.400}"


def _one_batch(
    goes_on: Callable[[], bool], inputs: st.SearchStrategy[_T], tally: _Tally, number: int
) -> None:
    settings = hypothesis.settings(
        max_examples=_BATCH,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    def take(value: _T) -> None:
        if goes_on():
            tally.try_input(value)

    hypothesis.seed(number)(settings(hypothesis.given(inputs)(take)))()


def mutations_of(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy: one of ``seeds`` with bytes changed, removed, doubled or cut off."""
    return randomly(lambda random: _mutate(random, random.choice(seeds)))


def randomly(make: Callable[[Random], _T]) -> st.SearchStrategy[_T]:
    """Return a strategy that makes a value from one seed, which costs far less than many draws."""
    return st.integers(0, (1 << 64) - 1).map(lambda seed: make(Random(seed)))


def _mutate(random: Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 6))):
        at = random.randrange(len(data) + 1)
        end = at + random.choice((1, 2, 8, 64))
        change = random.choice(("set", "cut", "insert", "remove", "double"))
        if change == "set":
            data[at : at + 1] = random.randbytes(random.choice((1, 1, 2, 8)))
        elif change == "cut":
            del data[at:]
        elif change == "insert":
            data[at:at] = random.choice(_INTERESTING_BYTES)
        else:
            data[at:end] = b"" if change == "remove" else bytes(data[at:end]) * 2
    return bytes(data)


_INTERESTING_BYTES = (
    b"\0",
    b"\n",
    b"\xff",
    b"\x1b[2J",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0\0\0\0\x80",
    "\u202e".encode(),
    b"9" * 5000,
    b"-1",
    b'"',
    b"[" * 5000,
    b"\\",
)
