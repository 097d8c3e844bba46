"""Fuzzers for the readers of libraries: ELF, Mach-O, and Go's build records."""

from __future__ import annotations

import struct
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.torture.fuzzing import fuzz, mutations_of
from benchmarks.torture.registry import Budget, Figure, part
from gobun import audit

if TYPE_CHECKING:
    from collections.abc import Iterator


@part(seconds=60, quick=True)
def fuzz_elf(budget: Budget) -> Iterator[Figure]:
    """Inspect changed ELF libraries."""
    yield from _fuzz_inspection(budget, _elf())


@part(seconds=60, quick=True)
def fuzz_mach_o(budget: Budget) -> Iterator[Figure]:
    """Inspect changed Mach-O libraries and universal files."""
    thin = _macho()
    fat = struct.pack(">II5I", 0xCAFEBABE, 1, 0x01000007, 3, 4096, len(thin), 12)
    yield from _fuzz_inspection(budget, thin, fat.ljust(4096, b"\0") + thin)


def _fuzz_inspection(budget: Budget, *seeds: bytes) -> Iterator[Figure]:
    path = budget.folder / "library"
    path.write_bytes(seeds[0])
    audit.inspect(path)  # raises if the seed is invalid, and loads the parser before the fuzzing

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        for report in audit.inspect_slices(path):
            audit.render(report)

    yield from fuzz(budget, mutations_of(seeds), feed)


def _elf() -> bytes:
    """Return the smallest library of this Python, which a linker made."""
    folder = Path(sysconfig.get_config_var("DESTSHARED"))
    smallest = min(folder.glob("*.so"), key=lambda each: each.stat().st_size)
    return smallest.read_bytes()


def _macho() -> bytes:
    """Return a dynamic library of one segment, with a name, symbols and a minimum macOS version."""
    segment = struct.pack("<II16s4Q4I", 0x19, 72, b"__TEXT", 0, 4096, 0, 4096, 5, 5, 0, 0)
    name = struct.pack("<6I", 0xD, 40, 24, 1, 1, 1) + b"@rpath/a.dylib\0\0"
    symbols = struct.pack("<6I", 0x2, 24, 1024, 1, 1100, 16)
    build = struct.pack("<6I", 0x32, 24, 1, 0xD0000, 0xD0000, 0)
    trie = struct.pack("<4I", 0x80000033, 16, 2048, 16)
    commands = segment + name + symbols + build + trie
    head = struct.pack("<8I", 0xFEEDFACF, 0x01000007, 3, 6, 5, len(commands), 0x85, 0)
    data = bytearray((head + commands).ljust(4096, b"\0"))
    data[1024:1040] = struct.pack("<IBBHQ", 1, 0xF, 1, 0, 0x200)
    data[1100:1116] = b"\0_Warmup\0".ljust(16, b"\0")
    data[2048:2064] = b"\0\1_Warmup\0\x0b\2\0\0\0"[:16].ljust(16, b"\0")
    return bytes(data)
