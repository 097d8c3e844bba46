"""Names of signals, and the flags of their handlers."""

from __future__ import annotations

import signal

SA_ONSTACK = 0x08000000
"""The handler runs on the thread's alternate stack, if it has one."""

DEFAULT_ACTION, IGNORE_ACTION = 0, 1
"""The values that the kernel keeps in place of a handler's address."""

_FLAGS = {
    0x00000001: "SA_NOCLDSTOP",
    0x00000002: "SA_NOCLDWAIT",
    0x00000004: "SA_SIGINFO",
    SA_ONSTACK: "SA_ONSTACK",
    0x10000000: "SA_RESTART",
    0x40000000: "SA_NODEFER",
    0x80000000: "SA_RESETHAND",
}
_REAL_TIME = 34
_LIBC = {32: "SIGCANCEL (libc's)", 33: "SIGSETXID (libc's)"}


def signal_name(number: int) -> str:
    """Return a signal's name, such as ``SIGPWR``."""
    if number in _LIBC:
        return _LIBC[number]
    if number == _REAL_TIME:
        return "SIGRTMIN"
    try:
        return signal.Signals(number).name
    except ValueError:
        low = number > _REAL_TIME
        return f"SIGRTMIN+{number - _REAL_TIME}" if low else f"signal {number}"


def signal_numbers(mask: int) -> list[int]:
    """Return the numbers of the signals in a mask, ascending."""
    return [bit + 1 for bit in range(64) if mask >> bit & 1]


def mask_text(mask: int) -> str:
    """Return the signals in a mask by name, or ``all but`` the missing ones if those are few."""
    numbers = signal_numbers(mask)
    if len(numbers) <= 12:
        return " ".join(signal_name(number) for number in numbers) or "none"
    # The list of missing signals leaves out real-time signals, and those that cannot be blocked.
    free = [
        n for n in range(1, 32) if n not in numbers and n not in {signal.SIGKILL, signal.SIGSTOP}
    ]
    if len(free) > 12:
        return " ".join(signal_name(number) for number in numbers)
    rest = " ".join(signal_name(number) for number in free)
    return f"all but {rest}" if rest else "all"


def flag_names(flags: int) -> tuple[str, ...]:
    """Return the flags of a handler by name, without ``SA_RESTORER``, which libc sets."""
    return tuple(name for bit, name in _FLAGS.items() if flags & bit)
