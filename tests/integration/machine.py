"""What a musl machine has in place of glibc's, and marks that skip tests there."""

from __future__ import annotations

import shutil

import pytest
import semver

from gobun.targets import host_target

ON_MUSL = host_target().libc == "musl"
SHELL = "bash" if shutil.which("bash") else "sh"
"""The shell of printed commands; Alpine has no bash."""
OLD_BUN = "1.1.45" if ON_MUSL else "1.0.36"
"""A release whose garbage collector suspends threads with SIGUSR1. The first for musl is 1.1.39."""
FIRST_BUN_WITH_FFI_ON_MUSL = semver.Version(1, 2, 5)
"""Before this release ``bun:ffi`` opens no library on musl, not even one in C."""
FOR_MUSL = " for musl" if ON_MUSL else ""
"""The end of a runtime's label in a diagnosis."""
OTHER_RUNTIMES = ("node",) if ON_MUSL else ("node", "deno")
"""Runtimes besides Bun that this machine can run."""
MOST_SIGNALS = 59 if ON_MUSL else 60
"""Signals that a mask can hold: not SIGKILL, SIGSTOP, and those that the C library keeps to itself:
glibc two and musl three."""
MUSL_CALLS = {"clock_nanosleep": "nanosleep", "epoll_wait": "epoll_pwait", "pselect6": "select"}
"""System calls that glibc's functions make, and those of musl's functions."""


def system_call(name: str) -> str:
    """Return the system call that this machine's C library makes where glibc makes ``name``."""
    return MUSL_CALLS.get(name, name) if ON_MUSL else name


def needs(program: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test where ``program`` is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


embeds_guard = pytest.mark.skipif(
    ON_MUSL, reason="embed-guard takes libraries for glibc, and musl loads none"
)
"""Skips tests that embed the guard into a library and load it."""
