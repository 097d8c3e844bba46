"""Measures how much slower a machine is than the one that a job came from.

The measure is processor time of one thread, so other work in the same machine does not count. In a
guest it also grows when the host gives the machine too little, which the guest cannot see
otherwise. A limit that follows this measure never takes a slow machine for a hang.
"""

from __future__ import annotations

import time

_ROUNDS = 40_000
_TIMES = 3


def loop_s(times: int = _TIMES) -> float:
    """Return the seconds of processor time that one fixed loop takes, the best of ``times``."""
    return min(_once() for _ in range(times))


def _once() -> float:
    began = time.thread_time()
    text, total = "", 0
    for number in range(_ROUNDS):
        total = (total * 31 + number) & 0xFFFF
        text = f"{text[-8:]}{total}"
    return time.thread_time() - began


class Slowness:
    """Tells how many times slower this machine is than the reference, each time it is asked."""

    def __init__(self, reference_s: float) -> None:
        """Compare with ``reference_s``, the seconds that the loop took there."""
        self._reference_s = reference_s
        self._usual = loop_s() / reference_s

    @property
    def usual(self) -> float:
        """The factor as it was at first; below 1 where this machine is faster."""
        return self._usual

    def __call__(self) -> float:
        """Return the factor of this moment; it is never below the first one, nor below 1."""
        return max(1.0, self._usual, loop_s(times=1) / self._reference_s)
