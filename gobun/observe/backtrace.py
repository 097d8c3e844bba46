"""Backtraces of all threads, where gdb is installed; never needed."""

from __future__ import annotations

import shutil

from gobun.errors import PrerequisiteError
from gobun.process import run_tool

LIMIT_S = 20.0
FRAMES = 12


def backtrace(pid: int, limit_s: float = LIMIT_S) -> str:
    """Return the backtraces of a process's threads, or one line that says why there are none.

    The process stands still meanwhile.
    """
    gdb = shutil.which("gdb")
    if gdb is None:
        return "no backtrace: gdb is not installed\n"
    command = [gdb, "-nx", "-q", "-batch", "-iex", "set debuginfod enabled off"]
    command += ["-iex", "set auto-load off", "-ex", "set width 0"]
    command += ["-ex", f"thread apply all bt {FRAMES}", "-p", str(pid)]
    try:
        done = run_tool(command, timeout_s=limit_s)
    except PrerequisiteError as error:
        return f"no backtrace: {error.what}\n"
    if "Thread " not in done.out:
        return f"no backtrace: {done.tail}\n"
    return done.out
