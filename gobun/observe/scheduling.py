"""Measures how much a process was able to run: its processor time, and its time in the queue.

A process may be slow because the machine is busy, its control group has little time, or memory is
short. A wall clock cannot tell such a process from a hung one. For each thread the kernel counts
how long it ran and how long it waited for a processor (``/proc/PID/task/TID/schedstat``). That
distinguishes the two.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from gobun.observe.proc_files import read_text, thread_ids

_FAULTS = 20
"""A process with this many major faults between two readings counts as waiting for the disk."""
_MOST_LEVELS = 16


class Usage(msgspec.Struct, frozen=True):
    """The processor time and waiting time of a process's threads, up to one moment."""

    thread_times: dict[int, tuple[int, int]]
    """For each thread, nanoseconds on a processor and nanoseconds in the queue for one."""
    cores: int
    """Processors that the process may use."""
    throttled_ns: int
    """As ``throttled_ns`` returns it, in nanoseconds."""
    major_faults: int
    on_disk: bool
    """Whether a thread waits for a device now."""
    runnable: frozenset[int] = frozenset()
    """Threads that run or are runnable. ``thread_times`` lacks the queue time of a thread that is
    still queued: the kernel adds that time when the thread leaves the queue."""


def usage(pid: int) -> Usage:
    """Return the usage of a process so far; without threads if the process has gone."""
    times: dict[int, tuple[int, int]] = {}
    faults, on_disk = 0, False
    runnable: set[int] = set()
    tasks = f"/proc/{pid}/task"
    for tid in thread_ids(tasks):
        folder = f"{tasks}/{tid}"
        words = read_text(f"{folder}/schedstat").split()
        fields = read_text(f"{folder}/stat").rpartition(")")[2].split()
        if len(words) == 3:
            times[tid] = (int(words[0]), int(words[1]))
        if len(fields) > 9:
            faults += int(fields[9])
            on_disk = on_disk or fields[0] == "D"
            if fields[0] == "R":
                runnable.add(tid)
    return Usage(times, _cores(pid), throttled_ns(pid), faults, on_disk, frozenset(runnable))


def able_share(before: Usage, after: Usage, seconds: float) -> float:
    """Return the share of a time span in which a process was able to run, from 0 to 1.

    A process is not able to run while it waits for a processor. If its threads want more processors
    than it may use, only the processors that it may use count, so no process starves itself. A
    process that waits for the disk gets 0.
    """
    if seconds <= 0:
        return 0.0
    if after.on_disk or after.major_faults - before.major_faults >= _FAULTS:
        return 0.0
    span_ns = seconds * 1e9
    ran = waited = 0.0
    for tid, (ran_ns, queued_ns) in after.thread_times.items():
        ran_before, queued_before = before.thread_times.get(tid, (0, 0))
        ran += max(ran_ns - ran_before, 0)
        waited += max(queued_ns - queued_before, 0)
        unmoved = (ran_ns, queued_ns) == (ran_before, queued_before)
        if tid in after.runnable and unmoved:
            waited += span_ns
    demand = min((ran + waited) / span_ns, float(after.cores))
    missed = max(demand - ran / span_ns, 0.0)
    share = max(1.0 - missed / max(demand, 1.0), 0.0)
    throttled = (after.throttled_ns - before.throttled_ns) / span_ns
    # An exhausted quota hinders only threads that want to run.
    return min(share, max(1.0 - throttled, 0.0)) if ran + waited else share


def runnable_tasks() -> int:
    """Return the number of runnable tasks of the machine; 0 if the kernel does not report it."""
    words = read_text(Path("/proc/loadavg")).split()
    running = words[3].partition("/")[0] if len(words) > 3 else ""
    return int(running) if running.isdecimal() else 0


def throttled_ns(pid: int) -> int:
    """Return how long a process's most throttled control group was throttled, in nanoseconds.

    A group is throttled while it has used up its quota of processor time.
    """
    longest = 0
    for folder in _cpu_groups(pid):
        for line in read_text(folder / "cpu.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == "throttled_usec":
                longest = max(longest, int(value) * 1000)
            elif name == "throttled_time":
                longest = max(longest, int(value))
    return longest


def _cpu_groups(pid: int) -> list[Path]:
    """Return the folders of the control groups that may limit a process's processor time."""
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
