"""Finds every use of initial-exec TLS: the words that hold an offset, and the code that loads them.

In this model, a word of the library holds the distance of a variable from the thread pointer. The
dynamic linker fills the word, and the variable must be in the static TLS block. musl has no room
left in that block after a process starts, so it rejects the library in ``dlopen``. Go's ``g`` is
such a variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun.elf import arm64, x86
from gobun.elf import constants as elf
from gobun.elf.site import Site, unknown_use

if TYPE_CHECKING:
    from gobun.elf.image import Image

TPOFF = {elf.EM_X86_64: 18, elf.EM_AARCH64: 1030}
"""R_X86_64_TPOFF64 and R_AARCH64_TLS_TPREL64."""
DTPMOD = {elf.EM_X86_64: 16, elf.EM_AARCH64: 1028}
RELATIVE_KINDS = {elf.EM_X86_64: 8, elf.EM_AARCH64: 1027}


class TlsWord(msgspec.Struct, frozen=True):
    """A word that the dynamic linker fills with an offset from the thread pointer."""

    address: int
    entry: int
    """Address of the relocation that fills it."""
    offset: int
    """Offset of the variable in the library's TLS, in bytes. 0 if another library defines it."""
    foreign_symbol: str = ""
    """Name of the variable if another library defines it."""


def initial_exec_words(image: Image) -> list[TlsWord]:
    """Return the words of initial-exec TLS, in ascending order of address.

    Raises:
        UsageError: the relocations leave the file.
    """
    words = []
    for relocation in image.relocations({TPOFF[image.machine]}):
        offset, foreign = relocation.addend, ""
        if relocation.symbol:
            symbol = image.symbol(relocation.symbol)
            offset += symbol.value
            if symbol.section == elf.SHN_UNDEF:
                offset, foreign = 0, symbol.name
        words.append(TlsWord(relocation.at, relocation.entry, offset, foreign))
    return sorted(words, key=lambda word: word.address)


def sites_of(image: Image, words: list[TlsWord]) -> list[Site]:
    """Return every instruction that loads one of ``words``, in ascending order of address.

    Raises:
        UsageError: code or data uses a word in an unknown way. The message names the address.
    """
    addresses = sorted({word.address for word in words})
    _reject_pointers(image, set(addresses))
    scan = x86.scan if image.machine == elf.EM_X86_64 else arm64.scan
    return sorted(scan(image, addresses), key=lambda site: site.address)


def _reject_pointers(image: Image, addresses: set[int]) -> None:
    """Reject a library in which data points to one of the words."""
    for relocation in image.relocations({RELATIVE_KINDS[image.machine]}):
        if relocation.addend in addresses:
            raise unknown_use(image, relocation.at, "data that points to it")
    for at in image.packed_relocations():
        if image.word(at) in addresses:
            raise unknown_use(image, at, "data that points to it")
