"""The clock for a cell's time limit: it counts only time in which the process was able to run.

Wall-clock time also passes while the machine gives the process no processor. It passes while the
harness itself is stopped (SIGSTOP, a debugger, a sleeping laptop) and cannot see the process.
Neither may end a healthy cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun import observe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gobun.observe import Usage

EVERY_S = 0.25
"""Seconds between two readings of a process's usage."""
GAP_S = 1.0
"""A longer gap between two readings means that the harness itself could not run. The gap counts as
this many seconds."""
PATIENCE = 8
"""A cell may take this many times its limit, in time during which the harness ran."""
STARVED_SHARE, STARVED_AFTER_S = 0.35, 1.0
"""A process that ran for less than this share of the time, after this many seconds, is starved."""


class AbleClock:
    """Counts the time in which a process was able to run, from the moment the clock is made."""

    def __init__(self, limit_s: float, now: float, pids: Iterable[int] = ()) -> None:
        """Count from ``now``. The usage of a process outside ``pids`` counts from its start."""
        self._limit_s = limit_s
        self._last_reading = now
        self._usage = {pid: observe.usage(pid) for pid in pids}
        self.able_s = 0.0
        """Seconds that the process was able to run."""
        self.seen_s = 0.0
        """Seconds of wall-clock time in which the harness ran."""

    def is_due(self, now: float) -> bool:
        """Return whether the next reading is due."""
        return now - self._last_reading >= EVERY_S

    def look(self, pids: Iterable[int], now: float) -> None:
        """Add the time since the last reading, as far as every process was able to use it."""
        passed = now - self._last_reading
        counted_s = min(passed, GAP_S)
        usage = {pid: observe.usage(pid) for pid in pids}
        shares = (
            observe.able_share(self._usage.get(pid) or _zero_usage(after), after, passed)
            for pid, after in usage.items()
        )
        share = min(shares, default=1.0)
        self._last_reading, self._usage = now, usage
        self.seen_s += counted_s
        self.able_s += counted_s * share

    @property
    def is_over(self) -> bool:
        """Whether the process has used up its time limit."""
        return self.able_s >= self._limit_s

    @property
    def out_of_patience(self) -> bool:
        """Whether the process took too long, although it could run for little of the time."""
        return self.seen_s >= PATIENCE * self._limit_s

    @property
    def gives_up(self) -> bool:
        """Whether there is nothing left to wait for: the limit or the patience is used up."""
        return self.is_over or self.out_of_patience

    @property
    def is_starved(self) -> bool:
        """Whether the process was kept from running for most of the time."""
        return self.seen_s > STARVED_AFTER_S and self.able_s < STARVED_SHARE * self.seen_s


def _zero_usage(usage: Usage) -> Usage:
    """Return zero usage for the threads of a process that is new since the last reading."""
    return msgspec.structs.replace(usage, thread_times={}, major_faults=0, on_disk=False)
