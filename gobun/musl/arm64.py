"""Makes the thunk that replaces a load of the TLS word on arm64."""

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
    """Reject a site if its thunk could not use the register that it loads into.

    Raises:
        UsageError: the site loads into the zero register.
    """
    if site.register == _STACK:
        raise UsageError(
            f"{image.path} loads its TLS word into no register at {site.address:#x}",
            hint="report the library",
        )


def thunk(image: Image, site: Site, offset: int, address: int) -> bytes:
    """Return the thunk's code for ``address``. It computes the value that the site's word had.

    ``offset`` is that of the variable in the library's TLS, in bytes. The thunk saves one register
    in 16 bytes of stack.

    Raises:
        UsageError: the offset is too large, or the code is too far away.
    """
    if not 0 <= offset < _MOST_OFFSET:
        raise UsageError(
            f"{image.path} has a TLS variable at offset {offset:#x}, too far from the others",
            hint="report the library",
        )
    target, (load,) = site.register, struct.unpack("<I", image.read_at(site.address, 4))
    base = load >> 5 & 31
    scratch = next(register for register in (*_SCRATCH, 15) if register not in {target, base})
    instructions = [
        0xF81F0FE0 | scratch,  # str scratch, [sp, #-16]!
        load,  # ldr target, [base, #word]
        0xD53BD040 | scratch,  # mrs scratch, tpidr_el0
        0xF85F8000 | scratch << 5 | scratch,  # ldur scratch, [scratch, #-8]: the DTV
        0xF8607800 | target << 16 | scratch << 5 | target,  # ldr target, [scratch, target, lsl #3]
        0xD53BD040 | scratch,  # mrs scratch, tpidr_el0
        0xCB000000 | scratch << 16 | target << 5 | target,  # sub target, target, scratch
    ]
    if offset:
        instructions.append(
            0x91000000 | offset << 10 | target << 5 | target
        )  # add target, target, #offset
    instructions.append(0xF84107E0 | scratch)  # ldr scratch, [sp], #16
    instructions.append(_branch(address + 4 * len(instructions), site.address + site.size))
    return struct.pack(f"<{len(instructions)}I", *instructions)


def saved_register(code: bytes) -> SavedRegister | None:
    """Return the part of a thunk during which its scratch register is on the stack."""
    (first,) = struct.unpack_from("<I", code)
    return SavedRegister(register=first & 31, size=_SAVE_SIZE, start=4, end=len(code) - 4)


def jump(site: Site, address: int) -> bytes:
    """Return the instruction that replaces the site: a branch to its thunk.

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
