"""Puts the guard into a library or addon that is already built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import audit, build, files
from gobun.elf import Image
from gobun.embed.merge import Merge
from gobun.errors import BuildError, UsageError
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

_MARK = b"GoGuard1"
"""Part of every entry of a guard, so that guards recognise each other."""


def has_guard(library: Path) -> bool:
    """Return whether a library has a guard inside, linked into it or embedded."""
    return _MARK in library.read_bytes()


def embed_guard(library: Path, out: Path) -> Path:
    """Write ``library`` with the guard inside to ``out``, and return ``out``.

    Raises:
        UsageError: ``library`` is not for Linux with glibc, has a guard already, or has a structure
            that the merge does not support; or ``out`` is ``library``.
        PrerequisiteError: Zig is missing, or ``out`` cannot be written.
        BuildError: the guard could not be built, or the result does not pass its audit.
    """
    if out.resolve() == library.resolve():
        raise UsageError(f"{out} is the library itself", hint="give another file with -o")
    original = audit.inspect(library)
    if original.format != "elf" or original.target not in TARGETS:
        raise UsageError(
            f"{library} is for {original.target}, and the guard is for Linux on x64 and arm64",
            hint="other systems suspend no thread with a signal, so they need no guard",
        )
    if original.libc == "musl":
        raise UsageError(f"{library} is linked against musl", hint="give the glibc build")
    data = library.read_bytes()
    if _MARK in data:
        raise UsageError(
            f"{library} has a guard inside already", hint="give the library without a guard"
        )
    donor_path = build.build_embeddable_guard(TARGETS[original.target])
    host, donor = Image(library, data), Image(donor_path, donor_path.read_bytes())
    result = Merge(host, donor).run()
    with files.temporary_sibling(out) as folder:
        staged = folder / out.name
        files.write_whole(staged, result, mode=library.stat().st_mode & 0o777)
        _check(original, staged, marks=donor.data.count(_MARK))
        with files.disk_errors(out):
            staged.replace(out)
    return out


def _check(original: audit.LibraryReport, result: Path, *, marks: int) -> None:
    """Check that embedding added the whole guard, and changed nothing else.

    Raises:
        BuildError: something else changed, or the guard is incomplete.
    """
    report = audit.inspect(result)
    for field in ("exports", "needed", "install_name", "runpath", "relro", "libc", "target"):
        old, new = getattr(original, field), getattr(report, field)
        if old != new:
            raise BuildError(
                f"embedding would change {field} of {original.path}: {old} to {new}",
                hint="report the library",
            )
    if report.executable_stack and not original.executable_stack:
        raise BuildError(
            f"embedding would give {original.path} an executable stack", hint="report the library"
        )
    if result.read_bytes().count(_MARK) != marks:
        raise BuildError(f"the guard in {original.path} is incomplete", hint="report the library")
