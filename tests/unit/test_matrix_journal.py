"""Attempts of a run that repeats its cells. Each is recorded when it ends, and reused on
resumption."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from gobun import matrix
from gobun.cells import Cell
from gobun.cells.records import Ending
from gobun.errors import UsageError
from gobun.matrix import evidence, run
from gobun.matrix.attempt import Attempt
from gobun.matrix.journal import record_of
from gobun.pipeline import MOST_REPEATS, Request, plan_matrix
from gobun.targets import host_target

if TYPE_CHECKING:
    from gobun.cells import Outcome

CELL = Cell("bun", "1.2.19", "stock", "simple", "ffi", "idle")


def bench(out: Path, repeat: int) -> matrix.RunContext:
    nothing = Path("unused")
    return matrix.RunContext(
        supervise=nothing,
        warmup=nothing,
        guard=nothing,
        probe=nothing,
        modules={},
        target=host_target(),
        out=out,
        limit_s=1.0,
        repeat=repeat,
    )


def attempts(monkeypatch: pytest.MonkeyPatch, *outcomes: Outcome) -> None:
    """Give the next attempts these outcomes, and interrupt the attempt after them."""
    left = iter(outcomes)

    def attempt(*_: object) -> Attempt:
        outcome = next(left, None)
        if outcome is None:
            raise KeyboardInterrupt
        return Attempt(Ending(outcome, f"it is {outcome}"), None, 10, evidence.Observation())

    monkeypatch.setattr(run, "attempt_until_judged", attempt)


def test_journal_interrupted_run_resumes_after_last_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, header = tmp_path / matrix.JOURNAL_NAME, matrix.new_header([CELL])
    journal = matrix.Journal.open_new(path, header)
    attempts(monkeypatch, "pass", "hang")
    with pytest.raises(KeyboardInterrupt):
        matrix.run_cell(bench(tmp_path, 4), CELL, threading.Event(), journal)
    # The process is killed here. Its records are on disk although nothing closed the file.
    earlier = matrix.read_journal(path)
    assert [(each.number, each.outcome) for each in earlier] == [(1, "pass"), (2, "hang")]

    resumed = matrix.Journal.open_new(path, header, earlier)
    attempts(monkeypatch, "pass", "pass")
    result = matrix.run_cell(bench(tmp_path, 4), CELL, threading.Event(), resumed)
    assert result.outcomes == ("pass", "hang", "pass", "pass")
    assert (result.outcome, result.attempts) == ("hang", 4)
    assert result.detail == "intermittent (hang 1, pass 3): it is hang"
    assert [each.number for each in matrix.read_journal(path)] == [1, 2, 3, 4]
    journal.close()
    resumed.close()


def test_journal_our_own_errors_are_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = matrix.Journal()
    attempts(monkeypatch, "error")
    matrix.run_cell(bench(tmp_path, 1), CELL, threading.Event(), journal)
    record = record_of(CELL, 1, Attempt(Ending("error", "ours"), None, 1, evidence.Observation()))
    again = matrix.Journal.open_new(
        tmp_path / matrix.JOURNAL_NAME, matrix.new_header([CELL]), [record]
    )
    assert again.earlier_attempts(CELL) == []
    again.close()


@pytest.mark.parametrize("end", [b'{"cell": ', b"\xff\xfe\n", b"{}\n"])
def test_read_journal_damaged_end_keeps_earlier_records(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / matrix.JOURNAL_NAME
    record = record_of(CELL, 1, Attempt(Ending("pass", ""), None, 1, evidence.Observation()))
    journal = matrix.Journal.open_new(path, matrix.new_header([CELL]), [record])
    journal.close()
    with path.open("ab") as stream:
        stream.write(end)
    assert matrix.read_journal(path) == [record]


def test_read_journal_missing_is_empty(tmp_path: Path) -> None:
    assert matrix.read_journal(tmp_path / "absent") == []


def test_journal_unkept_evidence_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts(monkeypatch, "fail")
    long = msgspec.structs.replace(CELL, module="m" * 300)
    result = matrix.run_cell(bench(tmp_path, 1), long, threading.Event())
    assert (result.outcome, result.evidence) == ("fail", ())
    assert "its evidence could not be kept" in result.detail


@pytest.mark.parametrize("repeat", [0, -1, MOST_REPEATS + 1, 10**9])
def test_repeat_out_of_bounds_is_rejected(repeat: int) -> None:
    with pytest.raises(UsageError, match="--repeat"):
        plan_matrix(Request(repeat=repeat))
