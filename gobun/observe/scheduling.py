"""How much a process was able to run: its processor time, and the time it was kept from it.

A process on a busy machine, in a control group with little time, or short of memory does the same
as ever, only later. Who judges it by the clock on the wall takes it for one that hangs. The kernel
counts for each thread how long it ran and how long it waited for a processor
(``/proc/PID/task/TID/schedstat``), which tells the two apart.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from gobun.observe.proc_files import read_text

_FAULTS = 20
"""Major faults between two looks from which on a process waits for the disk more than it works."""
_MOST_LEVELS = 16


class Usage(msgspec.Struct, frozen=True):
    """What the threads of a process used, and waited for, up to a moment."""

    times: dict[int, tuple[int, int]]
    """Thread to nanoseconds on a processor, and nanoseconds in the queue for one."""
    cores: int
    """Processors that the process may use."""
    throttled_ns: int
    """Time in which its control groups were out of their share."""
    major_faults: int
    on_disk: bool
    """A thread waits for a device now."""
    runnable: frozenset[int] = frozenset()
    """Threads that run or want to. The kernel adds to the queue's time of one when it gets out."""


def usage(pid: int) -> Usage:
    """Return what a process used so far; nothing where it is gone."""
    times: dict[int, tuple[int, int]] = {}
    faults, on_disk = 0, False
    runnable: set[int] = set()
    for folder in _tasks(pid):
        words = read_text(folder / "schedstat").split()
        fields = read_text(folder / "stat").rpartition(")")[2].split()
        if len(words) == 3:
            times[int(folder.name)] = (int(words[0]), int(words[1]))
        if len(fields) > 9:
            faults += int(fields[9])
            on_disk = on_disk or fields[0] == "D"
            if fields[0] == "R":
                runnable.add(int(folder.name))
    return Usage(times, _cores(pid), throttled_ns(pid), faults, on_disk, frozenset(runnable))


def able_share(before: Usage, after: Usage, seconds: float) -> float:
    """Return which part of a time span a process was able to run in, from 0 to 1.

    It was unable to while it waited for a processor. A process whose threads ask for more
    processors than there are is measured by those there are, so that it does not starve itself.
    """
    if seconds <= 0:
        return 0.0
    if after.on_disk or after.major_faults - before.major_faults >= _FAULTS:
        return 0.0
    span_ns = seconds * 1e9
    ran = waited = 0.0
    for tid, (ran_ns, queued_ns) in after.times.items():
        ran_before, queued_before = before.times.get(tid, (0, 0))
        ran += max(ran_ns - ran_before, 0)
        waited += max(queued_ns - queued_before, 0)
        unmoved = (ran_ns, queued_ns) == (ran_before, queued_before)
        if tid in after.runnable and unmoved:
            waited += span_ns
    wanted = min((ran + waited) / span_ns, float(after.cores))
    missed = max(wanted - ran / span_ns, 0.0)
    share = max(1.0 - missed / max(wanted, 1.0), 0.0)
    throttled = (after.throttled_ns - before.throttled_ns) / span_ns
    # Only who wants to run is hindered by an empty account.
    return min(share, max(1.0 - throttled, 0.0)) if ran + waited else share


def runnable_tasks() -> int:
    """Return how many tasks of the machine run or want to; 0 where the kernel does not tell."""
    words = read_text(Path("/proc/loadavg")).split()
    running = words[3].partition("/")[0] if len(words) > 3 else ""
    return int(running) if running.isdecimal() else 0


def throttled_ns(pid: int) -> int:
    """Return for how long a process's control groups were out of processor time, all levels."""
    found = 0
    for folder in _cpu_groups(pid):
        for line in read_text(folder / "cpu.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == "throttled_usec":
                found = max(found, int(value) * 1000)
            elif name == "throttled_time":
                found = max(found, int(value))
    return found


def _cpu_groups(pid: int) -> list[Path]:
    """Return the folders of a process's control groups that may limit its processor time."""
    for line in read_text(Path(f"/proc/{pid}/cgroup")).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        for root in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")):
            start = root / path.lstrip("/")
            if (start / "cpu.stat").is_file() and bool(controllers) == (root.name == "cpu"):
                levels = [start, *start.parents][:_MOST_LEVELS]
                return [level for level in levels if level.is_relative_to(root)]
    return []


def _cores(pid: int) -> int:
    try:
        return len(os.sched_getaffinity(pid))
    except (OSError, AttributeError):
        return os.cpu_count() or 1


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
