"""Finds the call in which a main thread waits, its caller, and the duration of the wait."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gobun import observe
from gobun.diagnose.records import NativeWait

if TYPE_CHECKING:
    from gobun.observe import Blocked

_LAST_RAN = re.compile(rb"^se\.exec_start\s*:\s*(\d+)\.", re.MULTILINE)
_AGAIN_S = 0.15
_ATTEMPTS = 3
_INTERRUPTED = {
    "accept", "accept4", "connect", "epoll_wait", "epoll_pwait", "epoll_pwait2", "io_getevents",
    "io_pgetevents", "io_uring_enter", "mq_timedreceive", "mq_timedsend", "msgrcv", "msgsnd",
    "read", "readv", "recvfrom", "recvmmsg", "recvmsg", "rt_sigtimedwait", "semop", "semtimedop",
    "sendmsg", "sendmmsg", "sendto", "write", "writev",
}  # fmt: skip
"""Calls that may return EINTR after a ptrace stop (signal(7)). Calls on sockets do so only if the
socket has a time-out."""


def native_wait(pid: int, watched_s: float) -> NativeWait | None:
    """Return the main thread's wait; None if it does not wait, or its caller is unknown.

    The thread has been seen to wait for ``watched_s`` seconds. If that is 0, it ran in between and
    is examined several times: a thread that polls waits in the same library each time. If the
    libraries differ, the result is None.
    """
    waits: list[NativeWait] = []
    for attempt in range(1 if watched_s else _ATTEMPTS):
        if attempt:
            time.sleep(_AGAIN_S)
        main = observe.blocked_thread(pid, pid)
        if main is None or not main.is_waiting or main.caller is None:
            return None
        waits.append(_describe_wait(pid, main, watched_s))
        if len({each.library for each in waits}) > 1 or waits[0].in_runtime:
            return waits[0] if waits[0].in_runtime else None
    return waits[-1]


def fragile_threads(pid: int) -> tuple[int, ...]:
    """Return the threads that must not be stopped, because a call by a library might fail.

    A runtime's own loop and Go retry after EINTR. A C library may not.
    """
    program = observe.read_link(Path(f"/proc/{pid}/exe"))
    return tuple(
        each.tid
        for each in observe.blocked_threads(pid)
        if each.is_waiting
        and each.call in _INTERRUPTED
        and each.caller is not None
        and each.caller.library != program
    )


def _describe_wait(pid: int, main_thread: Blocked, watched_s: float) -> NativeWait:
    library = main_thread.caller.library if main_thread.caller is not None else ""
    return NativeWait(
        library=library,
        function=main_thread.caller.function if main_thread.caller is not None else "",
        call=main_thread.call,
        why=main_thread.why,
        seconds=max(watched_s, _asleep_s(pid)),
        can_return=main_thread.can_return,
        wakes=main_thread.wakes,
        in_runtime=library == observe.read_link(Path(f"/proc/{pid}/exe")),
    )


def _asleep_s(pid: int) -> float:
    """Return for how many seconds the main thread has not been scheduled; 0 if unknown.

    Each processor has a clock of its own, so this reads the one of the thread's processor.
    """
    then = _last_ran_ms(f"{pid}/task/{pid}")
    processor = observe.processor_of(pid, pid)
    if not then or processor < 0:
        return 0.0
    now = 0
    with observe.affinity_kept():
        observe.move_to(processor)
        now = _last_ran_ms("thread-self")
    return max(now - then, 0) / 1000


def _last_ran_ms(task: str) -> int:
    match = _LAST_RAN.search(observe.read_bytes(Path(f"/proc/{task}/sched")))
    return 0 if match is None else int(match[1])
