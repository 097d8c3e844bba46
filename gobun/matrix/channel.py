"""The protocol channel: a cell reports its progress on a FIFO of its own.

A cell's module may print anything on standard output and standard error, so neither carries the
protocol. The channel is a FIFO in the cell's private folder. Each line on it is a *frame*. A frame
begins with a random key that only this cell has::

    @gobun KEY LINE NUMBER {"at": "called"}

The scenario reads the key from a file, deletes the file before it loads the module, and keeps the
key in a closure. LINE names the thread that writes. NUMBER counts that thread's frames, so a
replayed frame is rejected. ``docs/trust-boundary.md`` lists the attacks that this does not stop.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
import secrets
import time
from typing import TYPE_CHECKING

import msgspec

from gobun.decoding import decoder_of
from gobun.matrix.classify import TURN_EVENTS, Event

if TYPE_CHECKING:
    from pathlib import Path

FOLDER_NAME = ".gobun"
_FRAME = re.compile(rb"@gobun ([0-9a-f]{32}) ([0-9.]{1,60}) ([0-9]{1,15}) (\{.*\})")
_EVENTS = decoder_of(Event)
_LONGEST_FRAME = 8192
"""Bytes. The scenario writes at most PIPE_BUF, so that frames of several threads never mix."""
_CHUNK = 1 << 16
_KEPT_STEPS = 200
"""The harness keeps this many steps from the beginning of a cell, and as many from its end."""
_MOST_SOURCES = 256
"""Number of threads whose frames and event loops count."""


class Progress:
    """A cell's progress: a bounded number of steps, and the last turn of each event loop."""

    def __init__(self) -> None:
        self.count = 0
        """The number of events, heartbeats included."""
        self._first_events: list[Event] = []
        self._last_events: collections.deque[Event] = collections.deque(maxlen=_KEPT_STEPS)
        self._turned_at = {"": time.monotonic()}

    def add(self, event: Event) -> None:
        """Record one event."""
        self.count += 1
        self._note_turn(event)
        if event.at in TURN_EVENTS:
            return
        if len(self._first_events) < _KEPT_STEPS:
            self._first_events.append(event)
        else:
            self._last_events.append(event)

    @property
    def steps(self) -> list[Event]:
        """The first and the last steps, without the turns of event loops."""
        return [*self._first_events, *self._last_events]

    @property
    def progressed_at(self) -> float:
        """When the event loop that has been silent longest last turned, in monotonic seconds.

        A loop counts from its ``turns`` event to its ``ends`` event. The main thread's loop always
        counts.
        """
        return min(self._turned_at.values())

    def _note_turn(self, event: Event) -> None:
        if event.at == "ends" and event.source:
            self._turned_at.pop(event.source, None)
        elif event.source in self._turned_at or (
            event.at == "turns" and len(self._turned_at) < _MOST_SOURCES
        ):
            self._turned_at[event.source] = time.monotonic()


class Channel:
    """The harness's end of the channel. Use as a context manager."""

    def __init__(self, home: Path) -> None:
        """Make the channel in ``home``, the private folder of a cell.

        Raises:
            OSError: the folder cannot be written.
        """
        self.folder = home / FOLDER_NAME
        self.progress = Progress()
        self.refused_frames = 0
        """The number of lines that are not frames of this cell: forged, damaged, or replayed."""
        self._key = secrets.token_hex(16).encode()
        self._numbers: dict[bytes, int] = {}
        self._unfinished_frame = bytearray()
        self.folder.mkdir(mode=0o700)
        key = os.open(self.folder / "key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(key, "wb") as stream:  # noqa: PTH123 - opened for its owner alone
            stream.write(self._key)
        events = self.folder / "events"
        os.mkfifo(events, 0o600)
        self.fd = os.open(events, os.O_RDONLY | os.O_NONBLOCK)
        # Keep a writer open: otherwise the file ends when the cell's last writer closes it.
        self._writer = os.open(events, os.O_WRONLY | os.O_NONBLOCK)

    def close(self) -> None:
        """Close both ends."""
        for fd in (self.fd, self._writer):
            os.close(fd)

    def read(self) -> int:
        """Read the frames that have arrived, at most 64 KiB; return the number of bytes read."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.fd, _CHUNK)
        self._unfinished_frame += data
        *lines, rest = self._unfinished_frame.split(b"\n")
        for line in lines:
            self._take_frame(bytes(line))
        if len(rest) > _LONGEST_FRAME:
            self.refused_frames += 1
            rest = bytearray()
        self._unfinished_frame = rest
        return len(data)

    def _take_frame(self, line: bytes) -> None:
        if not line:  # A frame also begins with a newline, so text before it is harmless.
            return
        event = self._event(line)
        if event is None:
            self.refused_frames += 1
        else:
            self.progress.add(event)

    def _event(self, line: bytes) -> Event | None:
        frame = _FRAME.fullmatch(line)
        if frame is None or not secrets.compare_digest(frame[1], self._key):
            return None
        thread, number = frame[2], int(frame[3])
        if thread not in self._numbers and len(self._numbers) >= _MOST_SOURCES:
            return None
        if number <= self._numbers.get(thread, 0):
            return None
        try:
            event = _EVENTS.decode(frame[4].decode(errors="replace"))
        except msgspec.DecodeError:
            return None
        self._numbers[thread] = number
        return event
