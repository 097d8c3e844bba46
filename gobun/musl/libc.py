"""The names of glibc's libraries and functions, and those that musl has."""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from gobun.elf import constants as elf

if TYPE_CHECKING:
    from gobun.elf import Image, Symbol

NAME = "libc.so"
"""musl's loader takes it, like most of glibc's names, for itself."""

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
"""The parts of glibc; musl is one library, which has what it has of all of them."""

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
"""Functions that glibc's headers call by another name than their manual, and that name.

``resolv.h`` has macros. Since 2.38 ``stdlib.h`` and others take the functions of C23, which read
binary numbers too. Compiling for musl takes the plain names. Each ends the longer name, so that a
conversion finds it in the library's strings.
"""

_LIST = Path(__file__).with_name("functions.txt")
_VERSION_NEED = struct.Struct("<HHIII")
_VERSION = struct.Struct("<IHHII")
_MOST_VERSIONS = 10_000
POINTED = {
    elf.EM_X86_64: frozenset({1, 6, 7}),  # R_X86_64_64, GLOB_DAT, JUMP_SLOT
    elf.EM_AARCH64: frozenset({257, 1025, 1026}),  # R_AARCH64_ABS64, GLOB_DAT, JUMP_SLOT
}
"""The relocations that write the address of a symbol."""


@functools.cache
def functions() -> frozenset[str]:
    """Return the names that musl 1.2.3 and later define, variables among them."""
    lines = _LIST.read_text().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def missing_functions(image: Image) -> tuple[str, ...]:
    """Return the names that a library takes from glibc and musl lacks, sorted.

    Raises:
        UsageError: the library's tables leave its file.
    """
    return tuple(sorted(symbol.name for symbol in missing_imports(image)))


def missing_imports(image: Image) -> tuple[Symbol, ...]:
    """Return the symbols that a library takes from glibc and musl does not define.

    Only a version tells that a name is glibc's: one without may be the runtime's, as ``napi_*`` is.

    Raises:
        UsageError: the library's tables leave its file.
    """
    versions = image.dynamic_value(elf.DT_VERSYM)
    glibc = _glibc_versions(image)
    if versions is None or not glibc:
        return ()
    missing = []
    used = {each.symbol for each in image.relocations(POINTED[image.machine])} - {0}
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
    at, files = image.dynamic_value(elf.DT_VERNEED), image.dynamic_value(elf.DT_VERNEEDNUM) or 0
    numbers: set[int] = set()
    if at is None:
        return numbers
    for _ in range(min(files, _MOST_VERSIONS)):
        _, count, file, first, following = _VERSION_NEED.unpack(
            image.read_at(at, _VERSION_NEED.size)
        )
        if image.string(file) in GLIBC_NAMES:
            entry = at + first
            for _ in range(count):
                _, _, number, _, after = _VERSION.unpack(image.read_at(entry, _VERSION.size))
                numbers.add(number & 0x7FFF)
                entry += after
                if not after:
                    break
        at += following
        if not following:
            break
    return numbers
