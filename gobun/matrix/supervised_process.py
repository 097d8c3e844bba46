"""A cell's process, started under ``supervise``: its output, its events and its end.

Every wait has a deadline. The child and its descendants may kill or stop their supervisor, hold the
output open forever, or write any bytes.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from gobun import strays
from gobun.errors import PrerequisiteError
from gobun.matrix.able_time import AbleClock
from gobun.matrix.classify import Event, ProcessEnd
from gobun.matrix.control_groups import CellGroup
from gobun.observe import signal_name

if TYPE_CHECKING:
    from gobun.matrix.channel import Channel

_KEPT_HEAD = 48_000
_KEPT_TAIL = 16_000
"""Bytes that are kept from the beginning of an output, and at least from its end."""
_LONGEST_REPORT = 4096
_CHUNK = 1 << 16
_LOOK_AGAIN_S = 0.25
"""Seconds between two looks at the supervisor itself."""
END_WITHIN_S = 5.0
"""Seconds for a supervisor to kill everything after the request. Only time in which it and the cell
were able to run counts."""
STOP_WITHIN_S = 1.5
"""The same, in wall-clock seconds, while the run is being stopped."""
_DRAIN_S = 1.0
"""Seconds for reading a process's output after its end. A stray process may hold the output
open."""


class Output:
    """The beginning and the end of a process's output, whatever its length."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._cut_bytes = 0

    def add(self, data: bytes) -> None:
        """Add output."""
        room = _KEPT_HEAD - len(self._head)
        self._head += data[:room] if room > 0 else b""
        self._tail += data[max(room, 0) :]
        if len(self._tail) > 2 * _KEPT_TAIL:
            self._cut_bytes += len(self._tail) - _KEPT_TAIL
            del self._tail[:-_KEPT_TAIL]

    @property
    def text(self) -> str:
        """The kept text, with a note in place of any omission."""
        note = f"\n… {self._cut_bytes} bytes left out …\n".encode() if self._cut_bytes else b""
        return (bytes(self._head) + note + bytes(self._tail)).decode(errors="replace")


class Launch(msgspec.Struct, frozen=True):
    """A command to start, with its folder, environment and limits."""

    command: Sequence[str]
    cwd: Path
    """The private folder that it runs in."""
    env: Mapping[str, str]
    """The whole environment of ``supervise``. The command inherits it."""
    command_env: Mapping[str, str] = {}
    """Further variables for the command alone: ``supervise`` must not preload its libraries."""
    core_bytes: int = 0
    """Largest core that a crash may leave, in bytes."""
    group: CellGroup = CellGroup()
    """The control groups that the command runs in, if any."""

    def command_line(self, supervise: Path) -> list[str]:
        """Return the command line that starts the command under ``supervise``."""
        core = ("--core", str(self.core_bytes)) if self.core_bytes else ()
        groups = [word for folder in self.group.folders for word in ("--group", str(folder))]
        settings = [f"{name}={value}" for name, value in self.command_env.items()]
        return [str(supervise), *core, *groups, *settings, *self.command]


class SupervisedProcess:
    """A running cell. Use as a context manager, which leaves no process behind."""

    def __init__(self, supervise: Path, launch: Launch, channel: Channel | None = None) -> None:
        """Start ``launch`` under the program ``supervise``, and listen to ``channel``.

        Raises:
            PrerequisiteError: ``supervise`` cannot be run.
        """
        self.stdout = Output()
        self.stderr = Output()
        self.pid: int | None = None
        self.end: ProcessEnd | None = None
        self.start_error: int | None = None
        """The errno with which the command failed to start; None if it started."""
        self.crowd: int | None = None
        """The number of processes when it exceeded the limit; None if it did not."""
        self.fault: str | None = None
        """How the child interfered with its supervision. If set, its reported end is unreliable."""
        self._launch = launch
        self._channel = channel
        self._started_at = time.monotonic()
        self._looked_at = 0.0
        self._killed = False
        self._finished = False
        self._reports = bytearray()
        self._selector = selectors.DefaultSelector()
        self._control, child_socket = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                launch.command_line(supervise),
                cwd=launch.cwd,
                env=dict(launch.env),
                stdin=child_socket.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self._control.close()
            self._selector.close()
            raise PrerequisiteError(
                f"cannot run {supervise}: {error.strerror}", hint="`invoke doctor` checks the tools"
            ) from error
        finally:
            child_socket.close()
        assert self._process.stdout is not None  # noqa: S101 - for mypy
        assert self._process.stderr is not None  # noqa: S101 - for mypy
        self._control.setblocking(False)
        for stream, kind in ((self._process.stdout, "stdout"), (self._process.stderr, "stderr")):
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream.fileno(), selectors.EVENT_READ, kind)
        self._selector.register(self._control.fileno(), selectors.EVENT_READ, "report")
        if channel is not None:
            self._selector.register(channel.fd, selectors.EVENT_READ, "channel")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.finish(without_delay=kind is not None)
        finally:
            self._selector.close()
            self._control.close()
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()

    @property
    def is_over(self) -> bool:
        """Whether its process has ended, or the harness has lost control of it."""
        return self.end is not None or self.fault is not None or self._finished

    @property
    def pids(self) -> tuple[int, ...]:
        """The supervisor, and the process once its id is known."""
        return (self._process.pid,) if self.pid is None else (self._process.pid, self.pid)

    @property
    def events(self) -> list[Event]:
        """The steps that it reported: the first and the last ones."""
        return self._channel.progress.steps if self._channel else []

    @property
    def progressed_at(self) -> float:
        """The time of its last progress, in monotonic seconds."""
        return self._channel.progress.progressed_at if self._channel else self._started_at

    @property
    def printed_text(self) -> str:
        """The kept part of its standard output, then of its standard error."""
        return "\n".join(text for text in (self.stdout.text, self.stderr.text) if text)

    def kill(self) -> None:
        """Make the supervisor kill the whole process tree; ``listen`` receives ``end`` as usual."""
        self._killed = True
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def listen(self, timeout_s: float) -> None:
        """Wait up to ``timeout_s`` seconds for output or events, and read the first that arrive."""
        for key, _ in self._selector.select(timeout_s):
            self._read_stream(key.fd, key.data)
        if time.monotonic() - self._looked_at >= _LOOK_AGAIN_S:
            self._look_at_supervisor()

    def finish(self, *, without_delay: bool = False) -> None:
        """Kill the whole process tree if it has not ended, and read the rest of its output.

        It waits until the processes have been able to run for ``END_WITHIN_S`` seconds at most or,
        if ``without_delay``, for ``STOP_WITHIN_S`` seconds at most. If the supervisor has not ended
        by then, it is killed and ``fault`` records that.
        """
        if self._finished:
            return
        if self.end is None:
            self.kill()
        within_s = STOP_WITHIN_S if without_delay else END_WITHIN_S
        # Dying takes processor time. A run that is being stopped does not wait for that.
        dying = () if without_delay else self.pids
        clock = AbleClock(within_s, time.monotonic(), dying)
        while self.end is None and self._is_open("report") and not clock.gives_up:
            self.listen(min(0.1, within_s))
            if clock.is_due(now := time.monotonic()):
                clock.look(dying, now)
        if self.end is None:
            self._fault(f"the supervisor did not end within {within_s:g} s after it was told to")
        self._finished = True
        with contextlib.suppress(ProcessLookupError):
            # If the supervisor has not ended, only this ends it.
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DRAIN_S)
        if self.fault is not None:
            self._launch.group.kill()
            strays.kill_marked(self._launch.cwd, within_s=_DRAIN_S)
        self._drain_pipes()

    def _drain_pipes(self) -> None:
        """Read the rest of the pipes. Stray processes may still hold the other end open."""
        deadline = time.monotonic() + _DRAIN_S
        while self._selector.get_map() and time.monotonic() < deadline:
            ready = self._selector.select(0)
            if sum(self._read_stream(key.fd, key.data) for key, _ in ready) == 0:
                return

    def _is_open(self, kind: str) -> bool:
        return any(key.data == kind for key in self._selector.get_map().values())

    def _read_stream(self, fd: int, kind: str) -> int:
        """Read once from one of the streams, and return the number of bytes."""
        if kind == "channel":
            assert self._channel is not None  # noqa: S101 - for mypy
            return self._channel.read()
        data = b""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError:  # the peer reset the socket
            pass
        if not data:
            self._selector.unregister(fd)
            if kind == "report" and self.end is None:
                self._look_at_supervisor()
                self._fault("its supervisor was killed")
        elif kind == "report":
            self._take_reports(data)
        else:
            (self.stdout if kind == "stdout" else self.stderr).add(data)
        return len(data)

    def _fault(self, message: str) -> None:
        self.fault = self.fault or message

    def _look_at_supervisor(self) -> None:
        """Check whether the supervisor was stopped: a stopped one never reports anything."""
        self._looked_at = time.monotonic()
        if sys.platform == "darwin" or self._process.returncode is not None:
            return
        state = None
        with contextlib.suppress(ChildProcessError):
            state = os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
        if state is not None and state.si_code == os.CLD_STOPPED:
            self._fault("its supervisor was stopped")
            self.kill()
            self._process.send_signal(signal.SIGCONT)

    def _take_reports(self, data: bytes) -> None:
        self._reports += data
        *lines, self._reports = self._reports.split(b"\n")
        if len(self._reports) > _LONGEST_REPORT:
            self._reports.clear()
        for line in lines:
            words = line.decode("ascii", errors="replace").split()
            try:
                self._take_report(words[0], [int(word) for word in words[1:]])
            except (ValueError, IndexError):
                self._fault(f"its supervisor reported {bytes(line[:80])!r}")

    def _take_report(self, kind: str, numbers: list[int]) -> None:
        if kind == "pid":
            self.pid = numbers[0]
        elif kind == "error":
            self.start_error = numbers[0]
        elif kind == "crowd":
            self.crowd = numbers[0]
        elif kind == "stopped":
            self._fault("its parent process, which is the harness's, was stopped")
        elif kind in {"exit", "signal", "lost"}:
            self._take_end(kind, numbers)

    def _take_end(self, kind: str, numbers: list[int]) -> None:
        number, user_us, system_us, max_rss_kb, left_behind = numbers
        ended_by_us = self._killed or self.crowd is not None or self.start_error is not None
        if kind == "lost" and not ended_by_us:
            name = signal_name(number)
            self._fault(f"its parent process, which is the harness's, was ended by {name}")
        self.end = ProcessEnd(
            exit_code=number if kind == "exit" else None,
            signal=number if kind != "exit" else None,
            cpu_ms=(user_us + system_us) // 1000,
            max_rss_kb=max_rss_kb,
            stray_count=left_behind,
        )
