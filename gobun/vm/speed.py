"""Measures how much slower a machine is than the one that a job came from.

The measure is processor time of one thread, so other work in the same machine does not count. In a
guest it also grows when the host gives the guest too little time, which the guest cannot see
otherwise. A limit that follows this measure never takes a slow machine for a hang.
"""

from __future__ import annotations

import collections
import statistics
import threading
import time

_ROUNDS = 40_000
_MEASUREMENTS = 3
_LATEST_COUNT = 5
"""Number of samples for the median."""


def loop_s(repetitions: int = _MEASUREMENTS) -> float:
    """Return the processor time of one fixed loop in seconds, the best of ``repetitions``."""
    return min(measure_once() for _ in range(repetitions))


def measure_once() -> float:
    """Return the processor time of a fixed piece of work on this thread, in seconds."""
    began = time.thread_time()
    text, total = "", 0
    for number in range(_ROUNDS):
        total = (total * 31 + number) & 0xFFFF
        text = f"{text[-8:]}{total}"
    return time.thread_time() - began


class Slowness:
    """Each call returns how many times slower this machine is than the reference.

    A sample says little about the minutes that follow, so the factor is never below the median of
    the last samples. Samples before those do not count: a busy host at the start must not lengthen
    every limit of a long run.
    """

    def __init__(self, reference_s: float) -> None:
        """Compare with ``reference_s``, the result of ``loop_s`` on the reference machine."""
        self._reference_s = reference_s
        self._usual_factor = loop_s() / reference_s
        self._latest_factors = collections.deque([self._usual_factor], maxlen=_LATEST_COUNT)
        self._lock = threading.Lock()

    @property
    def usual_factor(self) -> float:
        """The factor at the first sample; below 1 if this machine is faster."""
        return self._usual_factor

    def __call__(self) -> float:
        """Return the largest of the factor now, the median of the last factors, and 1."""
        now = loop_s(repetitions=1) / self._reference_s
        with self._lock:  # several cells begin at once
            self._latest_factors.append(now)
            return max(1.0, now, statistics.median(self._latest_factors))
