"""The converter for musl on handmade libraries: its changes, and the libraries that it rejects."""

from __future__ import annotations

import random
import re
import struct
import zlib
from pathlib import Path

import made_elf
import pytest
from made_elf import CODE_AT, GOT_AT, INIT_AT, Import

from gobun import buildinfo
from gobun.buildinfo import GoBuild
from gobun.elf import Image
from gobun.elf import constants as elf
from gobun.elf.tls import DTPMOD
from gobun.errors import BuildError, UsageError
from gobun.musl import Adapters, Conversion, NativeCode, cfi, convert, read_adapters, support_of
from gobun.musl.fortify import Adapter
from gobun.musl.libc import PLAIN_NAMES, functions
from gobun.musl.startup import MARK
from gobun.paths import NATIVE_SOURCES

PATH = Path("made.so")
STARTUP = bytes(range(1, 65))
ADAPTERS = Adapters(
    bytes(range(128, 192)),
    (Adapter("__fprintf_chk", "vfprintf", 16), Adapter("__fdelt_chk", "", 32)),
)
NATIVE = NativeCode(STARTUP, ADAPTERS)
MACHINES = (made_elf.X64, made_elf.ARM64)
DYNAMIC_WITH_INIT = ("rela", "relr", "symbol")


def convert_made(**shape: object) -> tuple[Image, Conversion]:
    conversion = convert(PATH, made_elf.library(**shape), lambda _: NATIVE)
    return Image(PATH, conversion.data), conversion


def refusal_of(**shape: object) -> str:
    with pytest.raises(UsageError) as caught:
        convert_made(**shape)
    return str(caught.value)


@pytest.mark.parametrize("machine", MACHINES)
def test_convert_relocation_becomes_module_number(machine: int) -> None:
    after, _ = convert_made(machine=machine)
    (relocation,) = after.relocations({DTPMOD[machine]})

    assert (relocation.at, relocation.symbol, relocation.addend) == (GOT_AT, 0, 0)
    assert support_of(after).problems == ()
    assert support_of(after).already_converted


@pytest.mark.parametrize("machine", MACHINES)
def test_convert_site_jumps_to_thunk_and_back(machine: int) -> None:
    import capstone

    after, conversion = convert_made(machine=machine)
    is_x64 = machine == made_elf.X64
    kind = (capstone.CS_ARCH_X86, capstone.CS_MODE_64) if is_x64 else (capstone.CS_ARCH_ARM64, 0)
    site = CODE_AT if is_x64 else CODE_AT + 4
    decoder = capstone.Cs(*kind)
    decoder.detail = True
    (jump,) = decoder.disasm(after.read_at(site, 7 if is_x64 else 4), site, 1)
    thunk = jump.operands[0].imm
    steps = list(decoder.disasm(after.read_at(thunk, 40), thunk))
    end = next(step for step in steps if step.mnemonic == jump.mnemonic)

    assert conversion.sites == 1
    assert end.operands[0].imm == site + (7 if is_x64 else 4)
    words = [f"{step.mnemonic} {step.op_str}" for step in steps[: steps.index(end)]]
    if is_x64:
        load = steps[0]
        assert load.address + load.size + load.operands[1].mem.disp == GOT_AT
        words[0] = "mov rcx, qword ptr [rip + word]"
    assert words == (X64_THUNK if is_x64 else ARM64_THUNK)


X64_THUNK = [
    "mov rcx, qword ptr [rip + word]",
    "shl rcx, 3",
    "add rcx, qword ptr fs:[8]",
    "mov rcx, qword ptr [rcx]",
    "sub rcx, qword ptr fs:[0]",
]
ARM64_THUNK = [
    "str x16, [sp, #-0x10]!",
    "ldr x27, [x27, #0x400]",
    "mrs x16, tpidr_el0",
    "ldur x16, [x16, #-8]",
    "ldr x27, [x16, x27, lsl #3]",
    "mrs x16, tpidr_el0",
    "sub x27, x27, x16",
    "ldr x16, [sp], #0x10",
]


@pytest.mark.parametrize("register", range(16))
def test_convert_thunk_loads_each_register(register: int) -> None:
    import capstone

    code = made_elf.mov_load(register, at=CODE_AT) + b"\x31\xc0\xc3"
    after, _ = convert_made(code=code)
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    (jump,) = decoder.disasm(after.read_at(CODE_AT, 7), CODE_AT, 1)
    thunk = jump.operands[0].imm
    (name,) = {
        step.op_str.split(",")[0] for step in decoder.disasm(after.read_at(thunk, 35), thunk, 5)
    }
    (load,) = decoder.disasm(code[:7], CODE_AT, 1)

    assert name == load.op_str.split(",")[0]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("init", DYNAMIC_WITH_INIT)
def test_convert_first_initialiser_becomes_startup_code(machine: int, init: str) -> None:
    after, _ = convert_made(machine=machine, init=init)
    entry = after.word(INIT_AT)
    table = entry + len(STARTUP)
    first, others, count, word, offset = struct.unpack("<qqQqQ", after.read_at(table, 40))

    assert after.read_at(entry - len(MARK), len(MARK) + len(STARTUP)) == MARK + STARTUP
    assert (first + table, others + table, count) == (CODE_AT, INIT_AT + 8, 0)
    assert (word + table, offset) == (GOT_AT, 0)
    assert after.dynamic_value(elf.DT_INIT_ARRAYSZ) == 8
    relocated = {each.at: each for each in after.relocations(range(1 << 32))}
    if init == "relr":
        assert INIT_AT in set(after.packed_relocations())
        assert INIT_AT not in relocated
    else:
        assert relocated[INIT_AT].kind == made_elf.RELATIVE_KINDS[machine]
        assert relocated[INIT_AT].addend == entry


def test_convert_result_needs_musl_alone() -> None:
    imports = (
        Import("malloc", "GLIBC_2.2.5"),
        Import("stat64", "GLIBC_2.33"),
        Import("_Unwind_Resume", "GCC_3.0", "libgcc_s.so.1"),
        Import("napi_throw"),
    )
    needed = ("libc.so.6", "libgcc_s.so.1", "libpthread.so.0", "ld-linux-x86-64.so.2")
    after, conversion = convert_made(imports=imports, needed=needed)

    assert after.needed_libraries == ["libc.so", "libgcc_s.so.1"]
    assert conversion.replaced_libraries == ("libc.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2")
    for tag in (elf.DT_VERNEED, elf.DT_VERNEEDNUM, elf.DT_VERSYM):
        assert after.dynamic_value(tag) is None
    assert after.dynamic_value(elf.DT_FLAGS) == 8
    assert after.symbol(3).name == "_Unwind_Resume"


def test_convert_library_of_musl_keeps_its_needs() -> None:
    after, conversion = convert_made(needed=("libc.musl-x86_64.so.1", "libc.so"))

    assert after.needed_libraries == ["libc.musl-x86_64.so.1", "libc.so"]
    assert conversion.replaced_libraries == ()


def test_convert_keeps_notes_and_build_record() -> None:
    after, _ = convert_made()
    note = next(each for each in after.sections if each.name == ".note.gnu.build-id")

    assert after.bytes_at(note.offset, note.size) == made_elf.BUILD_ID
    assert buildinfo.find(after.data, after.sections) == GoBuild("go1.27.3")


def test_convert_same_input_gives_same_bytes() -> None:
    assert convert_made()[0].data == convert_made()[0].data


def test_convert_without_section_headers_works() -> None:
    after, conversion = convert_made(sections=False)

    assert conversion.sites == 1
    assert support_of(after).problems == ()


@pytest.mark.parametrize("machine", MACHINES)
def test_convert_describes_each_thunk_for_debuggers(machine: int) -> None:
    after, _ = convert_made(machine=machine)
    table = next(each for each in after.sections if each.name == cfi.SECTION)
    raw = after.bytes_at(table.offset, table.size)
    (cie_size,) = struct.unpack_from("<I", raw)
    _, cie, start, size = struct.unpack_from("<IIQQ", raw, cie_size + 4)
    site_end = CODE_AT + (7 if machine == made_elf.X64 else 8)

    assert cie == 0
    assert after.offset_of(start, size)
    assert struct.pack("<BQ", 3, site_end) in raw[cie_size + 4 :]


OLD_FRAMES = bytes(range(100)) * 3


def compressed_content(kind: int, size: int, data: bytes) -> bytes:
    """Return the content of a compressed section in ELF's layout."""
    return struct.pack("<IIQQ", kind, 0, size, 8) + data


def test_convert_keeps_frames_that_are_compressed() -> None:
    """The linkers of distributions compress debug information with zlib."""
    old = compressed_content(1, len(OLD_FRAMES), zlib.compress(OLD_FRAMES))
    after, _ = convert_made(debug_frame=old)
    (table,) = (each for each in after.sections if each.name == cfi.SECTION)
    raw = after.bytes_at(table.offset, table.size)

    assert not table.flags & elf.SHF_COMPRESSED
    assert raw.startswith(OLD_FRAMES)
    assert struct.pack("<BQ", 3, CODE_AT + 7) in raw[len(OLD_FRAMES) :]


@pytest.mark.parametrize(
    "old",
    [
        compressed_content(2, len(OLD_FRAMES), b"\x28\xb5\x2f\xfd"),
        compressed_content(1, len(OLD_FRAMES), b"no stream of zlib"),
        compressed_content(1, 1 << 40, zlib.compress(OLD_FRAMES)),
        b"short",
    ],
    ids=["zstd", "damaged", "huge", "short"],
)
def test_convert_unreadable_frames_stay_unchanged(old: bytes) -> None:
    after, conversion = convert_made(debug_frame=old)
    (table,) = (each for each in after.sections if each.name == cfi.SECTION)

    assert after.bytes_at(table.offset, table.size) == old
    assert table.flags & elf.SHF_COMPRESSED
    assert conversion.sites == 1


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"go": False}, "has no Go in it"),
        ({"words": ()}, "has no initial-exec TLS word"),
        ({"tls": False}, "uses thread-local variables, and has none"),
        ({"foreign": True}, "thread-local variables of another library: alien"),
        ({"init": "absent"}, "has no initialiser"),
        ({"extra": ((21, 0),)}, "is an executable"),
        ({"extra": ((0x6FFFFFFB, 0x08000000),)}, "is an executable"),
        ({"code": b"\xc3"}, "that no code loads"),
        ({"pointer": GOT_AT}, "data that points to it"),
        (
            {"code": made_elf.mov_load(1, at=CODE_AT) + b"\x74\x00\xc3"},
            f"may read the arithmetic flags after {CODE_AT:#x}",
        ),
        ({"words": (1 << 40,)}, "is damaged"),
    ],
)
def test_convert_unsupported_kind_is_rejected(shape: dict[str, object], words: str) -> None:
    assert words in refusal_of(**shape)


def test_convert_lists_every_function_musl_lacks() -> None:
    imports = (
        Import("__obstack_printf_chk", "GLIBC_2.8"),
        Import("malloc", "GLIBC_2.2.5"),
        Import("gnu_get_libc_version", "GLIBC_2.2.5"),
        Import("__own_chk"),
        Import("__cxa_throw", "CXXABI_1.3", "libstdc++.so.6"),
    )
    text = refusal_of(imports=imports)

    assert "\n  - __obstack_printf_chk\n  - gnu_get_libc_version" in text
    assert "__own_chk" not in text
    assert "__cxa_throw" not in text


@pytest.mark.parametrize("machine", MACHINES)
def test_convert_resolver_functions_take_their_plain_names(machine: int) -> None:
    """glibc's resolv.h has a macro for each, so only a build for glibc calls __res_search."""
    imports = (
        Import("__res_search", "GLIBC_2.2.5", "libresolv.so.2"),
        Import("malloc", "GLIBC_2.2.5"),
        Import("__res_search_own"),
    )
    before = Image(PATH, made_elf.library(machine=machine, imports=imports))
    after, conversion = convert_made(machine=machine, imports=imports)

    assert "calls __res_search, which" in support_of(before).problems[-1]
    assert conversion.plain_functions == ("res_search",)
    names = [after.symbol(index).name for index in range(1, 4)]
    assert names == ["res_search", "malloc", "__res_search_own"]


@pytest.mark.parametrize("machine", MACHINES)
def test_convert_c23_functions_take_their_plain_names(machine: int) -> None:
    """Since glibc 2.38 the headers rename strtol to the C23 function."""
    imports = (Import("__isoc23_strtol", "GLIBC_2.38"), Import("__isoc23_sscanf", "GLIBC_2.38"))
    after, conversion = convert_made(machine=machine, imports=imports)

    assert conversion.plain_functions == ("strtol", "sscanf")
    assert [after.symbol(index).name for index in (1, 2)] == ["strtol", "sscanf"]


def test_convert_plain_names_are_in_musl() -> None:
    assert set(PLAIN_NAMES.values()) <= functions()
    assert not set(PLAIN_NAMES) & functions()
    assert all(name.endswith(plain) for name, plain in PLAIN_NAMES.items())


def test_adapters_call_musl_functions_for_missing_ones() -> None:
    source = (NATIVE_SOURCES / "musl_fortify" / "fortify.c").read_text()
    pairs = re.findall(r"DO\((\w+), *(\w*)\)", source)

    assert len(pairs) > 80
    assert {plain for _, plain in pairs} - {""} <= functions()
    assert not {name for name, _ in pairs} & functions()


def test_adapters_are_read_from_their_index() -> None:
    index = struct.pack("<i", 41) + b"__a_chk\0a\0" + struct.pack("<i", 35) + b"__b_chk\0\0"
    flat = (index + bytes(4)).ljust(48, b"\0") + b"code"

    adapters = read_adapters(flat)
    assert adapters.code == flat[32:]
    assert [(each.name, each.plain_name) for each in adapters.entries] == [
        ("__a_chk", "a"),
        ("__b_chk", ""),
    ]
    assert [each.offset for each in adapters.entries] == [41 - 32, 14 + 35 - 32]


FORTIFIED_NAMES = (
    Import("__fprintf_chk", "GLIBC_2.3.4"),
    Import("malloc", "GLIBC_2.2.5"),
    Import("__fdelt_chk", "GLIBC_2.15"),
)


@pytest.mark.parametrize("plt", [False, True])
@pytest.mark.parametrize("machine", MACHINES)
def test_convert_fortified_function_becomes_adapter(machine: int, plt: bool) -> None:
    after, conversion = convert_made(machine=machine, imports=FORTIFIED_NAMES, plt=plt)
    relocations = {each.at: each for each in after.relocations(range(1 << 32))}
    slots = [GOT_AT + 128 + 8 * number for number in range(3)]
    code = after.data.index(ADAPTERS.code)
    segment = next(
        each for each in after.executable if each.offset <= code < each.offset + each.file_size
    )

    assert conversion.adapted_functions == ("__fprintf_chk", "__fdelt_chk")
    assert support_of(after).problems == ()
    start = code - segment.offset + segment.address
    for slot, adapter in ((slots[0], ADAPTERS.entries[0]), (slots[2], ADAPTERS.entries[1])):
        assert relocations[slot].kind == made_elf.RELATIVE_KINDS[machine]
        assert relocations[slot].addend == start + adapter.offset
    assert after.symbol(relocations[slots[1]].symbol).name == "malloc"


@pytest.mark.parametrize("plt", [False, True])
@pytest.mark.parametrize("machine", MACHINES)
def test_convert_adapter_finds_its_plain_function(machine: int, plt: bool) -> None:
    """The table after the adapters refers to a writable word that the loader fills."""
    after, _ = convert_made(machine=machine, imports=FORTIFIED_NAMES, plt=plt)
    code = after.data.index(ADAPTERS.code)
    segment = next(
        each for each in after.executable if each.offset <= code < each.offset + each.file_size
    )
    table = code + len(ADAPTERS.code) - segment.offset + segment.address
    to_vfprintf, to_nothing = struct.unpack("<qq", after.read_at(table, 16))
    relocations = {each.at: each for each in after.relocations(range(1 << 32))}

    assert after.symbol(relocations[table + to_vfprintf].symbol).name == "vfprintf"
    writable = next(each for each in after.loads if each.holds(table + to_vfprintf, 16))
    assert writable.flags == elf.PF_R | elf.PF_W
    assert table + to_nothing not in relocations


def test_convert_unknown_reference_to_fortified_function_is_rejected() -> None:
    """An adapter can replace a reference without an addend only."""
    text = refusal_of(imports=FORTIFIED_NAMES, addend=8)

    assert f"refers to __fprintf_chk at {GOT_AT + 128:#x} in an unknown way" in text


def test_convert_converted_library_is_rejected() -> None:
    _, conversion = convert_made()

    with pytest.raises(UsageError, match="is converted already"):
        convert(PATH, conversion.data, lambda _: NATIVE)


def test_support_lists_obstacles_to_loading() -> None:
    image = Image(PATH, made_elf.library(imports=(Import("__fdelt_chk", "GLIBC_2.15"),)))
    support = support_of(image)

    assert (support.tls_words, support.sites, support.already_converted) == (1, 1, False)
    assert [problem.split()[0] for problem in support.problems] == ["has", "needs", "calls"]
    assert "__fdelt_chk" in support.problems[2]


def test_convert_dynamic_section_at_two_places_is_rejected() -> None:
    """The loader would not read the edited table."""
    data = bytearray(made_elf.library())
    at = 64 + 2 * 56
    kind, flags, offset, address = struct.unpack_from("<IIQQ", data, at)
    assert (kind, address) == (elf.PT_DYNAMIC, made_elf.DYNAMIC_AT)
    struct.pack_into("<IIQQ", data, at, kind, flags, offset, address - 16)

    with pytest.raises(UsageError, match="loaded from another"):
        convert(PATH, bytes(data), lambda _: NATIVE)


def test_convert_every_truncation_is_rejected() -> None:
    whole = made_elf.library()
    for size in range(0, len(whole), 97):
        with pytest.raises(UsageError):
            convert(PATH, whole[:size], lambda _: NATIVE)


@pytest.mark.parametrize("machine", MACHINES)
def test_convert_hostile_bytes_raise_only_its_errors(machine: int) -> None:
    whole = made_elf.library(
        machine=machine, init="relr", imports=(Import("malloc", "GLIBC_2.2.5"),)
    )
    chance = random.Random(machine)  # noqa: S311
    refusals = 0
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            at = chance.choice((chance.randrange(0x900), chance.randrange(0x1000, len(data))))
            data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        try:
            convert(PATH, bytes(data), lambda _: NATIVE)
        except (UsageError, BuildError):
            refusals += 1
    assert refusals > 100


def test_convert_random_bytes_are_rejected() -> None:
    chance = random.Random(5)  # noqa: S311
    for size in (0, 1, 63, 64, 65, 4096):
        for start in (b"", b"\x7fELF\x02\x01\x01", made_elf.library()[:64]):
            with pytest.raises(UsageError):
                convert(PATH, (start + chance.randbytes(size))[: max(size, 8)], lambda _: NATIVE)
