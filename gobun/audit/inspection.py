"""Opens a file, explains why it is not a library, or passes it to the reader of its format."""

from __future__ import annotations

import contextlib
import threading
import warnings
from typing import TYPE_CHECKING

import msgspec

from gobun.audit import container, kinds, programs
from gobun.audit.report_text import render
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gobun.audit.record import LibraryReport

# Warning filters belong to the whole process, and libraries are audited as they are built,
# on several threads.
_PARSER = threading.Lock()

# The parser's binding raises these for malformed bytes. RuntimeWarning is one of them, because a
# caller may turn warnings into errors.
_PARSER_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    RuntimeWarning,
    TypeError,
    ValueError,
)


def inspect(path: Path) -> LibraryReport:
    """Inspect a library. A universal file may have only one slice.

    Raises:
        UsageError: the file is not a complete library, or has several slices.
    """
    reports = inspect_slices(path)
    if len(reports) > 1:
        raise UsageError(
            f"{path} is a universal file of {', '.join(reports[0].slices)}",
            hint="inspect its slices, or thin it: lipo -thin ARCH -output OUT FILE",
        )
    return reports[0]


def inspect_slices(path: Path) -> tuple[LibraryReport, ...]:
    """Inspect a library, and return one report per slice. A plain file is one slice.

    Raises:
        UsageError: the file is not a complete library.
    """
    data = kinds.read_bytes(path)
    pieces = container.split_slices(path, data)
    is_universal = len(pieces) > 1 or pieces[0].data is not data
    slices = tuple(piece.arch for piece in pieces) if is_universal else ()
    reports = [_read_slice(path, piece) for piece in pieces]
    return tuple(msgspec.structs.replace(report, slices=slices) for report in reports)


def audit_files(paths: Sequence[Path]) -> tuple[LibraryReport, ...]:
    """Return the reports of several files in order, with one per slice of a universal file.

    Raises:
        UsageError: a file is not a complete library.
    """
    return tuple(report for path in paths for report in inspect_slices(path))


def describe(path: Path) -> str:
    """Describe a library or a program for macOS as text, one block per slice.

    Raises:
        UsageError: the file is neither, or is truncated.
    """
    data = kinds.read_bytes(path)
    slices = container.slices_of(path, data)
    if all(programs.is_program(piece) for piece in slices):
        reports = [programs.read_program(path, piece) for piece in slices]
        return "\n\n".join(programs.render_program(report) for report in reports)
    return "\n\n".join(render(report) for report in inspect_slices(path))


def _read_slice(path: Path, piece: container.BinarySlice) -> LibraryReport:
    # Imported here, because the import takes a quarter of a second.
    import lief  # noqa: PLC0415

    from gobun.audit import elf, macho  # noqa: PLC0415

    lief.logging.disable()
    reader = elf.read_elf if piece.format == "elf" else macho.read_macho
    with _PARSER, _parsing(path):
        return reader(path, piece)


@contextlib.contextmanager
def _parsing(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            # The parser warns about each unknown number, which is harmless here.
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    except _PARSER_ERRORS as error:
        raise kinds.damaged_library_error(
            path, f"its tables contradict each other ({error})"
        ) from error
