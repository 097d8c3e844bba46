"""Finds the wait of each thread of a process, who can end it, and which code began it.

A thread in a system call is not stuck just because it does not run. It is stuck if nobody can end
its wait: for example a lock that only threads can open, in a process whose threads all wait for one
another.

``blocked_threads`` looks at all threads, because only all of them together show whether one can be
woken. Nothing here stops a thread, and no state of the process raises an exception.

Two things cannot be seen: a running ``alarm()`` or ``setitimer()``, and a signal that another
process will send. So a wait that only a signal can end is ``unknown``.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from gobun.observe import memory, procfs
from gobun.observe.callers import Caller, find_caller
from gobun.observe.descriptors import Descriptor, Wakes, descriptor, strongest_waker
from gobun.observe.proc_files import read_text, thread_ids
from gobun.observe.syscalls import syscall_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.observe.memory import Mapping

Answer = Literal["yes", "no", "unknown"]

_TIMED_POINTER = {
    "futex_wait": 4,
    "futex_waitv": 3,
    "epoll_pwait2": 3,
    "ppoll": 2,
    "select": 4,
    "pselect6": 4,
    "rt_sigtimedwait": 2,
    "semtimedop": 3,
    "mq_timedsend": 4,
    "mq_timedreceive": 4,
    "io_getevents": 4,
    "io_pgetevents": 4,
    "recvmmsg": 4,
}
"""The index of the argument that points to a time-out; a null pointer means no time-out."""
_TIMED_MS = {"poll": 2, "epoll_wait": 3, "epoll_pwait": 3}
"""The index of the argument that is a time-out in milliseconds; a negative one means none."""
_ABSOLUTE = 1
_RESTART_CALL = "restart_syscall"
_ON_FILE = {
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "recvfrom",
    "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg", "accept", "accept4", "connect", "ioctl",
    "fsync", "fdatasync", "flock", "fcntl", "splice", "tee", "vmsplice", "copy_file_range",
}  # fmt: skip
_ON_SETS = {"epoll_wait", "epoll_pwait", "epoll_pwait2"}
_LOCKS_FILE = {"flock", "fcntl"}
_FOR_OTHERS = {
    "wait4", "waitid", "vfork", "semop", "semtimedop", "msgsnd", "msgrcv", "mq_timedsend",
    "mq_timedreceive", "io_uring_enter", "io_getevents", "io_pgetevents", "getrandom", "open",
    "openat", "ptrace", "msync", "sendfile",
}  # fmt: skip
_FOR_SIGNAL = {"pause", "rt_sigsuspend", "rt_sigtimedwait"}
_FUTEX_WAITS = {0, 6, 9, 11, 13}  # WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2
_FUTEXES = {"futex", "futex_wait", "futex_waitv"}
_FUTEX_PRIVATE, _FUTEX_OPERATION = 128, 127
_POLL = struct.Struct("<ihh")
_TIME = struct.Struct("<qq")
_MOST_POLLED = 1024
_LONGEST_S = 1e9
"""A longer time in seconds is no duration but a date, as in ``mq_timedreceive``."""


class Blocked(msgspec.Struct, frozen=True):
    """The state of a thread at one moment: whether it waits, for what, and who can end the wait."""

    tid: int
    name: str
    state: str
    """As in ``observe.Thread``: ``R``, ``S``, ``D``, ``T``, ``Z``."""
    call: str
    """The system call that it waits in, ``running``, ``in the kernel, no call``, or ``""`` if it
    cannot be read."""
    wakes: Wakes
    """Who can end the wait; ``itself`` for a running thread."""
    can_return: Answer
    """``yes``: the wait ends by itself, or somebody outside of the process can end it. ``no``:
    nobody can end it. ``unknown``: a thread or a signal could end it, and nothing shows whether one
    will."""
    why: str
    """The object of the wait in one phrase: ``a lock, without a time-out``."""
    timeout_s: float | None = None
    """The duration of the time-out in seconds, if known. A fixed end has no duration."""
    descriptors: tuple[Descriptor, ...] = ()
    """The open files that the thread waits for."""
    wakers: tuple[int, ...] = ()
    """Other threads of the process that run, or whose wait may end. One may end this wait."""
    caller: Caller | None = None
    """The library that began the wait, and its function, if the stack shows it."""

    @property
    def is_waiting(self) -> bool:
        """Whether it waits, as opposed to running, stopped or gone."""
        return self.state in "SD" and self.call != "running"


class _Call(NamedTuple):
    name: str
    arguments: tuple[int, ...]
    sp: int
    pc: int


class _Process(NamedTuple):
    pid: int
    maps: Sequence[Mapping]
    children: bool


class _Wait(NamedTuple):
    wakes: Wakes
    why: str
    timeout_s: float | None = None
    descriptors: tuple[Descriptor, ...] = ()


def blocked_threads(pid: int, *, callers: bool = True, signals: bool = True) -> tuple[Blocked, ...]:
    """Return the wait of every thread of a process, in ascending order of thread ids.

    With ``callers``, it also finds the library that began each wait, from stacks and symbol tables.
    Without ``signals``, it assumes that no other process sends a signal, as in a cell.
    The result is empty if the process has gone.
    """
    threads = procfs.threads(pid)
    process = _Process(pid, memory.mappings(pid), children=_has_children(pid))
    waits = [_look(process, thread, callers=callers) for thread in threads]
    return _with_wakers(waits, deadline_passed=_signals_due(process), signals=signals)


def blocked_thread(pid: int, tid: int) -> Blocked | None:
    """Return the wait of a thread, judged together with all others; None if it has ended."""
    return next((each for each in blocked_threads(pid) if each.tid == tid), None)


def all_stuck(threads: Sequence[Blocked]) -> Answer:
    """Return whether no thread of a process can ever continue: ``yes`` is a deadlock."""
    if not threads:
        return "unknown"
    if all(each.can_return == "no" for each in threads if each.state != "Z"):
        return "yes"
    return "no" if any(each.can_return == "yes" for each in threads) else "unknown"


def _look(process: _Process, thread: procfs.Thread, *, callers: bool) -> Blocked:
    call = _call(process.pid, thread.tid)
    name = "" if call is None else call.name
    wait = _describe_wait(process, thread, call)
    caller = None
    if callers and call is not None and thread.state in "SD":
        caller = find_caller(process.pid, process.maps, call.sp, call.pc)
    return Blocked(
        tid=thread.tid,
        name=thread.name,
        state=thread.state,
        call=name,
        wakes=wait.wakes,
        can_return="unknown",
        why=wait.why,
        timeout_s=wait.timeout_s,
        descriptors=wait.descriptors,
        caller=caller,
    )


def _with_wakers(
    blocked: Sequence[Blocked], *, deadline_passed: bool, signals: bool
) -> tuple[Blocked, ...]:
    alive = [each.tid for each in blocked if each.wakes in {"itself", "outside", "unknown"}]
    for_signals = any(each.wakes == "signal" for each in blocked)
    is_stuck = not alive and not deadline_passed and not (signals and for_signals)

    def answer(each: Blocked) -> Answer:
        if each.wakes in {"itself", "outside"}:
            return "yes"
        return "no" if is_stuck else "unknown"

    return tuple(
        msgspec.structs.replace(
            each,
            can_return=answer(each),
            wakers=tuple(tid for tid in alive if tid != each.tid),
        )
        for each in blocked
    )


def _call(pid: int, tid: int) -> _Call | None:
    words = read_text(Path(f"/proc/{pid}/task/{tid}/syscall")).split()
    if not words:
        return None
    if words[0] == "running":
        return _Call("running", (), 0, 0)
    try:
        number, *rest = (int(word, 0) for word in words)
    except ValueError:
        return None
    if number == -1 or len(rest) != 8:
        sp, pc = [*rest, 0, 0][:2]
        return _Call("in the kernel, no call", (), sp, pc)
    return _Call(syscall_name(number), tuple(rest[:6]), rest[6], rest[7])


def _describe_wait(process: _Process, thread: procfs.Thread, call: _Call | None) -> _Wait:
    if thread.state in "Tt":
        return _Wait("outside", "stopped by a signal or a debugger")
    if thread.state in "ZX":
        return _Wait("thread", "it has ended")
    if thread.state == "D":
        return _Wait("outside", "a device or the disk, which it cannot be interrupted in")
    if call is None:
        return _Wait("unknown", "what it waits for may not be known")
    if thread.state == "R" or call.name == "running":
        return _Wait("itself", "it runs")
    return _in_call(process, call)


def _in_call(process: _Process, call: _Call) -> _Wait:
    name, arguments = call.name, call.arguments
    if name == _RESTART_CALL:
        return _Wait("itself", "a wait with a time-out, gone on with after a stop")
    if name == "nanosleep":
        return _Wait("itself", "it sleeps", _time_at(process.pid, arguments[0]))
    if name == "clock_nanosleep":
        # A sleep until a fixed point in time has no duration.
        until = arguments[1] & _ABSOLUTE
        return _Wait("itself", "it sleeps", None if until else _time_at(process.pid, arguments[2]))
    timed, seconds = _time_out(process.pid, call)
    if name in _FUTEXES:
        return _futex(process, call, has_timeout=timed, seconds=seconds)
    waits_for = _files(process, call)
    if waits_for is None:
        return _Wait("unknown", f"{name}, for files that could not be read")
    wakes, why = _untimed_wait(name, waits_for)
    if timed:
        return _Wait(
            "outside" if wakes == "outside" else "itself",
            f"{why}, with a time-out",
            seconds,
            waits_for,
        )
    return _Wait(wakes, why, None, waits_for)


def _untimed_wait(name: str, waits_for: tuple[Descriptor, ...]) -> tuple[Wakes, str]:
    if name in _FOR_SIGNAL:
        return "signal", "a signal"
    if name in _LOCKS_FILE:
        return "outside", "a lock on a file"
    if waits_for:
        wakes = strongest_waker((each.wakes for each in waits_for), default="unknown")
        kinds = ", ".join(dict.fromkeys(each.kind for each in waits_for))
        return wakes, f"{kinds} ({name})"
    if name in {"poll", "ppoll", "select", "pselect6"}:
        return "signal", "a signal, in a wait for no file"
    if name in {"wait4", "waitid", "vfork"}:
        return "outside", "a child process"
    if name in _FOR_OTHERS:
        return "outside", f"another process or a device ({name})"
    return "unknown", f"{name}, of which is not known who ends it"


def _futex(process: _Process, call: _Call, *, has_timeout: bool, seconds: float | None) -> _Wait:
    if has_timeout:
        return _Wait("itself", "a lock, with a time-out", seconds)
    if call.name == "futex" and (call.arguments[1] & _FUTEX_OPERATION) not in _FUTEX_WAITS:
        return _Wait("unknown", "a futex call that should not wait")
    if call.name == "futex_waitv":
        return _Wait("unknown", "several locks at once, without a time-out")
    place = memory.at_address(process.maps, call.arguments[0])
    private = call.name == "futex" and call.arguments[1] & _FUTEX_PRIVATE
    if not private and (place is None or "s" in place.rights):
        return _Wait("outside", "a lock shared with other processes, without a time-out")
    return _Wait("thread", "a lock of this process, without a time-out")


def _time_out(pid: int, call: _Call) -> tuple[bool, float | None]:
    """Return whether a call has a time-out, and its duration if it is relative."""
    if call.name in _TIMED_MS:
        milliseconds = call.arguments[_TIMED_MS[call.name]] & 0xFFFFFFFF
        if milliseconds >= 1 << 31:
            return False, None
        return True, milliseconds / 1000
    if call.name == "futex":
        pointer = call.arguments[3]
        relative = call.arguments[1] & _FUTEX_OPERATION == 0
        return pointer != 0, _time_at(pid, pointer) if relative and pointer else None
    if call.name not in _TIMED_POINTER:
        return False, None
    pointer = call.arguments[_TIMED_POINTER[call.name]]
    if not pointer or call.name in _FUTEXES:  # their time-outs are absolute
        return pointer != 0, None
    return True, _time_at(pid, pointer, 1e-6 if call.name == "select" else 1e-9)


def _time_at(pid: int, address: int, fraction_s: float = 1e-9) -> float | None:
    data = memory.read_memory(pid, address, _TIME.size)
    if len(data) != _TIME.size:
        return None
    seconds, fraction = _TIME.unpack(data)
    total = seconds + fraction * fraction_s
    return total if 0 <= total < _LONGEST_S else None


def _files(process: _Process, call: _Call) -> tuple[Descriptor, ...] | None:
    """Return the files that a call waits for; None if their list cannot be read."""
    numbers: list[int] | None
    name, arguments = call.name, call.arguments
    if name in _ON_FILE or name in _ON_SETS:
        numbers = [arguments[0]]
    elif name in {"poll", "ppoll"}:
        numbers = _polled(process.pid, arguments)
    elif name in {"select", "pselect6"}:
        numbers = _select_descriptors(process.pid, arguments)
    else:
        numbers = []
    if numbers is None:
        return None
    return tuple(
        descriptor(process.pid, number & 0x7FFFFFFF, children=process.children)
        for number in numbers
    )


def _polled(pid: int, arguments: Sequence[int]) -> list[int] | None:
    size = min(arguments[1], _MOST_POLLED) * _POLL.size
    data = memory.read_memory(pid, arguments[0], size)
    if len(data) < size:
        return None
    return [number for number, _, _ in _POLL.iter_unpack(data) if number >= 0]


def _select_descriptors(pid: int, arguments: Sequence[int]) -> list[int] | None:
    count = min(arguments[0], _MOST_POLLED)
    size = -(-count // 64) * 8
    mask = 0
    for pointer in arguments[1:4]:
        data = memory.read_memory(pid, pointer, size) if pointer else b""
        if pointer and len(data) < size:
            return None
        mask |= int.from_bytes(data, "little")
    return [number for number in range(count) if mask >> number & 1]


def _has_children(pid: int) -> bool:
    tasks = f"/proc/{pid}/task"
    return any(read_text(f"{tasks}/{tid}/children").strip() for tid in thread_ids(tasks))


def _signals_due(process: _Process) -> bool:
    """Return whether a timer or a child of the process may send a signal that wakes a thread."""
    return process.children or bool(read_text(Path(f"/proc/{process.pid}/timers")).strip())
