"""Files that are not libraries. Each error names the kind of file, without a traceback."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gobun import audit
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def elf(kind: int, *, machine: int = 62, system: int = 0) -> bytes:
    head = b"\x7fELF\x02\x01\x01" + bytes([system]) + b"\0" * 8
    return head + struct.pack("<HHIQQQI6H", kind, machine, 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0)


def macho(kind: int, commands: bytes = b"", count: int = 0) -> bytes:
    fields = (0x0100000C, 0, kind, count, len(commands), 0, 0)
    return b"\xcf\xfa\xed\xfe" + struct.pack("<7I", *fields) + commands


def build_version(platform: int) -> bytes:
    return struct.pack("<6I", 0x32, 24, platform, 13 << 16, 13 << 16, 0)


def universal_file(*places: tuple[int, int]) -> bytes:
    head = struct.pack(">II", 0xCAFEBABE, len(places))
    return head + b"".join(struct.pack(">5I", 7, 3, at, size, 0) for at, size in places)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"hello\n" * 50, "is a text file"),
        ("é".encode() * 3000, "is a text file"),
        (b"x" + "é".encode() * 3000, "is a text file"),
        (b"#!/bin/sh\n", "is a script"),
        (b"!<arch>\n" + b"x" * 90, "is a static archive (.a)"),
        (b"!<thin>\n", "is a thin static archive (.a)"),
        (b"MZ\x90\0" + b"\0" * 90, "is a Windows program or DLL (PE)"),
        (b"\0asm\1\0\0\0", "is a WebAssembly module"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"\x1f\x8b\x08", "is a gzip archive"),
        (b"--- !tapi-tbd\n", "is a linker's stub (.tbd)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"\xca\xfe\xba\xbe\0\0\0\x41" + b"\0" * 90, "is a Java class"),
        (b"\x00\x01\x02\x03", "is neither ELF nor Mach-O (it starts with 00 01 02 03)"),
        (elf(1), "is an object file (.o)"),
        (elf(2), "is an executable"),
        (elf(4), "is a core dump"),
        (elf(3, system=9), "is a library for FreeBSD"),
        (elf(77), "is damaged: ELF type 77"),
        (elf(3), "is damaged: it has no dynamic section"),
        (b"\x7fELF", "is damaged"),
        (elf(3)[:40], "is damaged: it ends inside its headers"),
        (macho(1), "is an object file (.o)"),
        (macho(2), "is an executable"),
        (macho(9), "is a linker's stub"),
        (macho(10), "is a file of debug symbols"),
        (macho(99), "is damaged: Mach-O type 99"),
        (macho(6, build_version(2), 1), "is a library for IOS, not macOS"),
        (macho(6, b"\0" * 8, 1), "is damaged: one of its load commands"),
        (macho(6)[:20], "is damaged"),
        (universal_file(), "is damaged: it is a universal file without a slice"),
        (universal_file((100, 4000)), "is cut short"),
        (universal_file((28, 4)) + b"\0\1\2\3", "is neither ELF nor Mach-O"),
        (universal_file((28, 8)) + b"!<arch>\n", "is a static archive"),
    ],
)
def test_audit_unreadable_file_gives_its_reason(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "given.so"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        audit.inspect(path)
    assert f"{path} {words}" in str(caught.value)
    assert caught.value.hint


def test_audit_missing_file_and_folder_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        audit.inspect(tmp_path / "nothing.so")
    with pytest.raises(UsageError, match="is a folder"):
        audit.inspect(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        audit.inspect(tmp_path / ("x" * 300))


def test_audit_pipe_is_rejected_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a regular file"):
        audit.inspect(tmp_path / "pipe")


def test_audit_import_is_cheap() -> None:
    program = "import sys, gobun.audit; sys.exit('lief' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
