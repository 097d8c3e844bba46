"""Watches one cell from its start to its end, a verdict, or its limit.

An end that has already arrived, or new progress, takes precedence over every verdict. So the
monitor reads the channel once more before it reports a hang. This also covers events from a time in
which the harness itself could not run.
"""

from __future__ import annotations

import collections
import time
from typing import TYPE_CHECKING

from gobun.matrix import hang_detector
from gobun.matrix.able_time import AbleClock
from gobun.matrix.samples import SUSPICIOUS_S, Sample, Sampler, sample_is_due

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from gobun.cells.records import Ending
    from gobun.matrix.supervised_process import SupervisedProcess
    from gobun.matrix.witness import Witness

_LISTEN_S = 0.025
_KEPT_SAMPLES = 400
"""Number of samples kept of a silent process."""


class StoppedError(Exception):
    """The run is being stopped, so this cell has no result."""


class Monitor:
    """Watches a cell.

    Afterwards ``is_starved`` shows whether the cell got too little processor time.
    """

    def __init__(
        self,
        child: SupervisedProcess,
        limit_s: float,
        witness: Witness,
        *,
        slowness: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch ``child`` until it has been able to run for ``limit_s`` seconds.

        ``slowness`` is the factor by which this machine is slower than a usual one. It multiplies
        the limit.
        """
        limit_s *= slowness
        self._slowness = slowness
        self._child = child
        self._witness = witness
        self._limit_s = limit_s
        self._clock = clock
        self._able_clock = AbleClock(limit_s, clock())
        self._samples: collections.deque[Sample] = collections.deque(maxlen=_KEPT_SAMPLES)
        self._sampler: Sampler | None = None
        self._progress = (0.0, 0.0)
        """The time of the cell's last progress, and the seconds it had been able to run by then."""

    @property
    def is_starved(self) -> bool:
        """Whether the cell was kept from running for most of the time."""
        return self._able_clock.is_starved

    def watch(self, stop: threading.Event) -> Ending | None:
        """Watch the cell until it ends. Return a verdict if it does not end by itself, else None.

        Raises:
            StoppedError: ``stop`` was set meanwhile.
        """
        while not self._child_is_over:
            self._child.listen(SUSPICIOUS_S if self._is_after_lively else _LISTEN_S)
            if stop.is_set():
                raise StoppedError
            self._keep_time()
            if not self._child_is_over:
                self._witness.look(self._child.pid, self._child.events, self._clock())
            sample = self._sample()
            if sample or self._able_clock.gives_up:
                self._child.listen(0.0)
                if not self._child_is_over and (ending := self._verdict()) is not None:
                    return ending
        return None

    @property
    def _child_is_over(self) -> bool:
        return self._child.is_over

    @property
    def _is_after_lively(self) -> bool:
        return bool(self._samples) and self._samples[-1].is_lively

    def _keep_time(self) -> None:
        now = self._clock()
        if self._able_clock.is_due(now):
            self._able_clock.look(self._child.pids, now)
        if self._child.progressed_at != self._progress[0]:
            self._progress = (self._child.progressed_at, self._able_clock.able_s)

    def _sample(self) -> bool:
        """Take a sample if one is due, and return whether it was."""
        pid, now = self._child.pid, self._clock()
        elapsed = now - self._samples[-1].at if self._samples else float("inf")
        silent_s = now - self._child.progressed_at
        if pid is None or not sample_is_due(
            elapsed,
            silent_s,
            self._slowness,
            after_lively=self._is_after_lively,
            is_starting=not self._child.events,
        ):
            return False
        if self._sampler is None:
            self._sampler = Sampler(pid, signals=False)
        self._samples.append(self._sampler.take_sample(now))
        return True

    def _verdict(self) -> Ending | None:
        progressed_at, now = self._child.progressed_at, self._clock()
        while self._samples and self._samples[0].at < progressed_at:
            self._samples.popleft()
        hang = hang_detector.judge(self._samples, progressed_at, self._slowness)
        if hang is not None:
            return hang
        stale_s = now - progressed_at
        if self._able_clock.is_over:
            able_s = self._able_clock.able_s - self._progress[1]
            return hang_detector.verdict_at_limit(
                self._samples, stale_s, self._limit_s, able_s=able_s
            )
        if self._able_clock.out_of_patience:
            return hang_detector.starved_ending(
                stale_s, self._able_clock.able_s, self._able_clock.seen_s
            )
        return None
