"""Reads the threads of a process from ``/proc``; the results are empty on systems without it."""

from __future__ import annotations

import contextlib

import msgspec

from gobun.observe import proc_files
from gobun.observe.proc_files import read_bytes, read_lines, read_text, thread_ids
from gobun.observe.signals import signal_numbers
from gobun.observe.syscalls import syscall_name
from gobun.printable import printable

__all__ = [
    "Thread",
    "family",
    "kernel_function_of",
    "scheduler_times",
    "signal_numbers",
    "syscall_of",
    "threads",
]

_STAT_WORDS = 13
"""Number of fields after the name in a ``stat`` file, up to the last one that is used."""


class Thread(msgspec.Struct, frozen=True):
    """A thread at one moment."""

    tid: int
    name: str
    state: str
    """``R`` running or runnable, ``S`` sleeping, ``D`` waiting for a device, ``T`` stopped,
    ``t`` stopped by a tracer, ``Z`` ended."""
    cpu_ticks: int
    """User and system time in clock ticks (``sysconf(_SC_CLK_TCK)``, 100 a second)."""
    switches: int
    """Context switches, voluntary or not."""
    waits_in: str
    """The kernel function that it waits in, if the kernel reports it; else ``""``."""
    pending: int
    """Signals sent to this thread and not handled yet, as a bit mask (bit 0 is signal 1)."""
    blocked: int
    """Signals that it blocks now, as a bit mask."""
    caught: int = 0
    """Signals that have a handler, as a bit mask; the same for all threads of a process."""
    ignored: int = 0
    shared: int = 0
    """Signals sent to the process as a whole and not handled yet, as a bit mask."""
    voluntary: int = 0
    """Voluntary context switches: it waited for something."""
    ran_ns: int = 0
    """Time on a processor, in nanoseconds; 0 if the kernel does not count it."""
    queued_ns: int = 0
    """Time in which it was runnable and waited for a processor, in nanoseconds."""
    major_faults: int = 0
    """Page faults for which it waited for the disk."""


def threads(pid: int) -> tuple[Thread, ...]:
    """Return the threads of ``pid``, the main thread first; empty if the process has gone."""
    folder = f"{proc_files.PROC}/{pid}/task"
    tids = thread_ids(folder)
    # After the kernel's ids wrap around, another thread may have the smallest one.
    tids.sort(key=pid.__ne__)
    each = (_thread(tid, f"{folder}/{tid}") for tid in tids)
    return tuple(thread for thread in each if thread is not None)


def family(pid: int) -> tuple[int, ...]:
    """Return the ids of a process and all of its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for stat in proc_files.PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(ValueError, IndexError):  # it has ended
            parent = int(read_bytes(stat).rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    pids = [pid]
    for each in pids:  # the list grows during this loop
        pids += sorted(children.get(each, ()))
    return tuple(pids)


def syscall_of(pid: int, tid: int) -> str:
    """Return the system call of a thread as in ``Blocked.call``; ``""`` if it cannot be read."""
    try:
        words = (proc_files.PROC / str(pid) / "task" / str(tid) / "syscall").read_text().split()
    except OSError:
        return ""
    if not words or words[0] == "running":
        return "running"
    return syscall_name(int(words[0])) if words[0] != "-1" else "in the kernel, no call"


def _thread(tid: int, folder: str) -> Thread | None:
    fields = _status(folder)
    # The name is in parentheses, and may contain any character itself.
    after_name = read_bytes(f"{folder}/stat").rpartition(b")")[2].decode().split()
    if not fields or len(after_name) < _STAT_WORDS:
        return None
    ran_ns, queued_ns = scheduler_times(folder)
    return Thread(
        tid=tid,
        name=printable(fields.get("Name", "?")),
        state=after_name[0],
        cpu_ticks=int(after_name[11]) + int(after_name[12]),
        switches=int(fields.get("voluntary_ctxt_switches", 0))
        + int(fields.get("nonvoluntary_ctxt_switches", 0)),
        waits_in=_kernel_function(folder),
        pending=_mask(fields, "SigPnd"),
        blocked=_mask(fields, "SigBlk"),
        caught=_mask(fields, "SigCgt"),
        ignored=_mask(fields, "SigIgn"),
        shared=_mask(fields, "ShdPnd"),
        voluntary=int(fields.get("voluntary_ctxt_switches", 0)),
        ran_ns=ran_ns,
        queued_ns=queued_ns,
        major_faults=int(after_name[9]),
    )


def kernel_function_of(pid: int, tid: int) -> str:
    """Return the kernel function that a thread waits in; ``""`` if it runs or that is unknown."""
    return _kernel_function(f"{proc_files.PROC}/{pid}/task/{tid}")


def _kernel_function(folder: str) -> str:
    wchan = read_text(f"{folder}/wchan")
    return "" if wchan == "0" else wchan


def scheduler_times(folder: str) -> tuple[int, int]:
    """Return how long a thread ran, and how long it was queued for a processor, in nanoseconds.

    Both are 0 if unknown. ``folder`` is the folder of the thread in ``/proc``.
    """
    words = read_text(f"{folder}/schedstat").split()
    return (int(words[0]), int(words[1])) if len(words) == 3 else (0, 0)


def _status(folder: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in read_lines(f"{folder}/status"))
    return {key: value.strip() for key, _, value in pairs}


def _mask(fields: dict[str, str], key: str) -> int:
    return int(fields.get(key, "0"), 16)
