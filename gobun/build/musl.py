"""Converts library files for musl, and compiles the code that a conversion adds."""

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
from gobun.musl import Conversion, NativeCode, convert, read_adapters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.targets import Target

_STARTUP = paths.NATIVE_SOURCES / "musl_startup"
_FORTIFY = paths.NATIVE_SOURCES / "musl_fortify"
_FLAT = "flat.bin"
_TRIPLES = {"x64": "x86_64-linux-musl", "arm64": "aarch64-linux-musl"}
_FLAGS = (
    *("-Os", "-g0", "-fPIC", "-fno-builtin", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-Wall", "-Wextra", "-Werror"),
)
_STARTUP_FLAGS = ("-ffreestanding", "-mgeneral-regs-only")
_LINK = ("-nostdlib", "-static", "-Wl,-e,0", "-Wl,--build-id=none")
_MORE_FLAGS = {"x64": ("-fcf-protection=none",), "arm64": ("-mcmodel=tiny",)}
"""arm64 needs the tiny code model. Code of other models can only be moved by whole pages."""


@functools.cache
def native_code(arch: str) -> NativeCode:
    """Return the code that a conversion adds to a library for ``x64`` or ``arm64``.

    Raises:
        PrerequisiteError: Zig is missing.
        BuildError: the build failed.
    """
    startup = _flat(_STARTUP / "startup.c", arch, _STARTUP_FLAGS)
    return NativeCode(startup, read_adapters(_flat(_FORTIFY / "fortify.c", arch)))


def _flat(source: Path, arch: str, flags: tuple[str, ...] = ()) -> bytes:
    """Return a C file compiled into one segment, with the layout of the linker script beside it."""
    layout = source.with_name("flat.lds")
    compiler = (*_FLAGS, *_MORE_FLAGS[arch], *flags)
    recipe = build_store.recipe(
        f"{source.parent.name.replace('_', '-')}-{arch}",
        sources=[_STARTUP, _FORTIFY],
        settings=(toolchain.zig().version, *compiler, *_LINK),
    )

    def make(folder: Path) -> None:
        # Two steps, because Zig finds libc's headers only if it may also link libc.
        code, program = folder / "code.o", folder / "program"
        compiling.freestanding(source, _TRIPLES[arch], [*compiler, "-c"], code)
        compiling.freestanding(code, _TRIPLES[arch], [*_LINK, f"-Wl,-T,{layout}"], program)
        (folder / _FLAT).write_bytes(_loaded(program.read_bytes()))
        code.unlink()
        program.unlink()

    return (build_store.built(recipe, make) / _FLAT).read_bytes()


def _loaded(program: bytes) -> bytes:
    """Return the memory image of a program with one segment that begins at address 0."""
    fields = HEADER.unpack_from(program)
    table = program[fields[5] : fields[5] + fields[10] * SEGMENT.size]
    loads = [each for each in SEGMENT.iter_unpack(table) if each[0] == elf.PT_LOAD]
    if len(loads) != 1 or loads[0][3] != 0 or loads[0][5] != loads[0][6]:
        raise BuildError("code for musl is not one segment", hint="check flat.lds")
    offset, size = loads[0][2], loads[0][5]
    return program[offset : offset + size]


def convert_file(path: Path, out: Path) -> Conversion:
    """Write the converted form of a library to ``out``, which appears whole or not at all.

    Raises:
        UsageError: the library cannot be read or cannot be converted.
        PrerequisiteError: Zig is missing, or ``out`` cannot be written.
        BuildError: the added code could not be built.
    """
    conversion = convert(path, kinds.read_bytes(path), native_code)
    files.write_whole(out, conversion.data, mode=path.stat().st_mode & 0o777)
    return conversion


def conversion_outputs(inputs: Sequence[Path], out: Path | None) -> list[tuple[Path, Path]]:
    """Return each library and the file for its converted form.

    Without ``out``, ``NAME.so`` becomes ``NAME-musl.so`` beside it. With ``out``, an input
    is replaced only if ``out`` is that file or its folder.

    Raises:
        UsageError: several libraries have the same output file, or it is another of the inputs.
    """
    if out is None:
        pairs = [(path, path.with_name(f"{path.stem}-musl{path.suffix}")) for path in inputs]
    elif out.is_dir():
        pairs = [(path, out / path.name) for path in inputs]
    elif len(inputs) > 1:
        raise UsageError(
            f"{len(inputs)} libraries cannot be written to the one file {out}",
            hint=f"make a folder: mkdir {out}",
        )
    else:
        pairs = [(inputs[0], out)]
    if len({target for _, target in pairs}) < len(pairs):
        raise UsageError("two of the libraries have the same name", hint="convert them one by one")
    for path, target in pairs:
        if any(target.resolve() == other.resolve() for other in inputs if other != path):
            raise UsageError(
                f"the converted {path.name} would replace {target}, which is to be converted too",
                hint="convert them one by one, or give a folder: --out DIR",
            )
    return pairs


def sources_for(target: Target) -> tuple[Path, ...]:
    """Return the sources that a conversion adds to the recipe of a library for ``target``."""
    packages = (paths.ROOT / "gobun" / "musl", paths.ROOT / "gobun" / "elf")
    return (_STARTUP, _FORTIFY, *packages) if target.libc == "musl" else ()


def convert_if_musl(library: Path, target: Target) -> None:
    """Convert a Go library right after its build, if ``target`` is a musl platform.

    Raises:
        UsageError: the library cannot be converted.
        BuildError: the added code could not be built.
    """
    if target.libc == "musl":
        convert_file(library, library)
