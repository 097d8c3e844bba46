"""System calls in which a thread waits, by number."""

from __future__ import annotations

import platform

# Those that a thread can be found in; a number without a name is shown as it is.
_X64 = {
    0: "read",
    1: "write",
    7: "poll",
    9: "mmap",
    11: "munmap",
    13: "rt_sigaction",
    14: "rt_sigprocmask",
    23: "select",
    24: "sched_yield",
    28: "madvise",
    34: "pause",
    35: "nanosleep",
    42: "connect",
    43: "accept",
    44: "sendto",
    45: "recvfrom",
    47: "recvmsg",
    61: "wait4",
    73: "flock",
    128: "rt_sigtimedwait",
    130: "rt_sigsuspend",
    200: "tkill",
    202: "futex",
    219: "restart_syscall",
    230: "clock_nanosleep",
    231: "exit_group",
    232: "epoll_wait",
    234: "tgkill",
    247: "waitid",
    270: "pselect6",
    271: "ppoll",
    281: "epoll_pwait",
    288: "accept4",
    426: "io_uring_enter",
    441: "epoll_pwait2",
    449: "futex_waitv",
    455: "futex_wait",
}
_ARM64 = {
    22: "epoll_pwait",
    32: "flock",
    63: "read",
    64: "write",
    72: "pselect6",
    73: "ppoll",
    94: "exit_group",
    95: "waitid",
    98: "futex",
    101: "nanosleep",
    115: "clock_nanosleep",
    124: "sched_yield",
    128: "restart_syscall",
    130: "tkill",
    131: "tgkill",
    133: "rt_sigsuspend",
    134: "rt_sigaction",
    135: "rt_sigprocmask",
    137: "rt_sigtimedwait",
    202: "accept",
    203: "connect",
    206: "sendto",
    207: "recvfrom",
    212: "recvmsg",
    215: "munmap",
    222: "mmap",
    233: "madvise",
    242: "accept4",
    260: "wait4",
    426: "io_uring_enter",
    441: "epoll_pwait2",
    449: "futex_waitv",
    455: "futex_wait",
}
_HERE = _ARM64 if platform.machine().lower() in {"aarch64", "arm64"} else _X64

EVENT_WAITS = frozenset(
    {
        "epoll_wait",
        "epoll_pwait",
        "epoll_pwait2",
        "poll",
        "ppoll",
        "select",
        "pselect6",
        "io_uring_enter",
    }
)
"""Where an event loop waits for something to happen."""


def syscall_name(number: int) -> str:
    """Return a system call's name."""
    return _HERE.get(number, f"syscall {number}")
