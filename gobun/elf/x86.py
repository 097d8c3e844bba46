"""Finds the loads of a word in x86-64 code, and whether the arithmetic flags matter after one.

The code contains data and padding, so it is not decoded from its start. A reference relative to the
instruction pointer is a field of four bytes that follows a ModRM byte with mod 0 and rm 5. At most
four bytes of immediate follow the field. For a given word, the number of these bytes and the
field's address determine the field's value. So a search for such fields finds every reference.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from gobun.elf.decoder import decoder
from gobun.elf.site import Site, regions, unknown_use

if TYPE_CHECKING:
    from collections.abc import Iterator

    import capstone

    from gobun.elf.image import Image

_FIELD = struct.Struct("<i")
_IMMEDIATES = (0, 1, 2, 4)
_MODRM_MASK, _MODRM_RIP = 0xC7, 0x05
_MOV_LOAD = 0x8B
_REX_WIDE = (0x48, 0x4C)
_SIZE = 7  # REX, opcode, ModRM, displacement
_LONGEST_INSTRUCTION = 15
_MOST_BEFORE = 8  # before a displacement: a prefix, EVEX, opcode, ModRM
_STEPS = 400
_REGION = 1 << 16
_FLAGS = ("OF", "SF", "ZF", "AF", "PF", "CF")
_SHIFTS = frozenset({"shl", "sal", "shr", "sar", "rol", "ror", "rcl", "rcr", "shld", "shrd"})
"""With a count of zero they leave the flags unchanged."""
_FORKS = frozenset({"jrcxz", "jecxz", "jcxz", "loop", "loope", "loopne"})


def scan(image: Image, words: list[int]) -> Iterator[Site]:
    """Yield every load of one of ``words``.

    Raises:
        UsageError: another instruction refers to one of them.
    """
    for segment in image.executable:
        code = image.bytes_at(segment.offset, segment.file_size)
        for group in regions(image, words, _REGION):
            for at, word, immediate in references(code, segment.address, group):
                field = segment.address + at
                rex, opcode, modrm = code[at - 3 : at]
                if not immediate and opcode == _MOV_LOAD and rex in _REX_WIDE:
                    register = (rex >> 2 & 1) * 8 + (modrm >> 3 & 7)
                    yield Site(field - 3, _SIZE, word, register)
                    continue
                other = _instruction_around(code, at, immediate, segment.address)
                if other is not None:
                    raise unknown_use(image, other.address, f"{other.mnemonic} {other.op_str}")


def references(code: bytes, base: int, words: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield the references to ``words``: offset of the field, word, and bytes of immediate.

    ``words`` must be in one region. In 64 KiB of code, the upper half of such a field has few
    values. So the search is for these two bytes.
    """
    at, addresses = 3, frozenset(words)
    first, last = min(words), max(words)
    while at < len(code) - 3:
        stop = min(at + _REGION, len(code) - 3)
        nearest = first - (base + stop + 4) - _IMMEDIATES[-1]
        farthest = last - (base + at + 4)
        for upper in range(nearest >> 16, (farthest >> 16) + 1):
            if not -0x8000 <= upper < 0x8000:
                continue
            pattern = struct.pack("<h", upper)
            position = code.find(pattern, at + 2, stop + 3)
            while position != -1:
                field = position - 2
                if field < stop:
                    yield from _match_field(code, base, addresses, field)
                position = code.find(pattern, position + 1, stop + 3)
        at = stop


def _match_field(
    code: bytes, base: int, words: frozenset[int], at: int
) -> Iterator[tuple[int, int, int]]:
    if code[at - 1] & _MODRM_MASK != _MODRM_RIP:
        return
    (value,) = _FIELD.unpack_from(code, at)
    for immediate in _IMMEDIATES:
        word = base + at + 4 + value + immediate
        if word in words:
            yield at, word, immediate


def _instruction_around(
    code: bytes, at: int, immediate_bytes: int, base: int
) -> capstone.CsInsn | None:
    """Return an instruction whose displacement is the field at ``at``, or None if none fits."""
    for before in range(_MOST_BEFORE, 1, -1):
        start = at - before
        if start < 0:
            continue
        raw = code[start : at + 4 + immediate_bytes]
        instruction = next(decoder("x64").disasm(raw, base + start, 1), None)
        if (
            instruction is not None
            and instruction.size == len(raw)
            and instruction.disp_offset == before
        ):
            return instruction
    return None


def flags_matter(image: Image, address: int) -> bool:
    """Return whether code from ``address`` on may read an arithmetic flag that it did not set.

    No calling convention passes flags, so their values end at a call, a return or an indirect jump.
    """
    flags = set(_FLAGS)
    for _ in range(_STEPS):
        instruction = _decode_instruction(image, address)
        if (
            instruction is None
            or instruction.mnemonic in {"pushfq", "lahf"}
            or instruction.mnemonic in _FORKS
        ):
            return True
        if _ends_flags(instruction):
            return False
        reads, writes = _flag_effects(instruction)
        if flags & reads:
            return True
        flags -= writes
        if not flags:
            return False
        address = (
            instruction.operands[0].imm
            if instruction.mnemonic == "jmp"
            else instruction.address + instruction.size
        )
    return True


def _decode_instruction(image: Image, address: int) -> capstone.CsInsn | None:
    for segment in image.executable:
        if segment.holds(address):
            at = address - segment.address + segment.offset
            end = segment.offset + segment.file_size
            raw = image.data[at : min(at + _LONGEST_INSTRUCTION, end)]
            return next(decoder("x64").disasm(raw, address, 1), None)
    return None


def _ends_flags(instruction: capstone.CsInsn) -> bool:
    import capstone.x86 as constants  # noqa: PLC0415

    if instruction.group(constants.X86_GRP_CALL) or instruction.group(constants.X86_GRP_RET):
        return True
    if instruction.mnemonic == "jmp":
        return bool(instruction.operands[0].type != constants.X86_OP_IMM)
    return instruction.mnemonic in {"ud2", "int3", "hlt"}


def _flag_effects(instruction: capstone.CsInsn) -> tuple[set[str], set[str]]:
    import capstone.x86 as constants  # noqa: PLC0415

    def affected(*kinds: str) -> set[str]:
        return {
            flag
            for flag in _FLAGS
            if any(
                instruction.eflags & getattr(constants, f"X86_EFLAGS_{kind}_{flag}", 0)
                for kind in kinds
            )
        }

    name = instruction.mnemonic.rpartition(" ")[2]
    conditional = instruction.mnemonic.startswith("rep") or (
        name in _SHIFTS and instruction.operands[-1].type == constants.X86_OP_REG
    )
    writes = set() if conditional else affected("MODIFY", "RESET", "SET", "UNDEFINED")
    return affected("TEST"), writes
