"""A cell's process: started under ``supervise``, its words and its end read as they come."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from typing import TYPE_CHECKING, Self

import msgspec

from gobun.errors import PrerequisiteError
from gobun.matrix.classify import End, Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_MARK = b"@gobun "
_KEPT_HEAD = 48_000
_KEPT_TAIL = 16_000
_LONGEST_LINE = 64_000
_CHUNK = 1 << 16


class Output:
    """What a process printed: its beginning and its end, however much it was."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._cut = 0

    def add(self, data: bytes) -> None:
        """Take in more."""
        room = _KEPT_HEAD - len(self._head)
        self._head += data[:room] if room > 0 else b""
        self._tail += data[max(room, 0) :]
        if len(self._tail) > 2 * _KEPT_TAIL:
            self._cut += len(self._tail) - _KEPT_TAIL
            del self._tail[:-_KEPT_TAIL]

    @property
    def text(self) -> str:
        """All that was kept, with a note where something was left out."""
        note = f"\n… {self._cut} bytes left out …\n".encode() if self._cut else b""
        return (bytes(self._head) + note + bytes(self._tail)).decode(errors="replace")


class SupervisedProcess:
    """A running cell. Use as a context manager: nothing of it is left afterwards."""

    def __init__(
        self,
        supervise: Path,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        inside: Mapping[str, str] | None = None,
        core_bytes: int = 0,
    ) -> None:
        """Start ``command`` with exactly the environment ``env`` and ``inside``.

        ``supervise`` itself does not get ``inside``: what it preloads is for the command alone.

        If it crashes, it may leave a core of ``core_bytes``.

        Raises:
            PrerequisiteError: ``supervise`` cannot be run.
        """
        self.events: list[Event] = []
        self.output = Output()
        self.pid: int | None = None
        self.end: End | None = None
        self.start_error: int | None = None
        self.crowd: int | None = None
        """How many processes there were when there were too many."""
        self._turned_at = {"": time.monotonic()}
        self._line = bytearray()
        self._selector = selectors.DefaultSelector()
        control_read, self._control = os.pipe()
        self._report, report_write = os.pipe()
        try:
            words = [str(supervise), *(("--core", str(core_bytes)) if core_bytes else ())]
            settings = [f"{name}={value}" for name, value in (inside or {}).items()]
            words += [str(control_read), str(report_write), *settings, *command]
            self._process = subprocess.Popen(
                words,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(control_read, report_write),
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._control)
            os.close(self._report)
            raise PrerequisiteError(
                f"cannot run {supervise}: {error.strerror}", hint="`invoke doctor` checks the tools"
            ) from error
        finally:
            os.close(control_read)
            os.close(report_write)
        assert self._process.stdout is not None  # noqa: S101 - for mypy
        assert self._process.stderr is not None  # noqa: S101 - for mypy
        for stream, kind in (
            (self._process.stdout.fileno(), "events"),
            (self._process.stderr.fileno(), "output"),
            (self._report, "report"),
        ):
            os.set_blocking(stream, False)
            self._selector.register(stream, selectors.EVENT_READ, kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        while self.end is None and self._selector.get_map():
            self.listen(1.0)
        self._process.wait()
        self._selector.close()
        os.close(self._report)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def kill(self) -> None:
        """Have the whole process tree killed; ``end`` comes by ``listen`` as always."""
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    def listen(self, timeout_s: float) -> None:
        """Take in what comes within ``timeout_s`` seconds, and return at the first of it."""
        for key, _ in self._selector.select(timeout_s):
            with contextlib.suppress(BlockingIOError):
                data = os.read(key.fd, _CHUNK)
                if not data:
                    self._selector.unregister(key.fd)
                elif key.data == "report":
                    self._take_report(data)
                elif key.data == "events":
                    self._take_lines(data)
                else:
                    self.output.add(data)

    @property
    def progressed_at(self) -> float:
        """When the event loop that is silent for longest last turned, in monotonic seconds.

        A loop counts from ``turns`` to ``ends``; the main thread's always does.
        """
        return min(self._turned_at.values())

    def _note_turn(self, event: Event) -> None:
        if event.at == "ends" and event.source:
            self._turned_at.pop(event.source, None)
        elif event.at == "turns" or event.source in self._turned_at:
            self._turned_at[event.source] = time.monotonic()

    @property
    def closed(self) -> bool:
        """Whether nothing more can come."""
        return not self._selector.get_map()

    def _take_lines(self, data: bytes) -> None:
        self._line += data
        *lines, rest = self._line.split(b"\n")
        for line in lines:
            if (event := _event(line)) is not None:
                self.events.append(event)
                self._note_turn(event)
            else:
                self.output.add(bytes(line) + b"\n")
        if len(rest) > _LONGEST_LINE:
            self.output.add(bytes(rest))
            rest = bytearray()
        self._line = rest

    def _take_report(self, data: bytes) -> None:
        for kind, numbers in _reports(data):
            if kind == "pid":
                self.pid = numbers[0]
            elif kind == "error":
                self.start_error = numbers[0]
            elif kind == "crowd":
                self.crowd = numbers[0]
            else:
                number, user_us, system_us, max_rss_kb, strays = numbers
                self.end = End(
                    exit_code=number if kind == "exit" else None,
                    signal=number if kind == "signal" else None,
                    cpu_ms=(user_us + system_us) // 1000,
                    max_rss_kb=max_rss_kb,
                    strays=strays,
                )


def _event(line: bytes | bytearray) -> Event | None:
    if not line.startswith(_MARK):
        return None
    try:
        return msgspec.json.decode(line[len(_MARK) :], type=Event)
    except msgspec.DecodeError:
        return None


def _reports(data: bytes) -> Iterator[tuple[str, list[int]]]:
    # Lines are far below PIPE_BUF, so each arrives whole.
    for line in data.decode().splitlines():
        kind, *numbers = line.split()
        yield kind, [int(number) for number in numbers]
