"""The evidence files of a cell."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gobun.cells.records import Cell, Ending
from gobun.matrix import evidence
from gobun.matrix.classify import Event
from gobun.observe import Handler, Snapshot, Thread, ThreadView

CELL = Cell("bun", "1.2.19", "stock", "simple", "ffi", "idle")
THREAD = Thread(
    tid=1, name="bun", state="S", cpu_ticks=0, switches=0, waits_in="", pending=0, blocked=0
)
HANDLER = Handler(30, ignored=False, on_stack=True, flags=0, address=1, owner="/bun", blocks=0)


def test_evidence_of_a_pass_is_not_kept(tmp_path: Path) -> None:
    assert (
        evidence.write_evidence(evidence.Observation("x"), CELL, Ending("pass", ""), tmp_path) == ()
    )


def test_evidence_snapshot_has_text_and_record(tmp_path: Path) -> None:
    snapshot = Snapshot(1, (ThreadView(THREAD, "futex", asked=True),), (HANDLER,))
    observation = evidence.Observation("said", snapshot=snapshot, backtrace="#0 main\n")
    written = evidence.write_evidence(observation, CELL, Ending("hang", "livelock"), tmp_path)
    names = sorted(Path(path).name for path in written)
    assert names == ["backtrace.txt", "output.txt", "process.json", "threads.txt"]
    table = next(path for path in written if path.endswith("process.json"))
    assert msgspec.json.decode((tmp_path / table).read_bytes(), type=Snapshot) == snapshot


def test_evidence_without_inspector_has_no_record(tmp_path: Path) -> None:
    observation = evidence.Observation(
        "said", snapshot=Snapshot(1, (ThreadView(THREAD, "futex", asked=False),), ())
    )
    names = evidence.write_evidence(observation, CELL, Ending("hang", ""), tmp_path)
    assert sorted(Path(path).name for path in names) == ["output.txt", "threads.txt"]


def test_evidence_keeps_the_output_of_a_cell(tmp_path: Path) -> None:
    output = (
        ("start", ""),
        ("beat", ""),
        ("called", ""),
        ("unfit", "a frame of 6 MiB"),
        ("beat", ""),
    )
    observation = evidence.Observation(
        "and this", events=tuple(Event(at, why) for at, why in output), reported_events=5
    )
    [path] = evidence.write_evidence(observation, CELL, Ending("fail", "exit code 1"), tmp_path)
    assert (tmp_path / path).read_text() == (
        f"{CELL.name}: fail\nexit code 1\nlast step: unfit (5 events)\n"
        "  start\n  called\n  unfit: a frame of 6 MiB\n\nand this"
    )


def test_evidence_folder_name_is_portable(tmp_path: Path) -> None:
    cell = msgspec.structs.replace(CELL, treatment="gc-signal:21")
    name = evidence.folder_of(cell, tmp_path).name
    assert name == "bun@1.2.19_gc-signal-21_simple_ffi_idle"


@pytest.mark.parametrize("gdb", [True, False])
def test_evidence_has_one_backtrace_per_similar_hang(gdb: bool) -> None:
    means = evidence.EvidenceTools(gdb=gdb)
    other = msgspec.structs.replace(CELL, module="crypto", stress="wasm")
    later = msgspec.structs.replace(CELL, version="1.2.18")
    assert [means.wants_backtrace(cell) for cell in (CELL, other, later)] == [gdb, False, gdb]


def test_evidence_of_many_versions_has_few_backtraces() -> None:
    means = evidence.EvidenceTools(gdb=True)
    cells = [msgspec.structs.replace(CELL, version=f"1.2.{patch}") for patch in range(50)]
    wanted = [means.wants_backtrace(cell) for cell in cells]
    assert wanted == [True] * evidence.MOST_BACKTRACES + [False] * (50 - evidence.MOST_BACKTRACES)
