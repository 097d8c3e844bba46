"""Reports the progress of a build and estimates the remaining time."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import msgspec

from gobun import console

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.bun_source.build_stages import Stage

_STEP = re.compile(r"\[(\d+)/(\d+)\]")
_TAIL_BYTES = 4096
_PRIOR_S = 60.0
"""Seconds of work to assume at the expected rate, so that the first estimates do not jump."""
_LINE_WIDTH = 80
"""Longest part of a log line that is shown, in characters."""
_MOST_BEFORE_END = 0.95
"""Highest progress assumed for a stage without counters that runs longer than expected."""


class BuildProgress:
    """The stages of one build, and the seconds that they took in this run.

    A stage that an earlier run finished is not part of the estimate, as it took no time here.
    """

    def __init__(self, stages: Sequence[Stage], folder: Path, log: Path) -> None:
        self._stages = tuple(stages)
        self._folder = folder
        self._log = log
        self._spent_s = 0.0
        self._finished_weight = 0.0
        self._position = 0
        self._stage_started_at = time.monotonic()
        self._made_before = 0.0

    def begin(self, position: int) -> None:
        """Note that the stage at ``position`` starts."""
        self._position, self._stage_started_at = position, time.monotonic()
        file_counts = self._file_counts()
        self._made_before = file_counts[0] / file_counts[1] if file_counts else 0.0
        if len(self._stages) > 1:
            console.log(self._progress_text)

    def end(self) -> None:
        """Note that the stage is finished. Files that an earlier run made do not count."""
        self._spent_s += time.monotonic() - self._stage_started_at
        self._finished_weight += self._stages[self._position].weight * (1 - self._made_before)

    def print_progress(self) -> None:
        """Log how far the build is, and the estimate of the remaining time."""
        steps = self._steps()
        progress = f"step {steps[0]} of {steps[1]}" if steps else self._last_words()
        minutes = self.minutes_left(time.monotonic() - self._stage_started_at)
        console.log(f"still building, {self._progress_text}, about {minutes} min left: {progress}")

    def minutes_left(self, elapsed_s: float) -> int:
        """Return an estimate of the remaining minutes, ``elapsed_s`` seconds into the stage."""
        stage = self._stages[self._position]
        rate = (self._spent_s + _PRIOR_S) / (self._finished_weight + _PRIOR_S)
        steps = self._steps()
        if steps and steps[0]:
            share = steps[0] / steps[1]
            rest_s = elapsed_s / share - elapsed_s if elapsed_s > _PRIOR_S else 0.0
            rest_s = max(rest_s, stage.weight * rate * (1 - share))
        else:
            share = min(elapsed_s / (stage.weight * rate), _MOST_BEFORE_END)
            rest_s = stage.weight * rate * (1 - share)
        later = sum(each.weight for each in self._stages[self._position + 1 :])
        return max(1, round((rest_s + later * rate) / 60))

    @property
    def _progress_text(self) -> str:
        name = self._stages[self._position].name
        return f"stage {self._position + 1} of {len(self._stages)}, {name}"

    def _steps(self) -> tuple[int, int] | None:
        """Return the finished and total steps: files if the stage counts them, else ninja's."""
        if self._stages[self._position].counted_files is not None:
            return self._file_counts()
        steps = _STEP.findall(self._tail())
        return (int(steps[-1][0]), int(steps[-1][1])) if steps else None

    def _file_counts(self) -> tuple[int, int] | None:
        """Return the made and total files of a stage that counts them."""
        patterns = self._stages[self._position].counted_files
        if patterns is None:
            return None
        total = sum(len(list(self._folder.glob(pattern))) for pattern in patterns.sources)
        count = len(list(self._folder.glob(patterns.output_pattern)))
        return (min(count, total), total) if total else None

    def _last_words(self) -> str:
        """Return the end of the last line that the stage wrote to the log."""
        lines = [line for line in self._tail().splitlines() if line.strip()]
        return lines[-1].strip()[-_LINE_WIDTH:] if lines else "nothing written yet"

    def _tail(self) -> str:
        with self._log.open("rb") as stream:
            stream.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
            return stream.read().decode(errors="replace")


class CountedFiles(msgspec.Struct, frozen=True):
    """File patterns that measure a silent stage's progress: its sources and its outputs."""

    sources: tuple[str, ...]
    """Patterns of sources, relative to the checkout. Each source becomes one output file."""
    output_pattern: str
    """The pattern of the output files."""
