"""Classifies the open files of a process by kind, and by who can end a wait for them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import msgspec

from gobun.observe.proc_files import read_link, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable

Wakes = Literal["itself", "outside", "unknown", "signal", "thread"]
"""The party that ends a wait. ``itself``: the wait has a time-out. ``outside``: another process,
the network, a device or a person. ``signal``: only a signal. ``thread``: only a thread of the same
process."""

# ``Wakes`` lists the parties in this order: the first of several can end the wait most surely.
_BY_STRENGTH: tuple[Wakes, ...] = get_args(Wakes)

Kind = Literal[
    "socket",
    "pipe",
    "eventfd",
    "timerfd",
    "signalfd",
    "pidfd",
    "inotify",
    "epoll",
    "io_uring",
    "tty",
    "device",
    "file",
    "closed",
    "unknown",
]

_ANONYMOUS: dict[str, Kind] = {
    "[eventfd]": "eventfd",
    "[timerfd]": "timerfd",
    "[signalfd]": "signalfd",
    "[pidfd]": "pidfd",
    "inotify": "inotify",
    "[fanotify]": "inotify",
    "[eventpoll]": "epoll",
    "[io_uring]": "io_uring",
}
_FIXED_WAKES: dict[Kind, Wakes] = {
    "socket": "outside",
    "signalfd": "signal",
    "pidfd": "outside",
    "inotify": "outside",
    "io_uring": "outside",
    "tty": "outside",
    "device": "outside",
    "file": "outside",  # a named pipe or a network file system; regular files do not block
    "closed": "unknown",
    "unknown": "unknown",
}
_TARGET = re.compile(r"^tfd:\s*(\d+)\s+events:\s*([0-9a-f]+)", re.MULTILINE)
_ARMED = re.compile(r"^it_value: \((\d+), (\d+)\)", re.MULTILINE)
_FLAGS = re.compile(r"^flags:\s*([0-7]+)", re.MULTILINE)
_DEPTH = 4
_MOST_TARGETS = 4096
_WRITES = os.O_WRONLY | os.O_RDWR
_EVENTS = 0x3FFF
"""The events in an entry's mask, without flags such as ``EPOLLET``. The kernel clears them all once
a one-shot entry has fired, which disables it (``EPOLLONESHOT`` in epoll_ctl(2))."""


class Descriptor(msgspec.Struct, frozen=True):
    """An open file of a process."""

    number: int
    kind: Kind
    target: str
    """The target of its link in ``/proc``: a path, ``socket:[1234]``, ``anon_inode:[eventfd]``."""
    wakes: Wakes
    """The party that can end a wait for it."""


def descriptor(pid: int, number: int, *, children: bool, depth: int = _DEPTH) -> Descriptor:
    """Return the file that a process has open as ``number``.

    ``children`` is whether the process has child processes. They may hold the same file, so a pipe
    or an eventfd may not be private to the process. ``depth`` limits how many epoll files inside
    each other are followed.
    """
    target = read_link(Path(f"/proc/{pid}/fd/{number}"))
    kind = _kind(target)
    wakes = _FIXED_WAKES.get(kind) or _WAKES[kind](_File(pid, number, target, children, depth))
    return Descriptor(number, kind, target, wakes)


def strongest_waker(wakes: Iterable[Wakes], default: Wakes) -> Wakes:
    """Return who can end a wait for several files at once; ``default`` if there are none."""
    return min(wakes, key=_BY_STRENGTH.index, default=default)


def _kind(target: str) -> Kind:
    if not target:
        return "closed"
    if target.startswith("socket:["):
        return "socket"
    if target.startswith("pipe:["):
        return "pipe"
    if target.startswith("anon_inode:"):
        return _ANONYMOUS.get(target.removeprefix("anon_inode:"), "unknown")
    if target.startswith(("/dev/pts/", "/dev/tty", "/dev/console")):
        return "tty"
    if target.startswith("pidfd:["):
        return "pidfd"
    return "device" if target.startswith("/dev/") else "file"


class _File(NamedTuple):
    pid: int
    number: int
    target: str
    children: bool
    depth: int

    @property
    def info(self) -> str:
        """The content of its ``fdinfo`` in ``/proc``."""
        return read_text(Path(f"/proc/{self.pid}/fdinfo/{self.number}"))

    @property
    def flags(self) -> int:
        """The flags that it was opened with, as for ``os.open``."""
        match = _FLAGS.search(self.info)
        return int(match[1], 8) if match else 0

    @property
    def is_private(self) -> bool:
        """Whether only this process holds it: no child has it, and no child will inherit it."""
        return bool(self.flags & os.O_CLOEXEC) and not self.children


def _eventfd(file: _File) -> Wakes:
    return "thread" if file.is_private else "outside"


def _timerfd(file: _File) -> Wakes:
    armed = _ARMED.search(file.info)
    return "itself" if armed is None or (armed[1], armed[2]) != ("0", "0") else "thread"


def _pipe(file: _File) -> Wakes:
    """Return ``thread`` if only this process holds the other end of a pipe."""
    for number in _numbers(Path(f"/proc/{file.pid}/fd")):
        other = file._replace(number=number)
        if read_link(Path(f"/proc/{file.pid}/fd/{number}")) != file.target:
            continue
        if bool(file.flags & _WRITES) != bool(other.flags & _WRITES):
            return "thread" if other.is_private else "outside"
    return "outside"


def _epoll(file: _File) -> Wakes:
    targets = _TARGET.findall(file.info)
    if file.depth == 0 or len(targets) > _MOST_TARGETS:
        return "unknown"
    wakes = {
        descriptor(file.pid, int(each), children=file.children, depth=file.depth - 1).wakes
        for each, events in targets
        if int(events, 16) & _EVENTS
    }
    return strongest_waker(wakes, default="thread")  # a thread may add a file to an empty set


_WAKES = {"pipe": _pipe, "eventfd": _eventfd, "timerfd": _timerfd, "epoll": _epoll}


def _numbers(folder: Path) -> list[int]:
    try:
        return [int(entry.name) for entry in folder.iterdir()]
    except OSError:
        return []
