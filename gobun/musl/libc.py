"""Names of glibc's libraries and functions, and of musl's functions."""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from gobun.elf import constants as elf

if TYPE_CHECKING:
    from gobun.elf import Image, Symbol

NAME = "libc.so"
"""musl's name. Its dynamic linker treats this name, and most of glibc's names, as musl itself."""

GLIBC_NAMES = frozenset(
    {
        "ld-linux-aarch64.so.1",
        "ld-linux-x86-64.so.2",
        "libanl.so.1",
        "libc.so.6",
        "libcrypt.so.1",
        "libdl.so.2",
        "libm.so.6",
        "libpthread.so.0",
        "libresolv.so.2",
        "librt.so.1",
        "libutil.so.1",
    }
)
"""The libraries of glibc. In musl, a single library has the functions of all of them."""

_RESOLVER = ("dn_comp", "dn_expand", "dn_skipname", "res_init", "res_mkquery", "res_query")
_RESOLVER_MORE = ("res_querydomain", "res_search", "res_send")
_C23 = ("strtol", "strtoll", "strtoul", "strtoull", "strtoimax", "strtoumax", "wcstol", "wcstoll")
_C23_MORE = ("wcstoul", "wcstoull", "wcstoimax", "wcstoumax")
_C23_SCAN = ("scanf", "fscanf", "sscanf", "vscanf", "vfscanf", "vsscanf")
_C23_WIDE_SCAN = ("wscanf", "fwscanf", "swscanf", "vwscanf", "vfwscanf", "vswscanf")
PLAIN_NAMES = {
    **{f"__{name}": name for name in (*_RESOLVER, *_RESOLVER_MORE)},
    **{f"__isoc23_{name}": name for name in (*_C23, *_C23_MORE, *_C23_SCAN, *_C23_WIDE_SCAN)},
}
"""The plain name of each function that glibc's headers rename.

``resolv.h`` does so with macros. Since glibc 2.38, ``stdlib.h`` and others select the functions of
C23, which also read binary numbers. Code that is compiled for musl uses the plain names. Each plain
name is the end of the longer one, so a conversion finds it in the library's strings.
"""

_LIST = Path(__file__).with_name("functions.txt")
_VERSION_NEED = struct.Struct("<HHIII")
_VERSION = struct.Struct("<IHHII")
_MOST_VERSIONS = 10_000
SYMBOL_RELOCATIONS = {
    elf.EM_X86_64: frozenset({1, 6, 7}),  # R_X86_64_64, GLOB_DAT, JUMP_SLOT
    elf.EM_AARCH64: frozenset({257, 1025, 1026}),  # R_AARCH64_ABS64, GLOB_DAT, JUMP_SLOT
}
"""Types of relocations that write the address of a symbol."""


@functools.cache
def functions() -> frozenset[str]:
    """Return the names that musl 1.2.3 and later define, variables among them."""
    lines = _LIST.read_text().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def missing_functions(image: Image) -> tuple[str, ...]:
    """Return the names that a library imports from glibc and that musl lacks, sorted.

    Raises:
        UsageError: the library's tables leave its file.
    """
    return tuple(sorted(symbol.name for symbol in missing_imports(image)))


def missing_imports(image: Image) -> tuple[Symbol, ...]:
    """Return the symbols that a library imports from glibc and that musl lacks.

    Only a symbol version shows that a name is glibc's. A name without one may be the runtime's,
    such as ``napi_*``.

    Raises:
        UsageError: the library's tables leave its file.
    """
    versions = image.dynamic_value(elf.DT_VERSYM)
    glibc = _glibc_versions(image)
    if versions is None or not glibc:
        return ()
    missing = []
    used = {each.symbol for each in image.relocations(SYMBOL_RELOCATIONS[image.machine])} - {0}
    for index in sorted(used):
        symbol = image.symbol(index)
        if symbol.section != elf.SHN_UNDEF or symbol.binding == elf.STB_WEAK:
            continue
        (version,) = struct.unpack("<H", image.read_at(versions + 2 * index, 2))
        if version & 0x7FFF in glibc and symbol.name not in functions():
            missing.append(symbol)
    return tuple(missing)


def _glibc_versions(image: Image) -> set[int]:
    """Return the numbers of the symbol versions that glibc's libraries define."""
    at, count_of_files = (
        image.dynamic_value(elf.DT_VERNEED),
        image.dynamic_value(elf.DT_VERNEEDNUM) or 0,
    )
    numbers: set[int] = set()
    if at is None:
        return numbers
    for _ in range(min(count_of_files, _MOST_VERSIONS)):
        _, count, file, first_entry, next_file = _VERSION_NEED.unpack(
            image.read_at(at, _VERSION_NEED.size)
        )
        if image.string(file) in GLIBC_NAMES:
            entry = at + first_entry
            for _ in range(count):
                _, _, number, _, next_entry = _VERSION.unpack(image.read_at(entry, _VERSION.size))
                numbers.add(number & 0x7FFF)
                entry += next_entry
                if not next_entry:
                    break
        at += next_file
        if not next_file:
            break
    return numbers
