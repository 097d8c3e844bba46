"""The thunk that stands in for a load of the TLS word, on arm64."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from gobun.errors import UsageError
from gobun.musl.cfi import SavedRegister, UnwindRules

if TYPE_CHECKING:
    from gobun.elf import Image
    from gobun.elf.site import Site

ARCH = "arm64"
PADDING = b"\0"
_SCRATCH = (16, 17)
_STACK = 31
_MOST_OFFSET = 1 << 12
_REACH = 1 << 27
_SAVE_SIZE = 16
UNWIND_RULES = UnwindRules(pc=32, stack=_STACK, kept_registers=tuple(range(31)))


def check(image: Image, site: Site) -> None:
    """Refuse a site that loads into a register that the thunk cannot give back.

    Raises:
        UsageError: it loads into the zero register.
    """
    if site.register == _STACK:
        raise UsageError(
            f"{image.path} loads its TLS word into no register at {site.address:#x}",
            hint="report the library",
        )


def thunk(image: Image, site: Site, offset: int, address: int) -> bytes:
    """Return code for ``address`` that does what the site did, for a variable at ``offset``.

    One register is saved in 16 bytes of stack.

    Raises:
        UsageError: the offset is too large, or the code is too far away.
    """
    if not 0 <= offset < _MOST_OFFSET:
        raise UsageError(
            f"{image.path} has a TLS variable at offset {offset:#x}, too far from the others",
            hint="report the library",
        )
    target, (own,) = site.register, struct.unpack("<I", image.read_at(site.address, 4))
    base = own >> 5 & 31
    scratch = next(each for each in (*_SCRATCH, 15) if each not in {target, base})
    words = [
        0xF81F0FE0 | scratch,  # str scratch, [sp, #-16]!
        own,  # ldr target, [base, #word]
        0xD53BD040 | scratch,  # mrs scratch, tpidr_el0
        0xF85F8000 | scratch << 5 | scratch,  # ldur scratch, [scratch, #-8]: the DTV
        0xF8607800 | target << 16 | scratch << 5 | target,  # ldr target, [scratch, target, lsl #3]
        0xD53BD040 | scratch,  # mrs scratch, tpidr_el0
        0xCB000000 | scratch << 16 | target << 5 | target,  # sub target, target, scratch
    ]
    if offset:
        words.append(0x91000000 | offset << 10 | target << 5 | target)  # add target, target, #
    words.append(0xF84107E0 | scratch)  # ldr scratch, [sp], #16
    words.append(_branch(address + 4 * len(words), site.address + site.size))
    return struct.pack(f"<{len(words)}I", *words)


def saved_register(code: bytes) -> SavedRegister | None:
    """Return where in a thunk its scratch register is on the stack."""
    (first,) = struct.unpack_from("<I", code)
    return SavedRegister(register=first & 31, size=_SAVE_SIZE, start=4, end=len(code) - 4)


def jump(site: Site, address: int) -> bytes:
    """Return what is written over the site: a branch to its thunk.

    Raises:
        UsageError: the thunk is too far away.
    """
    return struct.pack("<I", _branch(site.address, address))


def _branch(start: int, target: int) -> int:
    distance = target - start
    if not -_REACH <= distance < _REACH:
        raise UsageError(
            f"code at {start:#x} cannot branch as far as {target:#x}", hint="report the library"
        )
    return 0x14000000 | (distance >> 2) & 0x3FFFFFF
