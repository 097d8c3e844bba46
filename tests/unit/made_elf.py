"""Makes a small ELF library field by field, with any defect that a test needs.

The layout is that of real linkers: headers, notes, dynamic symbols and strings, relocations and
code in a first segment, ``.init_array``, the dynamic table and the GOT in a second one.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

X64, ARM64 = 62, 183
CODE_AT = 0x800
DATA_AT = 0x1000
INIT_AT, DYNAMIC_AT, GOT_AT = 0x1000, 0x1100, 0x1400
DATA_SIZE = 0x500
GO_INFO = b"\xff Go buildinf:\x08\x02" + bytes(16) + b"\x08go1.27.3\x00"
TPOFF = {X64: 18, ARM64: 1030}
RELATIVE_KINDS = {X64: 8, ARM64: 1027}
ABSOLUTE = {X64: 1, ARM64: 257}
BUILD_ID = struct.pack("<III", 4, 8, 3) + b"GNU\0" + b"\x11\x22\x33\x44\x55\x66\x77\x88"


class Import(NamedTuple):
    """A function of another library, and its symbol version, such as ``GLIBC_2.17``."""

    name: str
    version: str = ""
    file: str = "libc.so.6"


class _Strings:
    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, text: str) -> int:
        at = len(self.data)
        self.data += text.encode() + b"\0"
        return at


def mov_load(register: int, *, at: int, word: int = GOT_AT) -> bytes:
    """Return ``mov word(%rip), register`` for code at ``at``."""
    rex = 0x4C if register >= 8 else 0x48
    return bytes([rex, 0x8B, (register & 7) << 3 | 5]) + struct.pack("<i", word - at - 7)


def arm_load(register: int, *, at: int, word: int = GOT_AT) -> bytes:
    """Return ``adrp`` and ``ldr`` of a word for code at ``at``."""
    pages = (word >> 12) - (at >> 12)
    adrp = 0x90000000 | (pages & 3) << 29 | (pages >> 2) << 5 | register
    ldr = 0xF9400000 | (word % 4096 // 8) << 10 | register << 5 | register
    return struct.pack("<II", adrp, ldr)


CODE = {
    X64: mov_load(1, at=CODE_AT)
    + b"\x64\x48\x8b\x09\x31\xc0\xc3",  # mov %fs:(%rcx), %rcx; xor; ret
    ARM64: arm_load(27, at=CODE_AT) + struct.pack("<I", 0xD65F03C0),  # ret
}


class Shape(NamedTuple):
    """The properties of a library. The defaults describe a plain Go library for glibc."""

    machine: int = X64
    code: bytes | None = None
    needed: tuple[str, ...] = ("libc.so.6", "libpthread.so.0")
    imports: tuple[Import, ...] = ()
    words: tuple[int, ...] = (GOT_AT,)
    foreign: bool = False
    """The TLS variable is another library's."""
    tls: bool = True
    init: str = "rela"
    """How the entry of ``.init_array`` is relocated: ``rela``, ``relr``, ``symbol``, ``absent``."""
    go: bool = True
    sections: bool = True
    spare: int = 1
    """Empty entries at the end of the dynamic table."""
    kind: int = 3
    pointer: int | None = None
    """An address that a relative relocation writes into data."""
    plt: bool = False
    """The imports have a relocation table of their own (``DT_JMPREL``)."""
    addend: int = 0
    """Of the relocations of the imports."""
    debug_frame: bytes = b""
    """The content of a section ``.debug_frame``, which is compressed."""
    extra: tuple[tuple[int, int], ...] = ()
    """More dynamic entries."""


def library(**shape: Any) -> bytes:  # noqa: ANN401 - the fields of Shape
    """Return the bytes of a library with this shape."""
    return _library(Shape(**shape))


def _library(shape: Shape) -> bytes:
    strings = _Strings()
    names = [strings.add(each.name) for each in shape.imports]
    symbols = _symbols(strings, names)
    relocations, imported = _relocations(shape), _import_relocations(shape)
    if not shape.plt:
        relocations, imported = relocations + imported, b""
    versions, version_needs, files = _versions(strings, shape.imports, len(names) + 1)
    needs = [strings.add(name) for name in shape.needed]

    placed: dict[str, tuple[int, bytes]] = {}
    segments = 5 if shape.tls else 4
    at = 64 + 56 * segments
    for name, content in (
        (".note.gnu.build-id", BUILD_ID),
        (".dynsym", symbols),
        (".dynstr", strings.data),
        (".gnu.version", versions),
        (".gnu.version_r", version_needs),
        (".rela.dyn", relocations),
        (".rela.plt", imported),
    ):
        at += -at % 8
        placed[name] = at, content
        at += len(content)
    assert at <= CODE_AT, "the tables reach into the code"
    code = CODE[shape.machine] if shape.code is None else shape.code
    placed[".text"] = CODE_AT, code
    placed[".go.buildinfo"] = 0xF00, GO_INFO if shape.go else b"nothing of Go's".ljust(16)
    initial = CODE_AT if shape.init == "relr" else 0
    placed[".init_array"] = INIT_AT, struct.pack("<Q", initial)
    placed[".relr.dyn"] = 0x1080, struct.pack("<Q", INIT_AT)
    placed[".got"] = GOT_AT, bytes(0x100)
    dynamic = _dynamic(shape, placed, needs, files)
    placed[".dynamic"] = DYNAMIC_AT, dynamic
    return _file(shape, placed)


def _symbols(strings: _Strings, names: list[int]) -> bytes:
    """Return the imports, then a defined function, then a TLS variable of another library."""
    imported = [struct.pack("<IBBHQQ", name, 0x12, 0, 0, 0, 0) for name in names]
    own_symbol = struct.pack("<IBBHQQ", strings.add("initialise"), 0x12, 0, 7, CODE_AT, 8)
    alien = struct.pack("<IBBHQQ", strings.add("alien"), 0x16, 0, 0, 0, 0)
    return b"".join([bytes(24), *imported, own_symbol, alien])


def _relocations(shape: Shape) -> bytes:
    own_index, alien_index = len(shape.imports) + 1, len(shape.imports) + 2
    word_info = (alien_index << 32 if shape.foreign else 0) | TPOFF[shape.machine]
    relative, absolute = RELATIVE_KINDS[shape.machine], ABSOLUTE[shape.machine]
    entries = [(word, word_info, 0) for word in shape.words]
    if shape.init == "rela":
        entries.append((INIT_AT, relative, CODE_AT))
    if shape.init == "symbol":
        entries.append((INIT_AT, own_index << 32 | absolute, 0))
    if shape.pointer is not None:
        entries.append((GOT_AT + 64, relative, shape.pointer))
    return b"".join(struct.pack("<QQq", *entry) for entry in entries)


def _import_relocations(shape: Shape) -> bytes:
    absolute = ABSOLUTE[shape.machine]
    entries = [
        (GOT_AT + 128 + 8 * index, (index + 1) << 32 | absolute, shape.addend)
        for index in range(len(shape.imports))
    ]
    return b"".join(struct.pack("<QQq", *entry) for entry in entries)


def _dynamic(
    shape: Shape, placed: dict[str, tuple[int, bytes]], needs: list[int], files: int
) -> bytes:
    entries = [(1, name) for name in needs]
    tables = ((5, ".dynstr"), (6, ".dynsym"), (7, ".rela.dyn"))
    entries += [(tag, placed[name][0]) for tag, name in tables]
    entries += [(8, len(placed[".rela.dyn"][1])), (10, len(placed[".dynstr"][1])), (30, 0x18)]
    if shape.init != "absent":
        entries += [(25, INIT_AT), (27, 8)]
    if shape.init == "relr":
        entries += [(36, 0x1080), (35, 8), (37, 8)]
    if shape.plt:
        plt, content = placed[".rela.plt"]
        entries += [(23, plt), (2, len(content)), (20, 7)]
    if files:
        places = ((0x6FFFFFF0, ".gnu.version"), (0x6FFFFFFE, ".gnu.version_r"))
        entries += [*((tag, placed[name][0]) for tag, name in places), (0x6FFFFFFF, files)]
    entries += [*shape.extra, *[(0, 0)] * shape.spare]
    return b"".join(struct.pack("<qQ", *entry) for entry in entries)


def _file(shape: Shape, placed: dict[str, tuple[int, bytes]]) -> bytes:
    dynamic = len(placed[".dynamic"][1])
    note = placed[".note.gnu.build-id"][0]
    table = [
        (1, 5, 0, 0, 0, DATA_AT, DATA_AT, 0x1000),
        (1, 6, DATA_AT, DATA_AT, DATA_AT, DATA_SIZE, DATA_SIZE + 0x300, 0x1000),
        (2, 6, DYNAMIC_AT, DYNAMIC_AT, DYNAMIC_AT, dynamic, dynamic, 8),
        (4, 4, note, note, note, len(BUILD_ID), len(BUILD_ID), 4),
    ]
    if shape.tls:
        table.append((7, 4, DATA_AT, DATA_AT, DATA_AT, 0, 8, 8))
    data = bytearray(DATA_AT + DATA_SIZE)
    for offset, content in placed.values():
        data[offset : offset + len(content)] = content
    for number, segment in enumerate(table):
        struct.pack_into("<IIQQQQQQ", data, 64 + 56 * number, *segment)
    if shape.debug_frame:
        placed = {**placed, ".debug_frame": (len(data), shape.debug_frame)}
        data += shape.debug_frame
    headers_at, count, names_index = _sections(data, placed) if shape.sections else (0, 0, 0)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    fixed = (ident, shape.kind, shape.machine, 1, 0, 64, headers_at, 0, 64, 56, len(table))
    struct.pack_into("<16sHHIQQQIHHHHHH", data, 0, *fixed, 64, count, names_index)
    return bytes(data)


def _versions(
    strings: _Strings, imports: tuple[Import, ...], own_index: int
) -> tuple[bytes, bytes, int]:
    """Return ``.gnu.version``, ``.gnu.version_r``, and the number of files in the latter."""
    by_file: dict[str, list[str]] = {}
    for each in imports:
        if each.version and each.version not in by_file.setdefault(each.file, []):
            by_file[each.file].append(each.version)
    numbers: dict[tuple[str, str], int] = {}
    needs = b""
    for position, (file, versions) in enumerate(by_file.items()):
        last = position == len(by_file) - 1
        following = 0 if last else 16 + 16 * len(versions)
        needs += struct.pack("<HHIII", 1, len(versions), strings.add(file), 16, following)
        for place, version in enumerate(versions):
            number = numbers[file, version] = len(numbers) + 2
            after = 0 if place == len(versions) - 1 else 16
            needs += struct.pack("<IHHII", 0, 0, number, strings.add(version), after)
    indexes = [0, *(numbers.get((each.file, each.version), 1) for each in imports), 1, 1]
    assert len(indexes) == own_index + 2
    return struct.pack(f"<{len(indexes)}H", *indexes), needs, len(by_file)


_KINDS = {
    ".note.gnu.build-id": (7, 2, 0),
    ".dynsym": (11, 2, 24),
    ".dynstr": (3, 2, 0),
    ".gnu.version": (0x6FFFFFFF, 2, 2),
    ".gnu.version_r": (0x6FFFFFFE, 2, 0),
    ".rela.dyn": (4, 2, 24),
    ".rela.plt": (4, 2, 24),
    ".text": (1, 6, 0),
    ".init_array": (14, 3, 8),
    ".relr.dyn": (19, 2, 8),
    ".dynamic": (6, 3, 16),
    ".go.buildinfo": (1, 2, 0),
    ".got": (1, 3, 8),
    ".debug_frame": (1, 0x800, 0),
}
_LINKS = {
    ".dynsym": ".dynstr",
    ".rela.dyn": ".dynsym",
    ".rela.plt": ".dynsym",
    ".dynamic": ".dynstr",
}


def _sections(data: bytearray, placed: dict[str, tuple[int, bytes]]) -> tuple[int, int, int]:
    order = ["", *placed, ".shstrtab"]
    names = _Strings()
    starts = {name: names.add(name) if name else 0 for name in order}
    names_at = len(data)
    data += names.data + bytes(-len(names.data) % 8)
    headers_at = len(data)
    data += bytes(64)
    for name, (at, content) in placed.items():
        kind, flags, entry = _KINDS[name]
        link = order.index(_LINKS[name]) if name in _LINKS else 0
        address = at if flags & 2 else 0
        fields = (starts[name], kind, flags, address, at, len(content), link, 0, 8, entry)
        data += struct.pack("<IIQQQQIIQQ", *fields)
    fields = (starts[".shstrtab"], 3, 0, 0, names_at, len(names.data), 0, 0, 1, 0)
    data += struct.pack("<IIQQQQIIQQ", *fields)
    return headers_at, len(order), len(order) - 1
