"""Names of functions by address, read from the symbol tables of a mapped ELF file."""

from __future__ import annotations

import bisect
import contextlib
import os
import struct
from typing import TYPE_CHECKING, Self

from gobun.observe.mapped_files import open_mapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gobun.observe.memory import Mapping

_HEADER = struct.Struct("<QQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_HEADER_AT = 24
_DAMAGE_ERRORS = (OSError, ValueError, OverflowError, struct.error)
_LOAD = 1
_SYMTAB, _DYNSYM = 2, 11
_FUNCTIONS = {2, 10}  # STT_FUNC, STT_GNU_IFUNC
_MOST_BYTES = 8 << 20
_LONGEST_NAME = 256
_FARTHEST_SYMBOL = 1 << 20
"""Largest reach of a symbol without a size, in bytes."""


class Symbols:
    """The functions of a mapped file. Use as a context manager: the file stays open inside.

    It reads the file piece by piece and does not map it: a mapped file that its owner truncates
    would kill us.
    """

    def __init__(self, pid: int, mapping: Mapping) -> None:
        self._handle = open_mapped(pid, mapping)
        self._segments: list[tuple[int, ...]] = []
        self._sections: list[tuple[int, ...]] = []

    def __enter__(self) -> Self:
        with contextlib.suppress(*_DAMAGE_ERRORS):
            self._read_headers()
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)

    def names(self, addresses: Sequence[tuple[Mapping, int]], *, only_exported: bool) -> list[str]:
        """Return the name of the function that contains each address, ``""`` if unknown.

        With ``only_exported``, the names come from the short table ``.dynsym``, else from
        ``.symtab``, which a stripped file lacks.
        """
        functions: list[tuple[int, int, int, int]] = []
        with contextlib.suppress(*_DAMAGE_ERRORS):
            functions = sorted(self._functions(_DYNSYM if only_exported else _SYMTAB))
        return [self._name(functions, mapping, address) for mapping, address in addresses]

    def _read_headers(self) -> None:
        if self._bytes(0, 6) != b"\x7fELF\x02\x01":
            return
        header = _HEADER.unpack(self._bytes(_HEADER_AT, _HEADER.size))
        _, segments, sections, _, _, segment_size, segment_count, section_size, count, _ = header
        self._segments = [
            _SEGMENT.unpack(self._bytes(segments + index * segment_size, _SEGMENT.size))
            for index in range(segment_count)
        ]
        self._sections = [
            _SECTION.unpack(self._bytes(sections + index * section_size, _SECTION.size))
            for index in range(count)
        ]

    def _functions(self, kind: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield address, size and name (as table and offset) of the functions in a table."""
        for _, each, _, _, begins, length, link, *_ in self._sections:
            if each != kind or link >= len(self._sections) or length > _MOST_BYTES:
                continue
            table = self._bytes(begins, length)
            table = table[: len(table) - len(table) % _SYMBOL.size]
            for name, info, _, section, value, size in _SYMBOL.iter_unpack(table):
                if section != 0 and info & 0xF in _FUNCTIONS:
                    yield value, size, link, name

    def _name(
        self, functions: Sequence[tuple[int, int, int, int]], mapping: Mapping, address: int
    ) -> str:
        at = self._virtual(address - mapping.start + mapping.offset)
        index = bisect.bisect_right(functions, at, key=lambda function: function[0]) - 1
        if index < 0:
            return ""
        value, size, link, name = functions[index]
        if at >= value + (size or _FARTHEST_SYMBOL):
            return ""
        with contextlib.suppress(*_DAMAGE_ERRORS):
            text = self._bytes(self._sections[link][4] + name, _LONGEST_NAME)
            return text.split(b"\0")[0].decode(errors="replace")
        return ""

    def _virtual(self, offset: int) -> int:
        """Return the virtual address of ``offset`` in the file; -1 if it has none."""
        for kind, _, begins, virtual, _, length, _, _ in self._segments:
            if kind == _LOAD and begins <= offset < begins + length:
                return virtual + offset - begins
        return -1

    def _bytes(self, offset: int, size: int) -> bytes:
        return b"" if self._handle is None else os.pread(self._handle, size, offset)
