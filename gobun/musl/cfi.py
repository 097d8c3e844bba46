"""Writes call frame information for thunks, so that gdb can show a backtrace through one.

It describes a thunk as a function that its site called without using any stack. The caller goes on
right after the site, with the same stack pointer and registers. From there an unwinder uses the
existing information about the site's function.

The information is in ``.debug_frame``, which only debuggers read. Unwinders inside the process use
``.eh_frame``, which has no entries for Go's own functions either.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import msgspec

from gobun.elf import constants as elf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gobun.elf import Image

SECTION = ".debug_frame"
_NO_CIE = 0xFFFFFFFF
_VERSION = 3
_CODE_ALIGN, _DATA_ALIGN = b"\x01", b"\x78"  # 1, and -8 as SLEB128
_DEF_CFA, _DEF_CFA_OFFSET, _SAME_VALUE, _VAL_EXPRESSION, _OFFSET_EXTENDED = 12, 14, 8, 22, 5
_ADVANCE, _RESTORE_EXTENDED, _NOP = 0x40, 6, 0
_OP_ADDR = b"\x03"
_COMPRESSED_HEADER = struct.Struct("<IIQQ")
_ZLIB = 1
_MOST_FRAME = 1 << 28


class UnwindRules(msgspec.Struct, frozen=True):
    """How an architecture numbers registers in DWARF."""

    pc: int
    stack: int
    kept_registers: tuple[int, ...]
    """Registers whose values a thunk preserves."""


class SavedRegister(msgspec.Struct, frozen=True):
    """A register that a thunk saves on the stack for a part of its code."""

    register: int
    size: int
    """Bytes of stack that it takes."""
    start: int
    end: int
    """That part of the thunk: two distances from its start, in bytes."""


class Frame(msgspec.Struct, frozen=True):
    """A thunk, and the place where its caller continues."""

    address: int
    size: int
    """Bytes."""
    back: int
    """Address of the instruction after the site."""
    saved_register: SavedRegister | None = None


def section(image: Image, rules: UnwindRules, frames: Iterable[Frame]) -> bytes | None:
    """Return ``.debug_frame`` with the thunks added, or None if the old one cannot be read."""
    old = _existing_frames(image)
    if old is None:
        return None
    data = bytearray(old + bytes(-len(old) % 8))
    cie_at = len(data)
    head = struct.pack("<IB", _NO_CIE, _VERSION) + b"\0" + _CODE_ALIGN + _DATA_ALIGN
    head += bytes([rules.pc, _DEF_CFA, rules.stack, 0])
    for register in rules.kept_registers:
        head += bytes([_SAME_VALUE, register])
    data += _entry(head)
    for frame in frames:
        body = struct.pack("<IQQ", cie_at, frame.address, frame.size)
        expression = _OP_ADDR + struct.pack("<Q", frame.back)
        body += bytes([_VAL_EXPRESSION, rules.pc, len(expression)]) + expression
        data += _entry(body + _save_instructions(frame.saved_register))
    return bytes(data)


def _save_instructions(saved: SavedRegister | None) -> bytes:
    if saved is None:
        return b""
    slot = saved.size // 8
    return bytes(
        [
            *(_ADVANCE | saved.start, _DEF_CFA_OFFSET, saved.size),
            *(_OFFSET_EXTENDED, saved.register, slot),
            *(_ADVANCE | saved.end - saved.start, _DEF_CFA_OFFSET, 0),
            *(_RESTORE_EXTENDED, saved.register),
        ]
    )


def _entry(body: bytes) -> bytes:
    body += bytes([_NOP]) * (-(len(body) + 4) % 8)
    return struct.pack("<I", len(body)) + body


def _existing_frames(image: Image) -> bytes | None:
    sections = [each for each in image.sections if each.name == SECTION]
    if not sections:
        return b""
    raw = image.bytes_at(sections[0].offset, sections[0].size)
    if not sections[0].flags & elf.SHF_COMPRESSED:
        return raw
    kind, _, size, _ = (
        _COMPRESSED_HEADER.unpack_from(raw) if len(raw) >= _COMPRESSED_HEADER.size else (0,) * 4
    )
    if kind != _ZLIB or size > _MOST_FRAME:
        return None
    try:
        return zlib.decompressobj().decompress(raw[_COMPRESSED_HEADER.size :], size)
    except zlib.error:
        return None
