"""Classifies a finished cell from its events, its output and the end of its process.

``classify`` is pure, and tries the most reliable evidence first: the signal, then the text of a
crash, then the cell's own events, then the exit code. ``hang_detector`` judges cells that did not
finish.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from gobun.cells.records import Ending
from gobun.observe import signal_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_CRASH_TEXT = re.compile(
    r"^(?:"
    r"panic(?:\([^)\n]*\))?: .+"  # Bun and Zig name the thread, Go does not
    r"|oh no: Bun has crashed.*"
    r"|fatal error: .+"  # Go
    r"|unexpected fault address .+"  # Go
    r"|SIG[A-Z]+: .+"  # Go
    r"|\[signal SIG.+"  # Go
    r"|ASSERTION FAILED: .+"  # WebKit
    r"|#? ?Fatal error in .+"  # V8
    r"|FATAL ERROR: .+"  # Node-API
    r")",
    re.MULTILINE,
)


class Event(msgspec.Struct, frozen=True, rename={"source": "in"}):
    """An event that a cell reported about itself."""

    at: str
    why: str = ""
    source: str = ""
    """The thread that reported it; empty for the main thread."""

    @property
    def text(self) -> str:
        """The event as text: ``dispositions: SIGPIPE ignored → handled+on-stack``."""
        return f"{self.at}: {self.why}" if self.why else self.at


class ProcessEnd(msgspec.Struct, frozen=True):
    """How a process ended: either its exit code or its signal is set."""

    exit_code: int | None
    signal: int | None
    cpu_ms: int
    max_rss_kb: int
    """Largest resident memory, in KiB."""
    stray_count: int
    """The number of processes that it left behind and that the supervisor killed."""


TURN_EVENTS = {"beat", "turns", "ends"}
"""Events about event loops. They do not show how far the cell got."""


def steps(events: Sequence[Event]) -> list[Event]:
    """Return the events that show how far a cell got, without those about event loops."""
    return [event for event in events if event.at not in TURN_EVENTS]


def last_step(events: Sequence[Event]) -> str:
    """Return the name of the last step of a cell; ``nothing`` if it reported none."""
    reached = steps(events)
    return reached[-1].at if reached else "nothing"


def classify(end: ProcessEnd, events: Sequence[Event], output: str) -> Ending:
    """Return the outcome of a cell whose process ended by itself.

    ``output`` is the text that it printed outside the protocol channel.
    """
    step = last_step(events)
    text = _CRASH_TEXT.search(output)
    if end.signal is not None:
        text_of_crash = f": {text[0].strip()}" if text else ""
        return Ending("crash", f"{signal_name(end.signal)} after {step!r}{text_of_crash}")
    if text and end.exit_code != 0:
        return Ending("crash", f"{text[0].strip()} (exit code {end.exit_code}, after {step!r})")
    reported = next((event for event in events if event.at in {"skip", "fail", "hang"}), None)
    if reported is not None and reported.at == "skip":
        return Ending("skip", reported.why)
    if reported is not None and reported.at == "hang":
        return Ending("hang", reported.why, "reported")
    if reported is not None:
        return Ending("fail", reported.why.splitlines()[0] if reported.why else "no reason given")
    if end.exit_code != 0:
        return Ending("fail", f"exit code {end.exit_code} after {step!r}")
    if step != "done":
        return Ending("fail", f"ended by itself after {step!r}, before it was done")
    return Ending("pass", "")
