"""Programs for macOS: the facts in their imports and load commands about threads and signals."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from gobun import audit
from gobun.audit.programs import is_program, read_program
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

EXTERNAL_BIT, PRIVATE_BIT, DEFINED_TYPE, STAB_TYPE = 0x01, 0x10, 0x0E, 0x20
MACH = ("thread_suspend", "thread_get_state", "thread_resume")


def program(
    symbols: dict[str, int],
    *,
    stack: int | None = 18 << 20,
    commands: tuple[bytes, ...] = (),
    cpu: int = 0x0100000C,
) -> bytes:
    """Return a Mach-O program with undefined symbols (``EXTERNAL_BIT``) and others."""
    loads = [struct.pack("<IIIIII", 0x32, 24, 1, 13 << 16, 0, 0), *commands]
    if stack is not None:
        loads.append(struct.pack("<IIQQ", 0x80000028, 24, 0, stack))
    size = sum(map(len, loads)) + 24
    strings, table = b"\0", b""
    for name, kind in symbols.items():
        table += struct.pack("<IBBHQ", len(strings), kind, 0, 0, 0)
        strings += f"_{name}\0".encode()
    at = 32 + size
    loads.append(struct.pack("<IIIIII", 2, 24, at, len(symbols), at + len(table), len(strings)))
    head = struct.pack("<IIIIIIII", 0xFEEDFACF, cpu, 0, 2, len(loads), size, 0, 0)
    return head + b"".join(loads) + table + strings


def described(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "bun"
    path.write_bytes(data)
    return audit.describe(path)


def test_describe_program_with_mach_calls_names_them(tmp_path: Path) -> None:
    names = (*MACH, "thread_set_exception_ports", "sigaction", "pthread_attr_setstacksize")
    text = described(tmp_path, program(dict.fromkeys(names, EXTERNAL_BIT)))

    assert "is: Mach-O program for darwin-arm64" in text
    assert "macOS: needs 13.0 or newer" in text
    assert f"suspends threads: with Mach calls ({', '.join(MACH)}); imports no pthread_kill" in text
    assert "exception ports: can be set (thread_set_exception_ports)" in text
    assert "signals: sigaction\n" in text
    assert "main stack: 18,874,368 bytes (LC_MAIN)" in text
    assert "other stacks: can be sized (pthread_attr_setstacksize)" in text


def test_describe_program_with_signals_names_them(tmp_path: Path) -> None:
    text = described(tmp_path, program({"pthread_kill": EXTERNAL_BIT}, stack=0, cpu=0x01000007))

    assert "darwin-x64" in text
    assert "suspends threads: can signal a thread (pthread_kill)\n" in text
    assert "exception ports: no call that sets one is imported" in text
    assert "signals: installs no handler" in text
    assert "main stack: the system's own (LC_MAIN says 0)" in text


def test_describe_program_with_both_ways_names_both(tmp_path: Path) -> None:
    text = described(tmp_path, program(dict.fromkeys((*MACH, "pthread_kill"), EXTERNAL_BIT)))

    assert "with Mach calls" in text
    assert "can signal a thread (pthread_kill)" in text
    assert "imports no" not in text


def test_read_program_leaves_out_own_symbols(tmp_path: Path) -> None:
    data = program(
        {
            "taken": EXTERNAL_BIT,
            "thread_suspend": EXTERNAL_BIT | DEFINED_TYPE,
            "pthread_kill": PRIVATE_BIT,
            "debugged": EXTERNAL_BIT | STAB_TYPE,
        },
        stack=None,
    )
    report = read_program(tmp_path / "bun", data)

    assert report.imports == ("taken",)
    assert report.main_stack is None


@pytest.mark.parametrize("length", [40, 70, -1])
def test_read_program_cut_short_is_rejected(tmp_path: Path, length: int) -> None:
    data = program({"taken": EXTERNAL_BIT})[:length]
    with pytest.raises(UsageError, match=r"cut short|damaged"):
        read_program(tmp_path / "bun", data)


@pytest.mark.parametrize(
    "change", [lambda d: d[:4] + b"\x09" + d[5:], lambda d: d[:36] + b"\0\0\0\0" + d[40:]]
)
def test_read_program_with_damaged_headers_is_rejected(tmp_path: Path, change: object) -> None:
    assert callable(change)
    with pytest.raises(UsageError, match="damaged"):
        read_program(tmp_path / "bun", change(program({"taken": EXTERNAL_BIT})))


def test_describe_universal_program_has_a_block_per_slice(tmp_path: Path) -> None:
    slices = [program({}, cpu=cpu) for cpu in (0x01000007, 0x0100000C)]
    head = struct.pack(">II", 0xCAFEBABE, 2)
    at, entries = 8 + 40, b""
    for each in slices:
        entries += struct.pack(">IIIII", 0, 0, at, len(each), 0)
        at += len(each)
    text = described(tmp_path, head + entries + b"".join(slices))

    assert text.count("Mach-O program for") == 2


def test_is_program_of_library_is_false() -> None:
    data = bytearray(program({}))
    assert is_program(bytes(data))
    data[12] = 6  # MH_DYLIB
    assert not is_program(bytes(data))
