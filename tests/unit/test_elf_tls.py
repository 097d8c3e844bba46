"""The search for initial-exec TLS finds every load, and rejects every other use."""

from __future__ import annotations

import struct
from pathlib import Path
from unittest.mock import Mock

import made_elf
import pytest
from made_elf import CODE_AT, GOT_AT

from gobun.elf import Image
from gobun.elf.site import Site
from gobun.elf.tls import initial_exec_words, sites_of
from gobun.elf.x86 import flags_matter
from gobun.errors import UsageError

RET = b"\xc3"
ARM_RET = struct.pack("<I", 0xD65F03C0)


def image_of(**shape: object) -> Image:
    return Image(Path("made.so"), made_elf.library(**shape))


def sites(image: Image) -> list[Site]:
    return sites_of(image, initial_exec_words(image))


def test_x64_loads_of_every_register_are_found() -> None:
    code = b""
    for register in range(16):
        code += b"\x90" * register + made_elf.mov_load(register, at=CODE_AT + len(code) + register)
    loads = sites(image_of(code=code + RET))

    assert [site.register for site in loads] == list(range(16))
    assert {site.word for site in loads} == {GOT_AT}


def test_x64_load_crossing_64k_displacement_is_found() -> None:
    # The search uses the upper half of the displacement, so errors are likely at its borders.
    from gobun.elf import x86

    for word in (0x30000, 0x2FFFF, 0x30004, -0x30000):
        for at in (*range(0x1FFE8, 0x20010), *range(0x2FFE8, 0x30010)):
            code = bytearray(b"\xcc" * 0x31000)
            load = made_elf.mov_load(3, at=at, word=word)
            code[at : at + 7] = load
            # Words at both ends of a region widen the range of the upper half.
            for group in ([word], [word - 0x8000, word, word + 0x7FF0]):
                references = list(x86.references(bytes(code), 0, group))
                assert (at + 3, word, 0) in references, hex(at)


@pytest.mark.parametrize("machine", [made_elf.X64, made_elf.ARM64])
def test_code_is_searched_once_for_words_side_by_side(
    machine: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile library may have any number of words, so one search must cover all of them."""
    from gobun.elf import arm64, x86

    words = tuple(GOT_AT + 8 * number for number in range(16))
    is_x64 = machine == made_elf.X64
    load = made_elf.mov_load if is_x64 else made_elf.arm_load
    owner, name = (x86, "references") if is_x64 else (arm64, "pages_named")
    code = b""
    for word in words:
        code += load(1, at=CODE_AT + len(code), word=word)
    code += RET if is_x64 else struct.pack("<I", 0xD65F03C0)
    search = Mock(wraps=getattr(owner, name))
    monkeypatch.setattr(owner, name, search)
    loads = sites(image_of(machine=machine, code=code, words=words))

    assert [site.word for site in loads] == list(words)
    assert search.call_count == 1


@pytest.mark.parametrize("machine", [made_elf.X64, made_elf.ARM64])
def test_words_in_too_many_places_are_rejected(machine: int) -> None:
    from gobun.elf import arm64, x86

    scan = x86.scan if machine == made_elf.X64 else arm64.scan
    words = [number << 20 for number in range(65)]
    with pytest.raises(UsageError, match="65 TLS words in 65 places"):
        list(scan(image_of(machine=machine), words))


def test_x64_load_of_neighbour_is_no_site() -> None:
    code = made_elf.mov_load(1, at=CODE_AT, word=GOT_AT + 8) + RET

    assert sites(image_of(code=code)) == []


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        (b"\x48\x8d\x05", b"", "lea"),
        (b"\x48\x03\x05", b"", "add"),
        (b"\x48\x89\x05", b"", "mov"),
        (b"\x8b\x05", b"", "mov"),
        (b"\x48\x83\x3d", b"\x01", "cmp"),
        (b"\x66\x81\x3d", b"\x01\x02", "cmp"),
        (b"\x48\xc7\x05", b"\x01\x02\x03\x04", "mov"),
        (b"\xff\x35", b"", "push"),
        (b"\xff\x25", b"", "jmp"),
        (b"\xc5\xfb\x10\x05", b"", "vmovsd"),
        (b"\x62\xf1\x7c\x48\x28\x05", b"", "vmovaps"),
    ],
)
def test_x64_other_use_is_rejected_with_its_address(before: bytes, after: bytes, name: str) -> None:
    end = CODE_AT + len(before) + 4 + len(after)
    code = before + struct.pack("<i", GOT_AT - end) + after + RET

    with pytest.raises(UsageError, match=rf"at {CODE_AT:#x} in an unknown way: {name}"):
        sites(image_of(code=code))


@pytest.mark.parametrize("machine", [made_elf.X64, made_elf.ARM64])
def test_pointer_to_word_is_rejected(machine: int) -> None:
    with pytest.raises(UsageError, match="data that points to it"):
        sites(image_of(machine=machine, pointer=GOT_AT))


def test_arm64_load_is_found() -> None:
    (site,) = sites(image_of(machine=made_elf.ARM64))

    assert site == Site(CODE_AT + 4, 4, GOT_AT, 27)


def test_arm64_page_kept_over_branches_is_followed() -> None:
    # adrp x8; cbz x0, +12; ldr x1, [x8, low]; ret; ldr x2, [x8, low]; ret
    adrp, load = struct.unpack("<II", made_elf.arm_load(8, at=CODE_AT))
    words = [adrp, 0xB4000060, load & ~31 | 1, 0xD65F03C0, load & ~31 | 2, 0xD65F03C0]
    loads = sites(image_of(machine=made_elf.ARM64, code=struct.pack("<6I", *words)))

    assert [site.register for site in loads] == [1, 2]


def test_arm64_page_kept_over_unknown_instruction_is_followed() -> None:
    """The decoder does not know every extension. The scan must pass over unknown code."""
    adrp, load = struct.unpack("<II", made_elf.arm_load(8, at=CODE_AT))
    unknown = 0xFFFFFFFF
    code = struct.pack("<IIII", adrp, unknown, load, 0xD65F03C0)
    (site,) = sites(image_of(machine=made_elf.ARM64, code=code))

    assert site.address == CODE_AT + 8


def test_arm64_page_overwritten_before_load_is_no_site() -> None:
    adrp, load = struct.unpack("<II", made_elf.arm_load(8, at=CODE_AT))
    move = 0xAA0003E8  # mov x8, x0
    code = struct.pack("<IIII", adrp, move, load, 0xD65F03C0)

    assert sites(image_of(machine=made_elf.ARM64, code=code)) == []


@pytest.mark.parametrize(
    "use",
    [
        0x91000000 | (GOT_AT % 4096) << 10 | 8 << 5 | 1,  # add x1, x8, low
        0xB9400000 | (GOT_AT % 4096 // 4) << 10 | 8 << 5 | 1,  # ldr w1, [x8, low]
        0xF9000000 | (GOT_AT % 4096 // 8) << 10 | 8 << 5 | 1,  # str x1, [x8, low]
        0x3D800000 | (GOT_AT % 4096 // 16) << 10 | 8 << 5 | 1,  # str q1, [x8, low & ~15]
        0x3DC00000 | (GOT_AT % 4096 // 16) << 10 | 8 << 5 | 1,  # ldr q1, [x8, low & ~15]
        0x39400000 | (GOT_AT % 4096 + 7) << 10 | 8 << 5 | 1,  # ldrb w1, [x8, low + 7]
        0xAA0803E1,  # mov x1, x8
        0xF90003E8,  # str x8, [sp]
    ],
)
def test_arm64_other_use_is_rejected(use: int) -> None:
    adrp, _ = struct.unpack("<II", made_elf.arm_load(8, at=CODE_AT))
    code = struct.pack("<III", adrp, use, 0xD65F03C0)

    with pytest.raises(UsageError, match=rf"at {CODE_AT + 4:#x} in an unknown way"):
        sites(image_of(machine=made_elf.ARM64, code=code))


@pytest.mark.parametrize(
    "neighbour",
    [
        0x39400000 | (GOT_AT % 4096 + 8) << 10 | 8 << 5 | 1,  # ldrb w1, [x8, low + 8]
        0x39400000 | (GOT_AT % 4096 - 1) << 10 | 8 << 5 | 1,  # ldrb w1, [x8, low - 1]
        0x3DC00000 | (GOT_AT % 4096 // 16 + 1) << 10 | 8 << 5 | 1,  # ldr q1, the next 16 bytes
        0x3DC00000 | (GOT_AT % 4096 // 16 - 1) << 10 | 8 << 5 | 1,  # ldr q1, the 16 bytes before
    ],
)
def test_arm64_access_to_neighbour_is_no_use(neighbour: int) -> None:
    adrp, load = struct.unpack("<II", made_elf.arm_load(8, at=CODE_AT))
    code = struct.pack("<IIII", adrp, neighbour, load, 0xD65F03C0)

    (site,) = sites(image_of(machine=made_elf.ARM64, code=code))

    assert site.address == CODE_AT + 8


@pytest.mark.parametrize(
    ("code", "matter"),
    [
        (b"\xc3", False),  # ret
        (b"\x31\xc0\x74\x00", False),  # xor, which sets them all; je
        (b"\x74\x00\xc3", True),  # je
        (b"\x48\x8b\x0c\x25\x00\x00\x00\x00\x0f\x92\xc0\xc3", True),  # mov; setb
        (b"\x48\xff\xc0\x73\x00\xc3", True),  # inc leaves the carry; jae
        (b"\xd3\xe0\x74\x00\xc3", True),  # shl by cl may leave them all; je
        (b"\xe3\x00\xc3", True),  # jrcxz: two ways, and only one is followed
        (b"\x9c\x58\xc3", True),  # pushf
        (b"\xe8\x00\x00\x00\x00\x74\x00", False),  # call; je
        (b"\xeb\x02\x74\x00\x31\xc0\xc3", False),  # jmp over a je; xor
        (b"\xf3\xa6\x74\x00\xc3", True),  # repe cmpsb with a count of zero; je
    ],
)
def test_x64_site_knows_whether_flags_are_live(code: bytes, matter: bool) -> None:
    assert flags_matter(image_of(code=code), CODE_AT) is matter
