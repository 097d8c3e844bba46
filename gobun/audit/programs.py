"""Reads a Mach-O program, such as a runtime: how it can suspend threads, and its main stack.

On Linux, JavaScriptCore suspends a thread with a signal, and a Go library changes how signals are
delivered. The imports of a program for macOS show whether that can happen there too. They name
the functions that the program can call. They do not show when it calls them, or which functions
it reaches without an import.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import paths
from gobun.audit import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAGIC_64 = b"\xcf\xfa\xed\xfe"
_EXECUTE = 2
_CPUS = {0x01000007: "x64", 0x0100000C: "arm64"}
_LC_SYMTAB, _LC_MAIN, _LC_BUILD_VERSION, _LC_VERSION_MIN = 0x2, 0x80000028, 0x32, 0x24
_HEADER_BYTES = 32
_SYMBOL = struct.Struct("<IBBHQ")
_STAB_MASK, _TYPE_MASK, _EXTERNAL_BIT = 0xE0, 0x0E, 0x01
_LONGEST_NAME = 512

SUSPENDING = ("thread_suspend", "thread_get_state", "thread_resume")
"""Mach's calls that stop a thread without a signal, and read its registers."""
SIGNALLING = ("pthread_kill",)
"""The functions that send a signal to one thread."""
EXCEPTION_PORTS = (
    "thread_set_exception_ports",
    "task_set_exception_ports",
    "thread_swap_exception_ports",
    "task_swap_exception_ports",
)
"""Mach's calls that take a fault before it becomes a signal."""
HANDLING = ("sigaction", "signal", "sigaltstack")
STACK_SIZES = ("pthread_attr_setstacksize",)


class ProgramReport(msgspec.Struct, frozen=True):
    """The contents of a program, or of one slice of a universal program."""

    path: Path
    size: int
    """In bytes. In a universal file, the size of the slice."""
    arch: str
    """``x64`` or ``arm64``."""
    macos_min: str | None
    main_stack: int | None
    """The main thread's stack size in the header, in bytes. None or 0 means the default."""
    imports: tuple[str, ...]
    """Sorted names of its imports, without the leading underscore."""

    def imports_among(self, names: Sequence[str]) -> list[str]:
        """Return which of ``names`` it imports."""
        return [name for name in names if name in self.imports]


class _SymbolTable(msgspec.Struct, frozen=True):
    """The position of the symbols and their names: offsets and sizes in bytes, and a count."""

    offset: int
    count: int
    strings: int
    strings_size: int


def is_program(data: bytes) -> bool:
    """Return whether a file begins like a 64-bit Mach-O program."""
    return data[:4] == _MAGIC_64 and data[12:16] == struct.pack("<I", _EXECUTE)


def read_program(path: Path, data: bytes) -> ProgramReport:
    """Inspect a program.

    Raises:
        UsageError: the program is damaged or truncated.
    """
    try:
        return _read_macho_program(path, data)
    except struct.error as error:
        raise kinds.damaged_library_error(path, "it ends inside its tables") from error


def render_program(report: ProgramReport) -> str:
    """Return a report as a block of lines."""
    lines = [
        ("is", f"Mach-O program for darwin-{report.arch}, {report.size:,} bytes"),
        ("macOS", f"needs {report.macos_min} or newer" if report.macos_min else "not stated"),
        ("suspends threads", _suspension(report)),
        ("exception ports", _exception_ports(report)),
        ("signals", ", ".join(report.imports_among(HANDLING)) or "installs no handler"),
        ("main stack", _main_stack(report)),
        ("other stacks", _other_stacks(report)),
        (
            "limits",
            "imports show which functions it can call, not when, and no direct system calls",
        ),
    ]
    return "\n".join(
        [str(paths.display_path(report.path)), *(f"  {name}: {text}" for name, text in lines)]
    )


def _suspension(report: ProgramReport) -> str:
    calls, signals = report.imports_among(SUSPENDING), report.imports_among(SIGNALLING)
    methods = []
    if {"thread_suspend", "thread_get_state"} <= set(calls):
        methods.append(f"with Mach calls ({', '.join(calls)})")
    if signals:
        methods.append(f"can signal a thread ({', '.join(signals)})")
    if not methods:
        return "no way is imported"
    return "; ".join(methods) + ("" if signals else "; imports no pthread_kill")


def _exception_ports(report: ProgramReport) -> str:
    calls = report.imports_among(EXCEPTION_PORTS)
    return f"can be set ({', '.join(calls)})" if calls else "no call that sets one is imported"


def _main_stack(report: ProgramReport) -> str:
    if report.main_stack is None:
        return "no LC_MAIN"
    if report.main_stack == 0:
        return "the system's own (LC_MAIN says 0)"
    return f"{report.main_stack:,} bytes (LC_MAIN)"


def _other_stacks(report: ProgramReport) -> str:
    calls = report.imports_among(STACK_SIZES)
    return f"can be sized ({', '.join(calls)})" if calls else "the system's own"


def _read_macho_program(path: Path, data: bytes) -> ProgramReport:
    cpu, count, size = struct.unpack_from("<4xI8xII", data)
    if cpu not in _CPUS:
        raise kinds.damaged_library_error(path, f"its processor {cpu:#x} is unknown")
    if _HEADER_BYTES + size > len(data):
        raise kinds.truncated_library_error(path, needed_bytes=_HEADER_BYTES + size, size=len(data))
    macos_min: str | None = None
    main_stack: int | None = None
    imports: tuple[str, ...] = ()
    for command, at in _commands(path, data, count):
        if command == _LC_MAIN:
            (main_stack,) = struct.unpack_from("<Q", data, at + 16)
        elif command == _LC_BUILD_VERSION:
            macos_min = _version(*struct.unpack_from("<I", data, at + 12))
        elif command == _LC_VERSION_MIN:
            macos_min = _version(*struct.unpack_from("<I", data, at + 8))
        elif command == _LC_SYMTAB:
            imports = _imports(path, data, _SymbolTable(*struct.unpack_from("<IIII", data, at + 8)))
    return ProgramReport(path, len(data), _CPUS[cpu], macos_min, main_stack, imports)


def _commands(path: Path, data: bytes, count: int) -> Iterator[tuple[int, int]]:
    """Yield each load command and its offset."""
    at = _HEADER_BYTES
    for _ in range(count):
        command, size = struct.unpack_from("<II", data, at)
        if size < 8:
            raise kinds.damaged_library_error(
                path, "one of its load commands is shorter than its own header"
            )
        yield command, at
        at += size


def _imports(path: Path, data: bytes, symbol_table: _SymbolTable) -> tuple[str, ...]:
    """Return the names of the external symbols that the program does not define."""
    end = symbol_table.offset + symbol_table.count * _SYMBOL.size
    size_needed = max(end, symbol_table.strings + symbol_table.strings_size)
    if size_needed > len(data):
        raise kinds.truncated_library_error(path, needed_bytes=size_needed, size=len(data))
    names = set()
    for name_at, kind, _, _, _ in _SYMBOL.iter_unpack(data[symbol_table.offset : end]):
        is_import = kind & _EXTERNAL_BIT and not kind & (_STAB_MASK | _TYPE_MASK)
        if is_import and name_at < symbol_table.strings_size:
            start = symbol_table.strings + name_at
            name = data[start : start + _LONGEST_NAME].partition(b"\0")[0]
            names.add(name.decode("utf-8", errors="replace").removeprefix("_"))
    return tuple(sorted(names - {""}))


def _version(packed: int) -> str:
    major, minor, patch = packed >> 16, packed >> 8 & 0xFF, packed & 0xFF
    return f"{major}.{minor}.{patch}" if patch else f"{major}.{minor}"
