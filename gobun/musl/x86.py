"""Makes the thunk that replaces a load of the TLS word on x86-64."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from gobun.elf.x86 import flags_matter
from gobun.errors import UsageError
from gobun.musl.cfi import SavedRegister, UnwindRules

if TYPE_CHECKING:
    from gobun.elf import Image
    from gobun.elf.site import Site

UNWIND_RULES = UnwindRules(
    pc=16, stack=7, kept_registers=tuple(number for number in range(16) if number != 7)
)
ARCH = "x64"
PADDING = b"\xcc"
_MOST_OFFSET = 1 << 31
_DTV, _SELF = 8, 0  # at %fs


def check(image: Image, site: Site) -> None:
    """Reject a site if later code may read the arithmetic flags, because the thunk changes them.

    Raises:
        UsageError: code after the site may read the flags.
    """
    if flags_matter(image, site.address + site.size):
        raise UsageError(
            f"{image.path} may read the arithmetic flags after {site.address:#x}, and the code "
            "that replaces that instruction changes them",
            hint="report the library: no compiler is known to do so",
        )


def thunk(image: Image, site: Site, offset: int, address: int) -> bytes:
    """Return the thunk's code for ``address``. It computes the value that the site's word had.

    ``offset`` is that of the variable in the library's TLS, in bytes. The thunk uses no stack, no
    second register and no call, so a signal may interrupt it anywhere.

    Raises:
        UsageError: the offset is too large.
    """
    if not 0 <= offset < _MOST_OFFSET:
        raise UsageError(
            f"{image.path} has a TLS variable at offset {offset:#x}, too far from the others",
            hint="report the library",
        )
    high, low = site.register >> 3, site.register & 7
    to_register = 0x48 | high << 2  # REX.W, and REX.R for %r8 and above
    on_register = 0x48 | high  # the same with REX.B
    from_fs = bytes([0x04 | low << 3, 0x25])
    index = b"\x24" if low == 4 else b""  # %rsp and %r12 as a base need a SIB byte
    code = bytes([to_register, 0x8B, low << 3 | 5])
    code += struct.pack("<i", site.word - (address + 7))  # mov word(%rip), %reg
    code += bytes([on_register, 0xC1, 0xE0 | low, 3])  # shl $3, %reg
    code += bytes([0x64, to_register, 0x03]) + from_fs + struct.pack("<i", _DTV)  # add %fs:8, %reg
    both = 0x48 | high << 2 | high
    code += bytes([both, 0x8B, 0x40 | low << 3 | low]) + index + b"\0"  # mov 0(%reg), %reg
    code += bytes([0x64, to_register, 0x2B]) + from_fs + struct.pack("<i", _SELF)  # sub %fs:0
    if offset:
        code += bytes([on_register, 0x81, 0xC0 | low]) + struct.pack("<i", offset)  # add $offset
    back = site.address + site.size - (address + len(code) + 5)
    return code + b"\xe9" + struct.pack("<i", back)  # jmp


def saved_register(code: bytes) -> SavedRegister | None:
    """Return None, because a thunk on x86-64 saves nothing on the stack."""
    del code
    return None


def jump(site: Site, address: int) -> bytes:
    """Return the code that replaces the site: a jump to its thunk, and a NOP."""
    return b"\xe9" + struct.pack("<i", address - (site.address + 5)) + b"\x66\x90"
