"""Identifies the runtime of a process from its executable.

The executable is only read and never run, because it may be an application.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gobun.diagnose.records import RuntimeSeen
from gobun.guarded_read import read_memory_file
from gobun.observe import chunks, open_program, read_link
from gobun.printable import printable_bytes
from gobun.version_ranges import in_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.observe import Mapping

_COMPILED_MARK = b"\n---- Bun! ----\n"
_TAIL = 1 << 16
_MOST_PROGRAM = 1 << 30
_LONGEST_COMMAND = 1 << 20
_MOST_ENVIRONMENT = 16 << 20
_OVERLAP = 128
"""Bytes that consecutive chunks share. A marker or a version is shorter, so it is always whole in
one of the chunks."""
# Each pattern begins with literal text, which makes the search ten times as fast.
_VERSIONS = {
    "bun": (re.compile(rb"Bun v(\d+\.\d+\.\d+(?:-[a-z0-9.]+)?)"),),
    "node": (
        re.compile(rb"node\.js/v(\d+\.\d+\.\d+)"),
        re.compile(rb"/release/v(\d+\.\d+\.\d+)/node-v"),
    ),
    "deno": (re.compile(rb"Deno/(\d+\.\d+\.\d+)"),),
}
# Text that identifies a runtime. Bun's executable also contains Node's, so the first match counts.
_MARKS = {
    "bun": b"BUN_JSC_",
    "deno": b"DENO_DIR",
    "node": b"NODE_OPTIONS",
}
_LIBCS = {
    "musl": re.compile(r"ld-musl-\w+\.so\.1|libc\.musl-\w+\.so\.1"),
    "glibc": re.compile(r"libc\.so\.6|libc-2\.\d+\.so"),
}
"""The file name of each C library. musl and its dynamic loader are one file."""
_BY_SIGUSR1 = "<=1.2.1"
"""The releases of Bun that suspend threads with SIGUSR1."""
_SIGNAL_BEFORE, _SIGNAL_SINCE = 10, 30
_VARIABLE = "JSC_SIGNAL_FOR_GC"
_IGNORES_IT = "1.2.2"
"""The only release that treats the variable as an unknown option; measured."""


def seen_runtime(pid: int, maps: Sequence[Mapping] = ()) -> RuntimeSeen:
    """Return the runtime of a process; without a name if it is unknown or cannot be read.

    ``maps`` are the mappings of the process, which identify its C library.
    """
    executable = read_link(Path(f"/proc/{pid}/exe"))
    if not executable:  # a kernel thread has none
        return RuntimeSeen("", "", _command_line(pid))
    handle = open_program(pid)
    if handle is None:
        return RuntimeSeen("", "", executable)
    try:
        return _recognise(handle, executable, libc_of(maps))
    except OSError:
        return RuntimeSeen("", "", executable)
    finally:
        os.close(handle)


def libc_of(maps: Sequence[Mapping]) -> str:
    """Return the C library that a process has mapped: ``glibc``, ``musl``, or ``""``."""
    for mapping in maps:
        for libc, name in _LIBCS.items():
            if name.fullmatch(mapping.path.rpartition("/")[2]):
                return libc
    return ""


def suspend_signal(pid: int, runtime: RuntimeSeen) -> int | None:
    """Return the signal with which JavaScriptCore suspends threads; None for other engines."""
    if runtime.name != "bun":
        return None
    signal_text = environment(pid).get(_VARIABLE, "")
    if signal_text.isdecimal() and not in_range(runtime.version, _IGNORES_IT):
        return int(signal_text)
    return _SIGNAL_BEFORE if in_range(runtime.version, _BY_SIGUSR1) else _SIGNAL_SINCE


def environment(pid: int) -> dict[str, str]:
    """Return the environment that a process started with; empty if it may not be read."""
    entries = read_memory_file(pid, "environ", _MOST_ENVIRONMENT).split(b"\0")
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if entry)
    return {name: value for name, _, value in pairs}


def _parts_of(version: str) -> tuple[int, ...]:
    """Return a version's three numbers for comparison; empty if it has none."""
    numbers = version.partition("-")[0].split(".")
    return tuple(map(int, numbers)) if all(number.isdecimal() for number in numbers) else ()


def _recognise(handle: int, executable: str, libc: str) -> RuntimeSeen:
    found_names: set[str] = set()
    for _, data in chunks(handle, _MOST_PROGRAM, _OVERLAP):
        found_names |= {name for name, mark in _MARKS.items() if mark in data}
    name = next((name for name in _MARKS if name in found_names), "")
    if not name:
        return RuntimeSeen("", "", executable)
    matches = {
        version.decode()
        for _, data in chunks(handle, _MOST_PROGRAM, _OVERLAP)
        for pattern in _VERSIONS[name]
        for version in pattern.findall(data)
    }
    # Deno's executable also names older versions; its own is the newest.
    version = max(matches, key=_parts_of, default="")
    tail = os.pread(handle, _TAIL, max(0, os.fstat(handle).st_size - _TAIL))
    return RuntimeSeen(name, version, executable, name == "bun" and _COMPILED_MARK in tail, libc)


def _command_line(pid: int) -> str:
    return printable_bytes(read_memory_file(pid, "cmdline", _LONGEST_COMMAND).split(b"\0")[0])
