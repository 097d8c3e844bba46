"""Finds the loads of a word in arm64 code: ``adrp`` names its page, and a later ``ldr`` the word.

A page contains other words too. So the scan follows each ``adrp`` of the page along every branch,
until its register gets another value. A load of the word is a site. Any other use of the register
must be a plain reference to a neighbouring word. If it is not, the scan rejects the library.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from gobun.elf.decoder import decoder
from gobun.elf.site import Site, regions, unknown_use

if TYPE_CHECKING:
    from collections.abc import Iterator

    import capstone

    from gobun.elf.image import Image, Segment

_PAGE = 0x1000
_LDR, _LDR_MASK = 0xF9400000, 0xFFC00000  # ldr Xt, [Xn, #imm]
_ADD, _ADD_MASK = 0x91000000, 0xFFC00000  # add Xd, Xn, #imm
_MEMORY = 0x39000000  # loads and stores with an unsigned offset: bits 29, 28, 27, 25 and 24
_MEMORY_MASK = 0x3B000000
# Of these, the ones for a whole vector register of 16 bytes: size 0, V, and the upper bit of opc.
_VECTOR, _VECTOR_MASK = 0x3D800000, 0xFF800000
_STEPS = 4096
_SAVED_BY_CALLEE = range(19, 29)


def scan(image: Image, words: list[int]) -> Iterator[Site]:
    """Yield every load of one of ``words``.

    Raises:
        UsageError: another instruction takes the address of one of them, or may.
    """
    sites: dict[int, Site] = {}
    for segment in image.executable:
        code = image.bytes_at(segment.offset, segment.file_size)
        for group in regions(image, words, _PAGE):
            on_page = {word % _PAGE: word for word in group}
            for start in pages_named(code, segment.address, group[0]):
                for site in _follow(image, segment, start, on_page):
                    sites[site.address] = site
    return iter(sites.values())


def pages_named(code: bytes, base: int, word: int) -> Iterator[int]:
    """Yield the address of every ``adrp`` that names the page of ``word``."""
    at = 0
    while at < len(code):
        pages = (word >> 12) - ((base + at) >> 12)
        stop = min(at + _PAGE - (base + at) % _PAGE, len(code))
        if -(1 << 20) <= pages < 1 << 20:
            instruction = 0x90000000 | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5
            encoding = struct.pack("<I", instruction)
            position = code.find(encoding[1:], at + 1, stop)
            while position != -1:
                if position % 4 == 1 and code[position - 1] & 0xE0 == encoding[0]:
                    yield base + position - 1
                position = code.find(encoding[1:], position + 1, stop)
        at = stop


def _follow(image: Image, segment: Segment, start: int, on_page: dict[int, int]) -> Iterator[Site]:
    """Yield the sites that an ``adrp`` leads to.

    ``on_page`` maps the offset of each word in the page to its address.
    """
    (instruction,) = struct.unpack("<I", image.read_at(start, 4))
    page = instruction & 31
    pending, visited = [start + 4], set[int]()
    while pending:
        address = pending.pop()
        if address in visited:
            continue
        visited.add(address)
        if len(visited) > _STEPS or not segment.holds(address, 4):
            raise unknown_use(image, start, "its page is kept for too long")
        encoding = image.read_at(address, 4)
        site = _judge(image, address, encoding, page, on_page)
        if site is not None:
            yield site
        pending += _successors(address, encoding, page)


def _judge(
    image: Image, address: int, encoding: bytes, page: int, on_page: dict[int, int]
) -> Site | None:
    """Return the site at ``address``, or None if the instruction does not use a word.

    Raises:
        UsageError: the instruction may use the address of a word.
    """
    (instruction,) = struct.unpack("<I", encoding)
    base = instruction >> 5 & 31
    immediate = instruction >> 10 & 0xFFF
    if base == page and instruction & _LDR_MASK == _LDR:
        word = on_page.get(immediate * 8)
        return None if word is None else Site(address, 4, word, instruction & 31)
    if base == page and instruction & _ADD_MASK == _ADD and immediate not in on_page:
        return None
    decoded = _decode_instruction(address, encoding)
    if page not in _numbers(decoded, 0):
        return None
    if base == page and instruction & _MEMORY_MASK == _MEMORY:
        scale = 4 if instruction & _VECTOR_MASK == _VECTOR else instruction >> 30
        start = immediate << scale
        target = instruction & 31
        stores_page = not instruction & 0x00C00000 and target == page
        uses_word = any(start < word + 8 and word < start + (1 << scale) for word in on_page)
        if not uses_word and not stores_page:
            return None
    raise unknown_use(image, address, f"{decoded.mnemonic} {decoded.op_str}")


def _successors(address: int, encoding: bytes, page: int) -> list[int]:
    """Return the next addresses at which the register may still hold the page."""
    decoded = _decode_instruction(address, encoding)
    import capstone.arm64 as constants  # noqa: PLC0415

    if decoded.id == 0:
        return [address + 4]
    name = decoded.mnemonic
    if page in _numbers(decoded, 1) or name in {"ret", "br", "brk", "udf", "retaa", "retab", "hlt"}:
        return []
    if name in {"bl", "blr"}:
        return [address + 4] if page in _SAVED_BY_CALLEE else []
    targets = [
        operand.imm for operand in decoded.operands if operand.type == constants.ARM64_OP_IMM
    ]
    if name == "b":
        return targets[-1:]
    if name.startswith(("b.", "bc.", "cbz", "cbnz", "tbz", "tbnz")):
        return [address + 4, *targets[-1:]]
    return [address + 4]


def _decode_instruction(address: int, encoding: bytes) -> capstone.CsInsn:
    return next(decoder("arm64").disasm(encoding, address, 1))


def _numbers(decoded: capstone.CsInsn, operand_kind: int) -> set[int]:
    """Return the numbers of the general registers that an instruction reads (0) or writes (1)."""
    if decoded.id == 0:
        return set()
    numbers = set()
    for register in decoded.regs_access()[operand_kind]:
        name = decoded.reg_name(register)
        if name[0] in "xw" and name[1:].isdigit():
            numbers.add(int(name[1:]))
    return numbers
