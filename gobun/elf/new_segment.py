"""A segment that an edit adds to a library, with the sections in it."""

from __future__ import annotations

from gobun.elf import constants as elf
from gobun.elf.image import Section, Segment

BLOCK_ALIGN = 16
"""Bytes to which a block is aligned, unless it asks for another alignment."""


class NewSegment:
    """A segment that is being filled; addresses in it are final."""

    def __init__(self, address: int, offset: int, flags: int, page: int) -> None:
        self.address = address
        self.flags = flags
        self.content = bytearray()
        self.sections: list[Section] = []
        self._offset = offset
        self._page = page

    @property
    def next_address(self) -> int:
        """The address of what is added next, if it needs no alignment."""
        return self.address + len(self.content)

    def align(self, size: int, padding: bytes = b"\0") -> None:
        """Pad with ``padding``, which is one byte, to a multiple of ``size``."""
        self.content += padding * (-self.next_address % size)

    def add(
        self, data: bytes, *, align: int = BLOCK_ALIGN, name: str = "", code: bool = False
    ) -> int:
        """Append ``data`` and return its address; ``name`` makes a section of it."""
        self.align(align)
        address = self.next_address
        self.content += data
        if name:
            self.cover(name, address, code=code, align=align)
        return address

    def cover(self, name: str, start: int, *, code: bool, align: int = BLOCK_ALIGN) -> None:
        """Make a section of what was added from ``start`` on."""
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
        """Return where in the file ``address`` is."""
        return self._offset + address - self.address
