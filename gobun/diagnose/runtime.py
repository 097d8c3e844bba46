"""Which runtime a process is. Its executable is read and never run: it may be an application."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
from pathlib import Path

from gobun.diagnose.records import RuntimeSeen
from gobun.ranges import in_range

_COMPILED_MARK = b"\n---- Bun! ----\n"
_TAIL = 1 << 16
_VERSIONS = {
    "bun": re.compile(rb"\bBun v(\d+\.\d+\.\d+(?:-[a-z0-9.]+)?)"),
    "node": re.compile(rb"node\.js/v(\d+\.\d+\.\d+)|/release/v(\d+\.\d+\.\d+)/node-v"),
    "deno": re.compile(rb"Deno/(\d+\.\d+\.\d+)"),
}
# Text that stands in one runtime alone, because Bun's executable also speaks of Node.
_MARKS = {
    "bun": b"BUN_JSC_",
    "deno": b"DENO_DIR",
    "node": b"NODE_OPTIONS",
}
_BY_SIGUSR1 = "<=1.2.1"
"""The releases of Bun that suspend by SIGUSR1."""
_BEFORE, _SINCE = 10, 30
_VARIABLE = "JSC_SIGNAL_FOR_GC"
_IGNORES_IT = "1.2.2"
"""The only release that takes the variable for an option it does not know; measured."""


def seen_runtime(pid: int) -> RuntimeSeen:
    """Return which runtime a process is; nameless where that cannot be read or is none."""
    program = f"/proc/{pid}/exe"
    try:
        shown = str(Path(program).readlink())
        with (
            Path(program).open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as data,
        ):
            return _recognise(data, shown)
    except (OSError, ValueError):  # a kernel thread has none, and an empty file cannot be mapped
        return RuntimeSeen("", "", _command_line(pid))


def suspend_signal(pid: int, runtime: RuntimeSeen) -> int | None:
    """Return the signal by which JavaScriptCore suspends a thread of this process."""
    if runtime.name != "bun":
        return None
    wanted = environment(pid).get(_VARIABLE, "")
    if wanted.isdecimal() and not in_range(runtime.version, _IGNORES_IT):
        return int(wanted)
    return _BEFORE if in_range(runtime.version, _BY_SIGUSR1) else _SINCE


def environment(pid: int) -> dict[str, str]:
    """Return the environment a process was started with; empty where that may not be read."""
    with contextlib.suppress(OSError):
        text = os.fsdecode(Path(f"/proc/{pid}/environ").read_bytes())
        pairs = (entry.partition("=") for entry in text.split("\0") if entry)
        return {name: value for name, _, value in pairs}
    return {}


def _parts_of(version: str) -> tuple[int, ...]:
    """Return a version's three numbers, to be compared; empty where there are none."""
    numbers = version.partition("-")[0].split(".")
    return tuple(map(int, numbers)) if all(number.isdecimal() for number in numbers) else ()


def _recognise(data: mmap.mmap, shown: str) -> RuntimeSeen:
    for name, mark in _MARKS.items():
        if data.find(mark) < 0:
            continue
        # Deno's also names older ones; the executable itself is the newest of them.
        found = [b"".join(match.groups(b"")).decode() for match in _VERSIONS[name].finditer(data)]
        version = max(found, key=_parts_of, default="")
        compiled = name == "bun" and data.rfind(_COMPILED_MARK, max(0, len(data) - _TAIL)) >= 0
        return RuntimeSeen(name, version, shown, compiled)
    return RuntimeSeen("", "", shown)


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return os.fsdecode(words[0])
    return ""
