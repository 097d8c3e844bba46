"""The clock that a cell's limit goes by: time in which its process was able to run.

The clock on the wall goes on while the machine gives the process nothing, and while the harness
itself stands still (SIGSTOP, a debugger, a laptop that sleeps) and sees nothing of what the process
does. Neither may end a healthy cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import observe

if TYPE_CHECKING:
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

    def __init__(self, limit_s: float, now: float) -> None:
        self._limit_s = limit_s
        self._last = now
        self._usage: Usage | None = None
        self.able_s = 0.0
        """Seconds that the process was able to run."""
        self.seen_s = 0.0
        """Seconds on the wall in which the harness ran."""

    def due(self, now: float) -> bool:
        """Return whether it is time for the next look."""
        return now - self._last >= EVERY_S

    def look(self, pid: int | None, now: float) -> None:
        """Count the time since the last look, as far as the process was able to use it."""
        passed = now - self._last
        counted = min(passed, GAP_S)
        usage = observe.usage(pid) if pid is not None else None
        share = 1.0
        if usage is not None and self._usage is not None:
            share = observe.able_share(self._usage, usage, passed)
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
    def starved(self) -> bool:
        """Whether the process was kept from running most of the time."""
        return self.seen_s > STARVED_AFTER_S and self.able_s < STARVED_SHARE * self.seen_s
