"""The attempts of a run with ``--repeat``, each written to the disk when it ends.

A result is written only once a cell has all its attempts, which may take hours. The journal next to
the results holds each attempt. So a run that was killed resumes after its last attempt.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import msgspec

from gobun import files
from gobun.cells.records import Cell, Kind, Outcome
from gobun.matrix.results import Writer
from gobun.observe import signal_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gobun.cells.records import Header
    from gobun.matrix.attempt import Attempt
    from gobun.matrix.run_context import RunContext

JOURNAL_NAME = "attempts.jsonl"


class AttemptRecord(msgspec.Struct, frozen=True):
    """One attempt at a cell, as the journal stores it."""

    cell: Cell
    number: int
    """The number of the attempt, from 1."""
    outcome: Outcome
    detail: str
    wall_ms: int
    cpu_ms: int = 0
    max_rss_kb: int = 0
    exit_code: int | None = None
    signal: str | None = None
    kind: Kind = ""
    mapped: bool = False
    go: bool = False


def record_of(cell: Cell, number: int, attempt: Attempt) -> AttemptRecord:
    """Return the record of an attempt."""
    end = attempt.end
    return AttemptRecord(
        cell,
        number,
        attempt.ending.outcome,
        attempt.ending.detail,
        attempt.wall_ms,
        cpu_ms=end.cpu_ms if end else 0,
        max_rss_kb=end.max_rss_kb if end else 0,
        exit_code=end.exit_code if end else None,
        signal=signal_name(end.signal) if end and end.signal else None,
        kind=attempt.ending.kind,
        mapped=attempt.observation.mapped,
        go=attempt.observation.go,
    )


class Journal:
    """Records the attempts of a run, from several threads. Without a file it discards them."""

    def __init__(self) -> None:
        self._writer: Writer | None = None
        self._lock = threading.Lock()
        self._earlier_records: dict[Cell, list[AttemptRecord]] = {}

    @classmethod
    def open_new(
        cls, path: Path, header: Header, earlier_records: Iterable[AttemptRecord] = ()
    ) -> Self:
        """Start a new file, with ``earlier_records`` as its first records.

        Raises:
            PrerequisiteError: it cannot be written.
        """
        journal = cls()
        records = tuple(earlier_records)
        for each in records:
            journal._earlier_records.setdefault(each.cell, []).append(each)
        journal._writer = Writer(path, header, records)
        return journal

    def earlier_attempts(self, cell: Cell) -> list[AttemptRecord]:
        """Return the attempts of an interrupted run at ``cell``, without errors of the harness."""
        return [each for each in self._earlier_records.get(cell, ()) if each.outcome != "error"]

    def add(self, record: AttemptRecord) -> None:
        """Append one attempt.

        Raises:
            PrerequisiteError: the disk is full or refuses the write.
        """
        if self._writer is not None:
            with self._lock:
                self._writer.add(record)

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def journal_for(
    context: RunContext, header: Header, cells: Sequence[Cell], *, resume: bool
) -> Journal:
    """Return the journal of a run of ``cells``; a resumed run keeps its earlier attempts.

    A run that runs each cell once has no journal file.

    Raises:
        PrerequisiteError: the folder of the results cannot be written.
    """
    path = context.out / JOURNAL_NAME
    cell_set = set(cells)
    earlier = [each for each in read_journal(path) if each.cell in cell_set]
    if context.repeat == 1:
        with files.disk_errors(path):
            path.unlink(missing_ok=True)
        return Journal()
    return Journal.open_new(path, header, earlier if resume else ())


def read_journal(path: Path) -> list[AttemptRecord]:
    """Return a journal's attempts up to its first damaged line; none without a journal."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    records: list[AttemptRecord] = []
    for line in lines[1:-1]:  # skip the header, and the incomplete line after the last newline
        try:
            records.append(msgspec.json.decode(line, type=AttemptRecord))
        except (msgspec.DecodeError, UnicodeDecodeError):
            break
    return records
