"""Reads files in ``/proc`` that contain a process's memory, each with a deadline.

The process controls its memory. Its own program may fill in a page on demand (userfaultfd, a mapped
file on FUSE). A reader then waits for that program, possibly for ever, and its thread may not even
be killable. ``/proc/PID/mem``, ``environ`` and ``cmdline`` are such files. So a small helper
program reads them. If it misses the deadline, this module kills it without waiting for its end, and
never reads the process that blocked it again.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

_WITHIN_S = 1.0
"""Deadline of a read, without the time that the reader waited for a processor."""
_MOST_S = 15.0
_LOOK_S = 0.05
_LEAVES_WITHIN_S = 0.5
_REQUEST = struct.Struct("<QQ")
_ANSWER = struct.Struct("<Q")
_LARGEST_READ = 1 << 20
_LAST_OFFSET = (1 << 63) - 1
_ENVIRONMENT = ("LD_LIBRARY_PATH", "PATH")
_READER = f"""
import os, socket, struct
with socket.socket(fileno=0) as ours:
    while True:
        request, descriptors, _, _ = socket.recv_fds(ours, {_REQUEST.size}, 1)
        if not request:
            break
        at, size = struct.unpack("<QQ", request)
        try:
            data = os.pread(descriptors[0], size, at)
        except (OSError, OverflowError):
            data = b""
        os.close(descriptors[0])
        ours.sendall(struct.pack("<Q", len(data)) + data)
"""


class _Reader:
    """A running reader."""

    def __init__(self) -> None:
        self._socket, child_socket = socket.socketpair()
        command = [sys.executable, "-I", "-S", "-c", _READER]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=child_socket.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,  # Ctrl-C must not end it
            )
        except BaseException:
            self._socket.close()
            raise
        finally:
            child_socket.close()

    def read(self, descriptor: int, at: int, size: int) -> bytes | None:
        """Read once, and return None if it took too long or the reader has ended."""
        try:
            socket.send_fds(self._socket, [_REQUEST.pack(at, size)], [descriptor])
            deadline = time.monotonic() + _MOST_S
            waited_s = 0.0
            while waited_s < _WITHIN_S and time.monotonic() < deadline:
                if select.select([self._socket], [], [], _LOOK_S)[0]:
                    (length,) = _ANSWER.unpack(self._receive(_ANSWER.size))
                    return self._receive(length)
                waited_s += 0.0 if self._wants_processor() else _LOOK_S
        except (OSError, struct.error):
            pass
        return None

    @property
    def has_ended(self) -> bool:
        """Whether the reader has ended."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the reader, or leave it to the kernel if it does not end."""
        self._socket.close()
        try:
            self._process.wait(_LEAVES_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the reader without waiting for its end."""
        self._socket.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LOOK_S)
        if self._process.returncode is None:
            self._process.returncode = -signal.SIGKILL  # so that Popen does not poll it

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (part := self._socket.recv(size - len(data))):
            data += part
        return data

    def _wants_processor(self) -> bool:
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_bytes()
        except OSError:
            return False
        return stat.rpartition(b")")[2].split()[:1] == [b"R"]


_lock = threading.Lock()
_readers: list[_Reader] = []
blocking_processes: set[int] = set()
"""Ids of the processes that kept a reader waiting."""


def read_memory_file(pid: int, name: str, size: int, at: int = 0) -> bytes:
    """Return up to ``size`` bytes of ``/proc/PID/NAME`` from the offset ``at``.

    Return fewer or none if it cannot be read. A process that blocks the read costs about a second,
    or up to 15 on a busy machine. Later reads of that process return at once.
    """
    if pid in blocking_processes or not 0 <= at <= _LAST_OFFSET:
        return b""
    try:
        descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    parts: list[bytes] = []
    try:
        while size > 0 and (part := _read_guarded(pid, descriptor, at, min(size, _LARGEST_READ))):
            parts.append(part)
            at, size = at + len(part), size - len(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def close_reader() -> None:
    """End the helper program. The next read starts another."""
    with _lock:
        while _readers:
            _readers.pop().close()


def _read_guarded(pid: int, descriptor: int, at: int, size: int) -> bytes:
    with _lock:
        try:
            reader = _readers[-1] if _readers else _Reader()
        except OSError:
            return b""
        _readers[:] = [reader]
        try:
            data = reader.read(descriptor, at, size)
        except BaseException:  # an interruption: a late answer must not reach the next read
            _readers.clear()
            reader.kill()
            raise
        if data is None:
            _readers.clear()
            if not reader.has_ended:  # one that was killed says nothing about the process
                blocking_processes.add(pid)
            reader.kill()
    return data or b""


atexit.register(close_reader)
