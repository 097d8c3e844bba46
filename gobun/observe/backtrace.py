"""Reads the backtraces of all threads of a process or a core with gdb, if it is installed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from gobun.errors import PrerequisiteError
from gobun.printable import printable
from gobun.process import run_tool

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 20.0
FRAMES = 12


def backtrace(pid: int, limit_s: float = LIMIT_S) -> str:
    """Return the backtraces of a process's threads, or one line that gives the reason for none.

    gdb stops the process meanwhile.
    """
    return _backtrace(["-p", str(pid)], limit_s)


def core_backtrace(program: str, core: Path, limit_s: float = LIMIT_S) -> str:
    """Return the backtraces in a core, or one line that gives the reason for none."""
    return _backtrace([program, str(core)], limit_s)


def _backtrace(commands: list[str], limit_s: float) -> str:
    gdb = shutil.which("gdb")
    if gdb is None:
        return "no backtrace: gdb is not installed\n"
    command = [gdb, "-nx", "-q", "-batch", "-iex", "set debuginfod enabled off"]
    command += ["-iex", "set auto-load off", "-ex", "set width 0"]
    command += ["-ex", f"thread apply all bt {FRAMES}", *commands]
    try:
        completed = run_tool(command, timeout_s=limit_s)
    except PrerequisiteError as error:
        return f"no backtrace: {error.what}\n"
    if "Thread " not in completed.out:
        return f"no backtrace: {printable(completed.tail)}\n"
    return printable(completed.out, kept_characters="\n\t")
