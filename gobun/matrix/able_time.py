"""The clock that a cell's limit goes by: time in which its process was able to run.

The clock on the wall goes on while the machine gives the process nothing, and while the harness
itself stands still (SIGSTOP, a debugger, a laptop that sleeps) and sees nothing of what the process
does. Neither may end a healthy cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun import observe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gobun.observe import Usage

EVERY_S = 0.25
"""How often a process is asked what it used."""
GAP_S = 1.0
"""A longer pause between two looks is the harness's own: it counts for no more than this."""
PATIENCE = 8
"""How often its limit a cell may take, in time that the harness saw."""
STARVED_SHARE, STARVED_AFTER_S = 0.35, 1.0
"""Below this share of the time, after so many seconds, a process counts as starved."""


class AbleClock:
    """Counts the time that a process was able to run, from the moment it is made."""

    def __init__(self, limit_s: float, now: float, pids: Iterable[int] = ()) -> None:
        """Count from ``now``; a process that is not among ``pids`` begins later."""
        self._limit_s = limit_s
        self._last = now
        self._usage = {pid: observe.usage(pid) for pid in pids}
        self.able_s = 0.0
        """Seconds that the process was able to run."""
        self.seen_s = 0.0
        """Seconds on the wall in which the harness ran."""

    def due(self, now: float) -> bool:
        """Return whether it is time for the next look."""
        return now - self._last >= EVERY_S

    def look(self, pids: Iterable[int], now: float) -> None:
        """Count the time since the last look, as far as every process was able to use it."""
        passed = now - self._last
        counted = min(passed, GAP_S)
        usage = {pid: observe.usage(pid) for pid in pids}
        shares = (
            observe.able_share(self._usage.get(pid) or _new(after), after, passed)
            for pid, after in usage.items()
        )
        share = min(shares, default=1.0)
        self._last, self._usage = now, usage
        self.seen_s += counted
        self.able_s += counted * share

    @property
    def over(self) -> bool:
        """Whether the process had all the time that its limit stands for."""
        return self.able_s >= self._limit_s

    @property
    def out_of_patience(self) -> bool:
        """Whether the process took too long, although it had little time of its own."""
        return self.seen_s >= PATIENCE * self._limit_s

    @property
    def gives_up(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.over or self.out_of_patience

    @property
    def starved(self) -> bool:
        """Whether the process was kept from running most of the time."""
        return self.seen_s > STARVED_AFTER_S and self.able_s < STARVED_SHARE * self.seen_s


def _new(usage: Usage) -> Usage:
    """Return what a process had used when it began, since the last look."""
    return msgspec.structs.replace(usage, times={}, major_faults=0, on_disk=False)
