"""Shows progress to people: with rich on a terminal, as plain timestamped lines elsewhere.

It honours ``CI=true`` and ``NO_COLOR``. Only ``print_result`` writes to standard output, which
carries only the result of the task.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import rich.console
import rich.markup
import rich.progress

from gobun.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def is_interactive() -> bool:
    """Return whether standard error is a terminal that a person reads."""
    return sys.stderr.isatty() and os.environ.get("CI", "").lower() not in {"1", "true"}


_KEPT_CONTROLS = "\n\t"


def print_result(text: object) -> None:
    """Print a task's result to standard output, with terminal control characters escaped."""
    print(printable(str(text), kept_characters=_KEPT_CONTROLS))


def show_error(text: object) -> None:
    """Print the error that ended a task to standard error."""
    print(printable(str(text), kept_characters=_KEPT_CONTROLS), file=sys.stderr)


def log(message: str) -> None:
    """Print one line of progress."""
    text = printable(message, kept_characters=_KEPT_CONTROLS)
    if is_interactive():
        terminal = rich.console.Console(stderr=True, highlight=False, emoji=False)
        terminal.print(text, markup=False)
    else:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def pluralize(number: int, singular: str, plural: str = "") -> str:
    """Return a number and its noun: ``1 cell``, ``2 cells``, ``3 entries``."""
    return f"{number} {singular if number == 1 else plural or f'{singular}s'}"


def throttled(seconds: float, report: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls ``report`` at most once every ``seconds`` seconds.

    The first interval starts now.
    """
    shown_at = time.monotonic()

    def tell_at_times() -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at >= seconds:
            shown_at = time.monotonic()
            report()

    return tell_at_times


class Progress:
    """The progress of a named amount of work. Several threads may advance it."""

    _PLAIN_EVERY_S = 5.0

    def __init__(
        self, title: str, total: int, bar: rich.progress.Progress | None, unit: str
    ) -> None:
        self._title = title
        self._planned_steps = total
        self._finished_steps = 0
        self._unit = unit
        self._logged_at = time.monotonic()
        self._bar = bar
        self._lock = threading.Lock()
        self._task = bar.add_task(title, total=total) if bar else None

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count ``amount`` more as done; ``note`` appears next to the bar, or on the line."""
        with self._lock:
            self._finished_steps += amount
            if self._bar is not None and self._task is not None:
                title = rich.markup.escape(printable(f"{self._title} {note}".rstrip()))
                self._bar.update(self._task, advance=amount, description=title)
                return
            now = time.monotonic()
            finished = self._finished_steps >= self._planned_steps
            if finished or now - self._logged_at >= self._PLAIN_EVERY_S:
                self._logged_at = now
                log(f"{self._title}: {self._count()} {note}".rstrip())

    def grow(self, amount: int) -> None:
        """Add ``amount`` to the planned work, once its size is known."""
        with self._lock:
            self._planned_steps += amount
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, total=self._planned_steps)

    def _count(self) -> str:
        if self._unit == "bytes":
            return f"{self._finished_steps / 1e6:.0f}/{self._planned_steps / 1e6:.0f} MB"
        return f"{self._finished_steps}/{self._planned_steps}"


@contextlib.contextmanager
def progress(title: str, total: int, *, unit: str = "items") -> Iterator[Progress]:
    """Show the progress of ``total`` units of work; ``unit`` is ``items`` or ``bytes``."""
    if not is_interactive():
        yield Progress(title, total, None, unit)
        return
    amount: rich.progress.ProgressColumn = (
        rich.progress.DownloadColumn() if unit == "bytes" else rich.progress.MofNCompleteColumn()
    )
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        amount,
        rich.progress.TimeElapsedColumn(),
    )
    with rich.progress.Progress(
        *columns, console=rich.console.Console(stderr=True), transient=True
    ) as bar:
        yield Progress(title, total, bar, unit)
