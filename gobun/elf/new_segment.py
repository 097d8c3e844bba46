"""A segment that an edit adds to a library, and its sections."""

from __future__ import annotations

from gobun.elf import constants as elf
from gobun.elf.image import Section, Segment

BLOCK_ALIGN = 16
"""The default alignment of a block, in bytes."""


class NewSegment:
    """A segment under construction. Addresses in it are final.

    ``address`` is in memory and ``offset`` in the file. ``flags`` are those of a program header.
    ``page`` is the alignment of the segment. All but the flags are in bytes.
    """

    def __init__(self, address: int, offset: int, flags: int, page: int) -> None:
        self.address = address
        self.flags = flags
        self.content = bytearray()
        self.sections: list[Section] = []
        self._offset = offset
        self._page = page

    @property
    def next_address(self) -> int:
        """Address of the next block, if that needs no alignment."""
        return self.address + len(self.content)

    def align(self, size: int, padding: bytes = b"\0") -> None:
        """Pad with the byte ``padding`` up to a multiple of ``size`` bytes."""
        self.content += padding * (-self.next_address % size)

    def add(
        self, data: bytes, *, align: int = BLOCK_ALIGN, name: str = "", code: bool = False
    ) -> int:
        """Append ``data`` and return its address. With ``name``, make a section of it."""
        self.align(align)
        address = self.next_address
        self.content += data
        if name:
            self.cover(name, address, code=code, align=align)
        return address

    def cover(self, name: str, start: int, *, code: bool, align: int = BLOCK_ALIGN) -> None:
        """Make a section of everything from address ``start`` on."""
        flags = elf.SHF_ALLOC
        flags |= elf.SHF_EXECINSTR if code else 0
        flags |= elf.SHF_WRITE if self.flags & elf.PF_W else 0
        size = self.next_address - start
        self.sections.append(
            Section(
                name,
                elf.SHT_PROGBITS,
                flags,
                start,
                self.offset_of(start),
                size,
                align=align,
            )
        )

    def header(self) -> Segment:
        """Return its program header."""
        size = len(self.content)
        return Segment(
            elf.PT_LOAD,
            self.flags,
            self._offset,
            self.address,
            self.address,
            size,
            size,
            self._page,
        )

    def offset_of(self, address: int) -> int:
        """Return the file offset of ``address``."""
        return self._offset + address - self.address
