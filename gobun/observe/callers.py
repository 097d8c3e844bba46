"""Finds the library and function that began a wait, from the stack of the waiting thread.

A system call returns to an address in libc, which does not identify the caller. The stack holds the
return addresses of libc's callers. A word on the stack counts as a return address if it points just
after a call instruction in the code of a file, and that call goes to the file of the frame below.
If a register holds the target of the call, the target is unknown and the word counts. On arm64
every target is unknown. So a stale word may count: the result is likely, not certain.

The name of the function is only for people to read. The library also decides in ``gobun.diagnose``
which threads must not be stopped, and whether the runtime itself waits.
"""

from __future__ import annotations

import itertools
import platform
import struct
from pathlib import PurePath
from typing import TYPE_CHECKING

import msgspec

from gobun.observe import memory
from gobun.observe.symbols import Symbols

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gobun.observe.memory import Mapping

_STACK_BYTES = 16 << 10
_LIBC = ("libc.", "libc-", "libpthread", "libm.", "libdl", "librt.", "ld-linux", "ld-musl", "ld-")
_ARM64 = platform.machine().lower() in {"aarch64", "arm64"}
_CALL_BYTES = 7
_CALL, _CALL_SLOT, _JUMP_SLOT = 0xE8, b"\xff\x15", b"\xff\x25"
_ENDBR64 = b"\xf3\x0f\x1e\xfa"
_MOST_FRAMES = 24


class Caller(msgspec.Struct, frozen=True):
    """The caller that began a wait, as far as the stack shows it."""

    library: str
    """The path of the file, as the process names it."""
    function: str
    """The exported function through which the library was entered. If that is unknown, the
    innermost function; ``""`` if the symbols do not name it."""


def find_caller(pid: int, maps: Sequence[Mapping], stack_pointer: int, pc: int) -> Caller | None:
    """Return the caller of libc; in Go, of the system call itself. None if unknown."""
    frames = list(_frames(pid, maps, stack_pointer, pc))
    if not frames:
        return None
    library = frames[0][0].path
    library_frames = list(itertools.takewhile(lambda frame: frame[0].path == library, frames))[
        :_MOST_FRAMES
    ]
    # Look up the byte before the return address: a call may be its function's last instruction.
    places = [(mapping, address - 1) for mapping, address in library_frames]
    with Symbols(pid, library_frames[0][0]) as symbols:
        entered = [name for name in symbols.names(places, only_exported=True) if name]
        inner = entered[-1:] or symbols.names(places[:1], only_exported=False)
    return Caller(library, inner[0])


def _frames(
    pid: int, maps: Sequence[Mapping], stack_pointer: int, pc: int
) -> Iterator[tuple[Mapping, int]]:
    """Yield the mapping and the return address of each caller outside libc, innermost first."""
    inner = memory.at_address(maps, pc)
    if inner is None:
        return
    if not _is_libc(inner):
        yield inner, pc
    data = memory.read_memory(pid, stack_pointer, _STACK_BYTES)
    for (word,) in struct.iter_unpack("<Q", data[: len(data) - len(data) % 8]):
        mapping = memory.at_address(maps, word)
        if mapping is None or "x" not in mapping.rights or not mapping.path.startswith("/"):
            continue
        target = _call_target(pid, word)
        if target is None:
            continue
        if target:
            reached = memory.at_address(maps, target)
            if reached is None or reached.path != inner.path:
                continue
        inner = mapping
        if not _is_libc(mapping):
            yield mapping, word


def _is_libc(mapping: Mapping) -> bool:
    return PurePath(mapping.path).name.startswith(_LIBC)


def _call_target(pid: int, address: int) -> int | None:
    """Return the target of the call before an address; 0 if unknown, None if there is no call."""
    before = memory.read_memory(pid, address - _CALL_BYTES, _CALL_BYTES)
    if len(before) < _CALL_BYTES:
        return None
    if _ARM64:
        return _call_target_arm64(before, address)
    offset = int.from_bytes(before[-4:], "little", signed=True)
    if before[-5] == _CALL:
        return _through_table(pid, address + offset)
    if before[-6:-4] == _CALL_SLOT:
        return _word(pid, address + offset)
    by_register = any(
        before[-size] == 0xFF and before[1 - size] >> 3 & 7 == 2 for size in (2, 3, 4, 6, 7)
    )
    return 0 if by_register else None


def _call_target_arm64(code_before: bytes, address: int) -> int | None:
    word = int.from_bytes(code_before[-4:], "little")
    if word & 0xFC000000 == 0x94000000:
        # It may go to the file's own procedure linkage table, whose entries are not followed here.
        return 0
    return 0 if word & 0xFFFFF01F == 0xD63F0000 and address % 4 == 0 else None


def _through_table(pid: int, target: int) -> int:
    """Follow an entry of the procedure linkage table, which jumps to the address in a slot."""
    code = memory.read_memory(pid, target, 16).removeprefix(_ENDBR64).removeprefix(b"\xf2")
    if not code.startswith(_JUMP_SLOT) or len(code) < 6:
        return target
    skipped = 16 - len(code)
    offset = int.from_bytes(code[2:6], "little", signed=True)
    return _word(pid, target + skipped + 6 + offset)


def _word(pid: int, address: int) -> int:
    return int.from_bytes(memory.read_memory(pid, address, 8), "little")
