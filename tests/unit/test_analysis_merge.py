"""Results of shards are joined or rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from sample_results import result_of

from gobun import matrix
from gobun.analysis.merge import merge, merge_into
from gobun.cells import Cell, Result, plan_hash
from gobun.cells.records import Header
from gobun.errors import UsageError
from gobun.matrix.shard import shard, shard_header

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.cells import Outcome

CELLS = [
    Cell("bun", version, "stock", "simple", "ffi", stress)
    for version in ("1.2.2", "1.2.10", "1.3.0")
    for stress in ("idle", "gc")
]


def result(cell: Cell, *outcomes: Outcome, evidence: tuple[str, ...] = ()) -> Result:
    return result_of(cell, *outcomes, evidence=evidence)


def write_run(folder: Path, header: Header, results: list[Result]) -> Path:
    path = folder / matrix.FILE_NAME
    with matrix.Writer(path, header, results):
        return path


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    whole = matrix.new_header(CELLS)
    return [
        write_run(
            tmp_path / str(number),
            shard_header(whole, CELLS, number, 3),
            [result(cell, "pass") for cell in shard(CELLS, number, 3)],
        )
        for number in (1, 2, 3)
    ]


def header_of(path: Path) -> Header:
    return msgspec.json.decode(path.read_bytes().splitlines()[0], type=Header)


def change(path: Path, **fields: object) -> None:
    header, *lines = path.read_bytes().splitlines(keepends=True)
    changed = msgspec.json.decode(header) | fields
    path.write_bytes(msgspec.json.encode(changed) + b"\n" + b"".join(lines))


def test_merge_shards_in_any_order_make_the_run(shards: list[Path]) -> None:
    run = merge(shards)
    versions = [row.version for row in run.results]
    assert versions == ["1.2.2", "1.2.2", "1.2.10", "1.2.10", "1.3.0", "1.3.0"]
    assert {row.cell for row in run.results} == set(CELLS)
    assert run.header.plan == plan_hash(CELLS)
    assert run.header.cells == len(CELLS)
    assert not run.is_cut
    assert merge(shards[::-1]).results == run.results
    assert merge([path.parent for path in shards]).results == run.results


def test_merge_single_complete_file_is_a_run(tmp_path: Path) -> None:
    path = write_run(tmp_path, matrix.new_header(CELLS), [result(cell, "pass") for cell in CELLS])
    assert len(merge([path]).results) == len(CELLS)


def test_merge_different_hosts_are_all_kept(shards: list[Path]) -> None:
    host = msgspec.to_builtins(matrix.read_results(shards[0]).header.host)
    change(shards[2], host=host | {"cpu": "Other"}, started="2001-01-01T00:00:00+00:00")
    header = merge(shards).header
    assert isinstance(header, Header)
    assert [each.cpu == "Other" for each in header.hosts] == [False, True]
    assert header.started == "2001-01-01T00:00:00+00:00"
    assert header.shard is None
    assert merge(shards[:2] + shards[:1] + shards[2:]).header == header


def test_merge_missing_shard_is_named(shards: list[Path]) -> None:
    with pytest.raises(UsageError, match=r"2 of the 6 cells .*; shards 2/3 are missing"):
        merge([shards[0], shards[2]])


def test_merge_truncated_shard_is_named(shards: list[Path]) -> None:
    shards[1].write_bytes(shards[1].read_bytes()[:-9])
    message = rf"1 of the 6 cells .*{shards[1]} \(shard 2/3\) has 1 cells, and its last line is cut"
    with pytest.raises(UsageError, match=message):
        merge(shards)


def test_merge_truncation_covered_elsewhere_is_mentioned(
    shards: list[Path], tmp_path: Path
) -> None:
    again = tmp_path / "again.jsonl"
    again.write_bytes(shards[1].read_bytes())
    shards[1].write_bytes(shards[1].read_bytes()[:-9])
    run = merge([*shards, again])
    assert run.is_cut
    assert len(run.results) == len(CELLS)


def test_merge_conflicting_cells_are_named(shards: list[Path], tmp_path: Path) -> None:
    first = matrix.read_results(shards[0])
    other = tmp_path / "other"
    write_run(other, first.header, [result(row.cell, "hang", "pass") for row in first.results])
    change(other / matrix.FILE_NAME, shard=header_of(shards[0]).shard)
    name = first.results[0].cell.name
    with pytest.raises(UsageError, match="the files disagree on 2 cells") as caught:
        merge([*shards, other])
    assert f"{name} is pass in {shards[0]} and hang/pass in {other}" in caught.value.what


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"plan": "0" * 16}, "plan"),
        ({"suite": "9.9"}, "suite version"),
        ({"tools": {"go": "1.1"}}, r"tools .* and go 1\.1"),
        ({"patched": {"bun@1.2.19+patched": "a-b"}}, r"tools .* and .*bun@1\.2\.19\+patched a-b"),
        ({"shard": {"number": 2, "of": 3, "cells": 2, "split": "x"}}, "split"),
        ({"shard": None}, "split"),
    ],
)
def test_merge_files_of_different_runs_are_rejected(
    shards: list[Path], fields: dict[str, object], message: str
) -> None:
    change(shards[1], **fields)
    with pytest.raises(UsageError, match=f"belong to different runs: {message}"):
        merge(shards)


def test_merge_results_of_other_system_are_rejected(shards: list[Path]) -> None:
    host = msgspec.to_builtins(matrix.read_results(shards[0]).header.host)
    change(shards[1], host=host | {"os": "darwin"})
    with pytest.raises(UsageError, match="system linux and darwin"):
        merge(shards)


def test_merge_results_of_other_processor_are_rejected(shards: list[Path]) -> None:
    host = msgspec.to_builtins(matrix.read_results(shards[0]).header.host)
    change(shards[0], host={name: host[name] for name in host if name != "arch"})
    change(shards[1], host=host | {"arch": "x64"})
    change(shards[2], host=host | {"arch": "x64"})
    assert [each.arch for each in merge(shards).header.hosts] == ["", "x64"]
    change(shards[2], host=host | {"arch": "arm64"})
    with pytest.raises(UsageError, match="processor x64 and arm64"):
        merge(shards)


def test_merge_results_of_another_libc_are_rejected(shards: list[Path]) -> None:
    host = msgspec.to_builtins(matrix.read_results(shards[0]).header.host)
    change(shards[0], host=host | {"libc": "glibc 2.36"})
    change(shards[1], host=host | {"libc": "musl 1.2.5"})
    with pytest.raises(UsageError, match="C library glibc and musl"):
        merge(shards)


def test_merge_cells_outside_the_plan_are_rejected(shards: list[Path]) -> None:
    stranger = msgspec.structs.replace(CELLS[0], stress="wasm")
    with shards[0].open("ab") as stream:
        stream.write(msgspec.json.encode(result(stranger, "pass")) + b"\n")
    with pytest.raises(UsageError, match="hold 7 cells that are not the 6 of the plan"):
        merge(shards)


def test_merge_damaged_or_missing_file_is_named(shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to merge"):
        merge([])
    with pytest.raises(UsageError, match=r"cannot read .*absent"):
        merge([*shards, tmp_path / "absent.jsonl"])
    change(shards[1], shard={"number": "two"})
    with pytest.raises(UsageError, match=rf"{shards[1]} does not begin with the header of a run"):
        merge(shards)
    shards[1].write_text("x\n")
    with pytest.raises(UsageError, match="does not begin with the header"):
        merge(shards)


@pytest.mark.parametrize("name", ["../outside", "evidence/../../outside", "/outside"])
def test_merge_evidence_outside_its_folder_is_rejected(
    shards: list[Path], tmp_path: Path, name: str
) -> None:
    first, *rest = matrix.read_results(shards[0]).results
    changed = result(first.cell, "pass", evidence=(name,))
    write_run(shards[0].parent, header_of(shards[0]), [changed, *rest])
    with pytest.raises(UsageError, match="names evidence that is not below its folder"):
        merge_into(shards, tmp_path / "all" / "out")
    assert not (tmp_path / "all").exists()


def test_merge_into_folder_copies_the_evidence(shards: list[Path], tmp_path: Path) -> None:
    name = "evidence/one/output.txt"
    header = header_of(shards[0])
    first, *rest = matrix.read_results(shards[0]).results
    write_run(shards[0].parent, header, [result(first.cell, "pass", evidence=(name,)), *rest])
    (shards[0].parent / name).parent.mkdir(parents=True)
    (shards[0].parent / name).write_text("seen")
    out = tmp_path / "all"
    run = merge_into(shards, out)
    assert matrix.read_results(out / matrix.FILE_NAME).results == run.results
    assert (out / name).read_text() == "seen"
    assert len(merge([out]).results) == len(CELLS)
