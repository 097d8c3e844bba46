"""A hostile library is rejected with a clear error, or becomes a library that can be read again."""

from __future__ import annotations

import contextlib
import functools
import struct
from pathlib import Path

import made_elf
from hypothesis import given, settings
from hypothesis import strategies as st

from gobun.elf import Image
from gobun.errors import BuildError, UsageError
from gobun.musl import Adapters, NativeCode, convert, support_of
from gobun.musl.fortify import Adapter

PATH = Path("made.so")
NATIVE = NativeCode(bytes(64), Adapters(bytes(64), (Adapter("__fprintf_chk", "vfprintf", 16),)))
# These fields contain every offset that a reader follows: headers, tables, the dynamic section.
INSTRUCTION_WORDS = st.sampled_from(
    [0, 1, 7, 8, 24, 56, 64, 0x1000, 1 << 31, (1 << 32) - 1, 1 << 46, 1 << 63, (1 << 64) - 1]
)


@functools.cache
def library_with(machine: int, init: str) -> bytes:
    imports = (
        made_elf.Import("__res_search", "GLIBC_2.2.5"),
        made_elf.Import("__fprintf_chk", "GLIBC_2.3.4"),
        made_elf.Import("napi_throw"),
    )
    return made_elf.library(machine=machine, init=init, imports=imports, plt=init == "rela")


MACHINES = st.sampled_from([made_elf.X64, made_elf.ARM64])
INITS = st.sampled_from(["rela", "relr", "symbol"])


def check_conversion(data: bytes) -> None:
    """Convert a library, and check that the result is a valid library."""
    with contextlib.suppress(UsageError, BuildError):
        conversion = convert(PATH, data, lambda _: NATIVE)
        assert support_of(Image(PATH, conversion.data)).already_converted


@settings(max_examples=40, deadline=None)
@given(
    machine=MACHINES,
    init=INITS,
    changes=st.lists(st.tuples(st.integers(0, 0x2FF), INSTRUCTION_WORDS), min_size=1, max_size=4),
)
def test_convert_random_words_raise_only_its_errors(
    machine: int, init: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(library_with(machine, init))
    places = [*range(16, 0x900, 8), *range(0x1000, len(data) - 8, 8)]
    for place, value in changes:
        struct.pack_into("<Q", data, places[place % len(places)], value)
    check_conversion(bytes(data))


@settings(max_examples=20, deadline=None)
@given(machine=MACHINES, init=INITS, cut=st.integers(0, 0x3000), more=st.binary(max_size=64))
def test_convert_cut_or_padded_files_raise_only_its_errors(
    machine: int, init: str, cut: int, more: bytes
) -> None:
    check_conversion(library_with(machine, init)[:cut] + more)
