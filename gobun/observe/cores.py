"""Finds core files: whether the kernel keeps them here, and which one belongs to a process."""

from __future__ import annotations

import glob
import re
import resource
from pathlib import Path

_KERNEL = Path("/proc/sys/kernel")
_SPECIFIER = re.compile(r"%(.?)")
_NO_FILE = {"|": "given to a program", "@": "sent to a socket"}
_TICK_S = 0.05
"""Tolerance in seconds for the time of a file. The kernel takes it from a coarse clock, which may
tick only a hundred times a second (``CONFIG_HZ``)."""


def find_core(pid: int, folder: Path, started_at: float, kernel: Path = _KERNEL) -> Path | str:
    """Return the core of a process that has ended, or the reason why there is none.

    The process ran in ``folder`` and started at ``started_at``, in seconds since the epoch. An
    older core with the same name belongs to another process.
    """
    try:
        pattern = (kernel / "core_pattern").read_text().strip()
        uses_pid = (kernel / "core_uses_pid").read_text().strip() != "0"
    except OSError:
        return "cores are looked for on Linux only"
    if not pattern:
        return "the kernel keeps none (kernel.core_pattern is empty)"
    if pattern[0] in _NO_FILE:
        return f"cores are {_NO_FILE[pattern[0]]} here (kernel.core_pattern is {pattern!r})"
    core_paths = glob.iglob(str(folder / named(pattern, pid, uses_pid=uses_pid)))  # noqa: PTH207 - it may be absolute
    cores = [
        path
        for path in map(Path, core_paths)
        if path.is_file() and path.stat().st_mtime >= started_at - _TICK_S
    ]
    if cores:
        return max(cores, key=lambda path: path.stat().st_mtime)
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        return "the hard limit of core files is 0 (`ulimit -Hc`)"
    return f"the kernel wrote none as {pattern!r} (kernel.core_pattern)"


def named(pattern: str, pid: int, *, uses_pid: bool) -> str:
    """Return a glob for the file names that the kernel makes from ``pattern``; see core(5)."""
    parts: list[str] = []
    at = 0
    names_pid = False
    for match in _SPECIFIER.finditer(pattern):
        parts.append(glob.escape(pattern[at : match.start()]))
        parts.append({"p": str(pid), "%": "%", "": ""}.get(match[1], "*"))
        at = match.end()
        names_pid |= match[1] == "p"
    parts.append(glob.escape(pattern[at:]))
    if uses_pid and not names_pid:
        parts.append(f".{pid}")
    return "".join(parts)
