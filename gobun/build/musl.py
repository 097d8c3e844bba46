"""Converts libraries for musl on disk: compiles the startup code, and writes whole files."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from gobun import files, paths, toolchain
from gobun.audit import kinds
from gobun.build import build_store
from gobun.build import compile as compiling
from gobun.elf import constants as elf
from gobun.elf.image import HEADER, SEGMENT
from gobun.errors import BuildError, UsageError
from gobun.musl import Conversion, convert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.targets import Target

_SOURCES = paths.NATIVE_SOURCES / "musl_startup"
_TRIPLES = {"x64": "x86_64-linux-musl", "arm64": "aarch64-linux-musl"}
_FLAGS = (
    *("-Os", "-g0", "-fPIC", "-ffreestanding", "-fno-builtin", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-mgeneral-regs-only", "-Wall", "-Wextra", "-Werror"),
    *("-nostdlib", "-static", "-Wl,-e,start", "-Wl,--build-id=none"),
)
_MORE_FLAGS = {"x64": ("-fcf-protection=none",), "arm64": ("-mcmodel=tiny",)}
"""On arm64 the tiny model, because other code only runs at a multiple of a page from its place."""


@functools.cache
def startup_code(arch: str) -> bytes:
    """Return the code that runs in place of initialisers, for ``x64`` or ``arm64``.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build failed.
    """
    zig = toolchain.zig()
    recipe = build_store.recipe(
        f"musl-startup-{arch}",
        sources=[_SOURCES],
        settings=(zig.version, *_FLAGS, *_MORE_FLAGS[arch]),
    )

    def make(folder: Path) -> None:
        program = folder / "startup"
        flags = [*_FLAGS, *_MORE_FLAGS[arch], f"-Wl,-T,{_SOURCES / 'flat.lds'}"]
        compiling.freestanding(_SOURCES / "startup.c", _TRIPLES[arch], flags, program)
        (folder / "startup.bin").write_bytes(_loaded(program.read_bytes()))
        program.unlink()

    return (build_store.built(recipe, make) / "startup.bin").read_bytes()


def _loaded(program: bytes) -> bytes:
    """Return what is mapped of a program that has one segment, which begins at address 0."""
    fields = HEADER.unpack_from(program)
    table = program[fields[5] : fields[5] + fields[10] * SEGMENT.size]
    loads = [each for each in SEGMENT.iter_unpack(table) if each[0] == elf.PT_LOAD]
    if len(loads) != 1 or loads[0][3] != 0 or loads[0][5] != loads[0][6]:
        raise BuildError("the startup code for musl is not one piece", hint="check flat.lds")
    offset, size = loads[0][2], loads[0][5]
    return program[offset : offset + size]


def convert_file(path: Path, out: Path) -> Conversion:
    """Write the converted form of a library to ``out``, which appears whole or not at all.

    Raises:
        UsageError: the library cannot be read, or is of a kind that cannot be converted.
        PrerequisiteError: Zig is missing, or ``out`` cannot be written.
        BuildError: the startup code could not be built.
    """
    done = convert(path, kinds.read_bytes(path), startup_code)
    files.write_whole(out, done.data, mode=path.stat().st_mode & 0o777)
    return done


def conversion_outputs(inputs: Sequence[Path], out: Path | None) -> list[tuple[Path, Path]]:
    """Return each library and the file for its converted form.

    Without ``out``, ``NAME.so`` becomes ``NAME-musl.so`` beside it. The input is only replaced
    where ``out`` names it.

    Raises:
        UsageError: several libraries are given one file, or two the same one.
    """
    if out is None:
        pairs = [(path, path.with_name(f"{path.stem}-musl{path.suffix}")) for path in inputs]
    elif out.is_dir():
        pairs = [(path, out / path.name) for path in inputs]
    elif len(inputs) > 1:
        raise UsageError(
            f"{len(inputs)} libraries cannot all become {out}", hint=f"make a folder: mkdir {out}"
        )
    else:
        pairs = [(inputs[0], out)]
    if len({target for _, target in pairs}) < len(pairs):
        raise UsageError("two of the libraries have the same name", hint="convert them one by one")
    return pairs


def sources_for(target: Target) -> tuple[Path, ...]:
    """Return what a library for ``target`` depends on beyond its own sources."""
    code = (paths.ROOT / "gobun" / "musl", paths.ROOT / "gobun" / "elf")
    return (_SOURCES, *code) if target.libc == "musl" else ()


def settle(library: Path, target: Target) -> None:
    """Convert a Go library that was just built, where ``target`` is one of musl.

    Raises:
        UsageError: it cannot be converted.
        BuildError: the startup code could not be built.
    """
    if target.libc == "musl":
        convert_file(library, library)
