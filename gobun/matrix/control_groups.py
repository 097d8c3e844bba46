"""A control group for each cell, on machines that permit one.

A group holds every process of a cell, whatever its session or parent. The harness can freeze and
kill the group as a whole, and limit its tasks and memory. Version 2 of control groups lets every
owner of a group freeze and kill it. Limits need the controllers, which version 1 may still hold.
``docs/trust-boundary.md`` lists the guarantees with and without a group.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_TASKS = 16_384
"""Maximum threads and processes of a cell. Go itself stops at 10,000 threads."""
_GONE_WITHIN_S = 1.0
_PAUSE_S = 0.002
_LIMITS = {"pids": ("pids.max", "pids.max"), "memory": ("memory.max", "memory.limit_in_bytes")}
"""The file of each limit, in version 2 and in version 1."""


class CellGroup(msgspec.Struct, frozen=True):
    """The folders of one cell's group: one in version 2, one for each controller in version 1."""

    folders: tuple[Path, ...] = ()

    def kill(self) -> None:
        """Freeze the group, and kill every process in it."""
        deadline = time.monotonic() + _GONE_WITHIN_S
        while any(_members(folder) for folder in self.folders) and time.monotonic() < deadline:
            for folder in self.folders:
                _kill_group(folder)
            time.sleep(_PAUSE_S)

    @property
    def memory_kills(self) -> int:
        """The number of processes that the kernel killed at the memory limit."""
        texts = [
            _read_file(folder / name)
            for folder in self.folders
            for name in ("memory.events", "memory.oom_control")
        ]
        kill_counts = [
            line.split()[1] for text in texts for line in text.splitlines() if _is_kill(line)
        ]
        return sum(int(count) for count in kill_counts)


def memory_limit() -> int:
    """Return the memory limit of a cell in bytes: half of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@contextlib.contextmanager
def cell_group() -> Iterator[CellGroup]:
    """Yield a new group, and remove it afterwards.

    If the machine permits no groups, the yielded group has no folders.
    """
    folders: list[Path] = []
    try:
        for folder in run_folders():
            with contextlib.suppress(OSError):
                folders.append(_make_cell(folder))
        group = CellGroup(tuple(folders))
        yield group
    finally:
        CellGroup(tuple(folders)).kill()
        for folder in folders:
            _remove(folder)


_numbers = itertools.count(1)


def _make_cell(run_folder: Path) -> Path:
    folder = run_folder / f"cell-{next(_numbers)}"
    folder.mkdir()
    limits = {"pids": MOST_TASKS, "memory": memory_limit()}
    for controller, names in _LIMITS.items():
        for name in names:
            with contextlib.suppress(OSError):
                _write(folder / name, str(limits[controller]))
    return folder


_lock = threading.Lock()
"""Held while this run's groups are made, because the first cells start at the same time."""


def run_folders() -> tuple[Path, ...]:
    """Return this run's groups, the parents of its cells' groups.

    The first call also removes the groups of runs whose harness was killed.
    """
    with _lock:
        return _make_run_folders()


@functools.cache
def _make_run_folders() -> tuple[Path, ...]:
    if not sys.platform.startswith("linux"):
        return ()
    try:
        bases = list(_bases())
    except (OSError, ValueError, IndexError):
        return ()
    folders = []
    for base in bases:
        with contextlib.suppress(OSError):
            _sweep(base)
        with contextlib.suppress(OSError):
            folders.append(_make_run_folder(base))
    return tuple(folders)


def _make_run_folder(base: Path) -> Path:
    folder = base / _own_name()
    folder.mkdir(exist_ok=True)
    atexit.register(_remove, folder)
    for holder in (base, folder):
        for controller in _LIMITS:
            # The controller may be missing, or the group may hold processes.
            with contextlib.suppress(OSError):
                _write(holder / "cgroup.subtree_control", f"+{controller}")
    return folder


def _bases() -> Iterator[Path]:
    """Yield the groups that this process belongs to and may create others in.

    Those are the group of version 2, and in version 1 those of the limiting controllers. The
    freezer of version 1 is among them if there is no version 2.
    """
    own_groups: dict[str, str] = {}
    for line in _read_file(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        own_groups |= dict.fromkeys(controllers.split(","), path)
    bases: dict[str, Path] = {}
    for line in _read_file(Path("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        root, mounted = before.split()[3:5]
        kind, _, options = after.split()[:3]
        names = {"cgroup2": [""], "cgroup": options.split(",")}.get(kind, [])
        for name in names:
            if name in own_groups and name in {"", "freezer", *_LIMITS}:
                relative_path = os.path.relpath(own_groups[name], root)
                subgroup = "." if relative_path.startswith("..") else relative_path
                bases.setdefault(name, Path(mounted, subgroup))
    usable = {name: path for name, path in bases.items() if _is_ours(path)}
    if "" in usable:
        usable.pop("freezer", None)
    yield from dict.fromkeys(usable.values())


def _is_ours(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)


def _own_name() -> str:
    return f"gobun-{_namespace()}-{os.getpid()}-{_start_time('self')}"


def _namespace() -> int:
    """Return the PID namespace: a container numbers its processes separately."""
    return Path("/proc/self/ns/pid").stat().st_ino


def _start_time(process: str) -> str:
    """Return the start time of a process in clock ticks since boot; empty if it has ended."""
    words = _read_file(Path("/proc", process, "stat")).rpartition(")")[2].split()
    return words[19] if len(words) > 19 else ""


def _sweep(base: Path) -> None:
    """Kill and remove the groups of runs whose harness was killed."""
    for folder in base.glob(f"gobun-{_namespace()}-*-*"):
        pid, started = folder.name.split("-")[2:4]
        if _start_time(pid) == started:
            continue
        with contextlib.suppress(FileNotFoundError):  # another run has removed it
            for each in (*folder.iterdir(), folder):
                if each.is_dir():
                    CellGroup((each,)).kill()
                    _remove(each)


def _kill_group(folder: Path) -> None:
    for name, state in (("cgroup.freeze", "1"), ("freezer.state", "FROZEN")):
        _try_write(folder / name, state)
    if not _try_write(folder / "cgroup.kill", "1"):
        for pid in _members(folder):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    # In version 1 a frozen process dies only once it is thawed.
    for name, state in (("cgroup.freeze", "0"), ("freezer.state", "THAWED")):
        _try_write(folder / name, state)


def _members(folder: Path) -> list[int]:
    return [int(word) for word in _read_file(folder / "cgroup.procs").split()]


def _remove(folder: Path) -> None:
    """Remove a group, which stays busy for a moment after its last process has ended."""
    deadline = time.monotonic() + _GONE_WITHIN_S
    while folder.is_dir():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                return
            time.sleep(_PAUSE_S)


def _is_kill(line: str) -> bool:
    return line.startswith("oom_kill ")


def _read_file(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)  # never create the file: only the kernel does
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _try_write(path: Path, text: str) -> bool:
    try:
        _write(path, text)
    except OSError:
        return False
    return True
