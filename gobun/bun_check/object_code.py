"""Reads the functions of a Linux x64 object file, their calls, and the constants that they use.

An optimised object of Bun has millions of relocations, nearly all of them for debuggers. To be
fast, the reader decodes only relocations of code, and makes records only on request.
"""

from __future__ import annotations

import bisect
import mmap
import re
import struct
from typing import TYPE_CHECKING

import msgspec

from gobun.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QIIq")
_RELOCATABLE, _X86_64 = 1, 62
_CONTENT, _SYMBOLS, _RELOCATIONS, _WIDE_INDEXES = 1, 2, 4, 18
_IN_WIDE = 0xFFFF
_FUNCTION, _A_SECTION = 2, 3
_FIELD = 4
"""A relocated field has four bytes, and the addend usually counts from its end."""

_NEAR_BRANCH = re.compile(rb"[\xe8\xe9](?=(....))", re.DOTALL)
"""``call`` and ``jmp`` with a relative target."""
_MOVE_IMMEDIATE = rb"(?:[\xb8-\xbf]|\xc7.{1,6})"
"""Opcodes before a constant that is moved into a register or memory."""
_REMOVE = "`invoke cache --evict --kind bun-check` removes what was built before"
_RECORD = 32
"""Number of bytes of a constant record that are searched."""


class Function(msgspec.Struct, frozen=True, order=True):
    """A symbol: the number of its section, and its position there in bytes."""

    section: int
    start: int
    size: int
    name: str


class Reference(msgspec.Struct, frozen=True):
    """The target of a relocation in code: a symbol, or an address in a section."""

    name: str
    section: int
    address: int


class CallSummary(msgspec.Struct, frozen=True):
    """The calls and constants of some functions and the functions that they call."""

    calls: bool
    """Whether one of them calls the target."""
    constants: tuple[tuple[str, int], ...]
    """The requested constants that were found, with their functions."""


class _ElfSection(msgspec.Struct, frozen=True):
    kind: int
    offset: int
    size: int
    link: int
    info: int


class ObjectCode:
    """The code of one object."""

    def __init__(self, path: Path) -> None:
        """Read the tables of an object.

        Raises:
            BuildError: it is not an object for Linux x64, or is truncated.
        """
        try:
            self._read_object(path)
        except (struct.error, LookupError, ValueError) as error:
            raise BuildError(f"{path} is a truncated or damaged object", hint=_REMOVE) from error

    def _read_object(self, path: Path) -> None:
        with path.open("rb") as stream:
            head = _HEADER.unpack(stream.read(_HEADER.size).ljust(_HEADER.size, b"\0"))
            if head[0][:5] != b"\x7fELF\x02" or head[1:3] != (_RELOCATABLE, _X86_64):
                raise BuildError(f"{path} is not an object for Linux x64", hint=_REMOVE)
            self._data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        at, rows = head[6], head[12]
        # If the header's count overflows, the first section has the count.
        rows = rows or _SECTION.unpack_from(self._data, at)[5]
        self._sections = [
            _ElfSection(kind, offset, size, link, info)
            for _, kind, _, _, offset, size, link, info, _, _ in _SECTION.iter_unpack(
                self._data[at : at + rows * _SECTION.size]
            )
        ]
        self._tables: dict[int, list[_ElfSection]] = {}
        for table in self._sections:
            if table.kind == _RELOCATIONS:
                self._tables.setdefault(table.info, []).append(table)
        self._symbols = list(self._read_symbols())
        self._functions = sorted(each for each in self._symbols if each.size)

    def _read_symbols(self) -> Iterator[Function]:
        """Yield all symbols in order. Only functions have a size. Sections have no name."""
        (table,) = (each for each in self._sections if each.kind == _SYMBOLS)
        texts = self._bytes(self._sections[table.link])
        wide = [each for each in self._sections if each.kind == _WIDE_INDEXES]
        indexes = struct.iter_unpack("<I", self._bytes(wide[0])) if wide else None
        for name, info, _, section, value, size in _SYMBOL.iter_unpack(self._bytes(table)):
            index = next(indexes)[0] if indexes else 0
            kind = info & 0xF
            yield Function(
                index if section == _IN_WIDE else section,
                value,
                size if kind == _FUNCTION else 0,
                "" if kind == _A_SECTION else _text(texts, name) or "?",
            )

    def _bytes(self, section: _ElfSection) -> bytes:
        return self._data[section.offset : section.offset + section.size]

    def functions(self, pattern: str) -> list[Function]:
        """Return the functions with a name that matches a pattern completely."""
        name_form = re.compile(pattern)
        return [each for each in self._functions if name_form.fullmatch(each.name)]

    def reach(
        self, pattern: str, functions: str, target: str, candidates: Collection[int]
    ) -> CallSummary:
        """Return whether functions call ``target``, and which constants of ``candidates`` they use.

        The search covers the functions whose names match ``pattern``, and their callees whose
        names match ``functions``. A constant can be in code, or in a record that code refers to.
        """
        follow = re.compile(functions)
        waiting = self.functions(pattern)
        visited = set(waiting)
        calls = False
        constants: set[tuple[str, int]] = set()
        while waiting:
            function = waiting.pop()
            texts = [(self._code(function), _MOVE_IMMEDIATE, 4)]
            for named in self._references(function):
                calls = calls or named.name == target
                if follow.fullmatch(named.name):
                    new = set(self.functions(re.escape(named.name))) - visited
                    visited |= new
                    waiting += new
                elif named.section:
                    texts.append((self._record(named), rb"", 8))
            constants.update(
                (function.name, value)
                for text, before, size in texts
                for value in candidates
                if re.search(before + re.escape(value.to_bytes(size, "little")), text, re.DOTALL)
            )
        return CallSummary(calls, tuple(sorted(constants)))

    def _references(self, function: Function) -> Iterator[Reference]:
        for table in self._tables.get(function.section, ()):
            for at, _, index, addend in _RELOCATION.iter_unpack(self._bytes(table)):
                if not function.start <= at < function.start + function.size:
                    continue
                symbol = self._symbols[index]
                address = symbol.start + addend + _FIELD
                # A relocation may name a local function by its section and offset.
                called = self._function_at(symbol.section, address) if not symbol.name else None
                yield Reference(called.name if called else symbol.name, symbol.section, address)
        # The assembler resolves calls within a section, so they have no relocation.
        for match in _NEAR_BRANCH.finditer(self._code(function)):
            address = function.start + match.start(1) + _FIELD
            address += int.from_bytes(match[1], "little", signed=True)
            called = self._function_at(function.section, address)
            if called is not None and called.start == address:
                yield Reference(called.name, 0, address)

    def _code(self, function: Function) -> bytes:
        begin = self._sections[function.section].offset + function.start
        return self._data[begin : begin + function.size]

    def _record(self, named: Reference) -> bytes:
        section = self._sections[named.section] if named.section < len(self._sections) else None
        if section is None or section.kind != _CONTENT or not 0 <= named.address < section.size:
            return b""
        end = min(named.address + _RECORD, section.size)
        return self._data[section.offset + named.address : section.offset + end]

    def _function_at(self, section: int, place: int) -> Function | None:
        after = bisect.bisect_right(self._functions, (section, place), key=_sort_key)
        function = self._functions[after - 1] if after else None
        is_inside = function is not None and function.section == section
        return (
            function if function and is_inside and place < function.start + function.size else None
        )


def _sort_key(function: Function) -> tuple[int, int]:
    return function.section, function.start


def _text(texts: bytes, at: int) -> str:
    return texts[at : texts.index(b"\0", at)].decode(errors="replace")
