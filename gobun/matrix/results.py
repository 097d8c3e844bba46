"""``results.jsonl``: a header, then one line for each cell as it finishes.

Each row carries its host. Rows of older files have none, and belong to the header's host.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

import gobun
from gobun import console, files, sysroot, toolchain
from gobun.cells.records import Cell, Header, Host, Result
from gobun.cells.scenario import plan_hash
from gobun.errors import UsageError
from gobun.expectations import this_place
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

FILE_NAME = "results.jsonl"
_DAMAGE_ERRORS = (ValueError, RecursionError)  # msgspec's errors are ValueErrors
_LARGEST_FILE = 2 << 30


class Run(msgspec.Struct, frozen=True):
    """The content of a results file."""

    header: Header
    results: tuple[Result, ...]
    is_cut: bool = False
    """Whether the last line is incomplete, because the run was killed during a write."""


def new_header(cells: Sequence[Cell], *, libc: str = "") -> Header:
    """Return the header of a run that starts now on this machine.

    ``libc`` is the C library of the runtimes and its version, if it is not the machine's own.
    """
    return Header(
        suite=gobun.__version__,
        started=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        host=this_host(libc),
        tools=toolchain.pins(),
        plan=plan_hash(cells),
        cells=len(cells),
    )


def this_host(libc: str = "") -> Host:
    """Return the facts of this machine; ``libc`` is as in ``new_header``."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in _lines(Path("/proc/cpuinfo"))
            if line.startswith("model name")
        ),
        platform.processor() or platform.machine(),
    )
    return Host(
        os=platform.system().lower(),
        kernel=platform.release(),
        cpu=cpu,
        cores=os.cpu_count() or 1,
        libc=libc or sysroot.own_libc(),
        arch=this_place().arch,
    )


class Writer:
    """Appends results without a buffer, so a killed run keeps every result that was added."""

    def __init__(
        self, path: Path, header: Header, earlier_results: Sequence[msgspec.Struct] = ()
    ) -> None:
        """Start a new file, with ``earlier_results`` as its first results.

        Raises:
            PrerequisiteError: it cannot be written.
        """
        self._host = header.host
        lines = [msgspec.json.encode(header), *map(self._line, earlier_results)]
        files.write_whole(path, b"".join(line + b"\n" for line in lines))
        self._path = path
        self.stream = path.open("ab", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    def add(self, result: msgspec.Struct) -> None:
        """Append one result, or another record of a run.

        Raises:
            PrerequisiteError: the disk is full or refuses the write.
        """
        end_offset = self.stream.tell()
        with files.disk_errors(self._path):
            try:
                self.stream.write(self._line(result) + b"\n")
            except OSError:
                self.stream.truncate(end_offset)  # no partial line: the file stays valid
                raise

    def _line(self, record: msgspec.Struct) -> bytes:
        """Return the line of a record; a result without a host gets the host of the header."""
        if isinstance(record, Result):
            record = _with_host(record, self._host)
        return msgspec.json.encode(record)


def results_file(path: Path) -> Path:
    """Return the results file for ``path``: the file itself, or the one in that folder."""
    return path / FILE_NAME if path.is_dir() else path


def read_results(path: Path) -> Run:
    """Read a results file or that of a folder, and log if its last line is incomplete.

    Raises:
        UsageError: it is missing, or a line other than the last is damaged.
    """
    path = results_file(path)
    hint = "give a folder that a run wrote as --out"
    lines = files.read_input(path, most=_LARGEST_FILE, hint=hint).split(b"\n")
    try:
        header = msgspec.json.decode(lines[0], type=Header)
    except _DAMAGE_ERRORS as error:
        raise UsageError(
            f"{path} does not begin with the header of a run: {error}",
            hint="give a file that `invoke matrix` wrote",
        ) from error
    results: list[Result] = []
    # A complete file ends in a newline, so text after the last newline is incomplete.
    for number, line in enumerate(lines[1:-1], start=2):
        try:
            results.append(_with_host(_decode_result(line), header.host))
        except _DAMAGE_ERRORS as error:
            raise UsageError(
                f"{path}, line {number}, is damaged: {error}",
                hint="delete that line; --resume then runs its cell again",
            ) from error
    if lines[-1]:
        console.log(f"{path}: the last line was cut off and is ignored")
    return Run(header, tuple(results), is_cut=bool(lines[-1]))


def _decode_result(line: bytes) -> Result:
    """Return the result on a line.

    Raises:
        ValueError: it is not a result, or its version cannot be ordered.
    """
    result = msgspec.json.decode(line, type=Result)
    rank(result.version)
    return result


def _with_host(result: Result, host: Host) -> Result:
    return result if result.host else msgspec.structs.replace(result, host=host)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
