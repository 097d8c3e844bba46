"""The results file is written line by line, and read up to a truncated line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from sample_results import result_of

from gobun import matrix, pipeline
from gobun.cells import Cell, Result, plan_hash
from gobun.errors import PrerequisiteError, UsageError
from gobun.expectations import place_of, this_place

if TYPE_CHECKING:
    from pathlib import Path

CELLS = [Cell("bun", "1.2.19", "stock", "simple", "ffi", stress) for stress in ("idle", "gc")]


def result(cell: Cell) -> Result:
    return result_of(cell, "pass", detail="größe")


def write_results(path: Path) -> Path:
    with matrix.Writer(path, matrix.new_header(CELLS), [result(CELLS[0])]) as writer:
        writer.add(result(CELLS[1]))
    return path


def test_results_round_trip(tmp_path: Path) -> None:
    run = matrix.read_results(write_results(tmp_path / "results.jsonl"))
    assert [row.cell for row in run.results] == CELLS
    assert run.results[0].detail == "größe"
    assert run.header.cells == 2
    assert run.header.plan == plan_hash(CELLS)
    assert not run.is_cut


def test_results_header_names_machine_and_older_is_read(tmp_path: Path) -> None:
    path = write_results(tmp_path / "results.jsonl")
    header, *lines = path.read_bytes().splitlines(keepends=True)
    record = msgspec.json.decode(header)
    assert place_of(matrix.read_results(path).header.host) == this_place()
    fields = ["os", "kernel", "cpu", "cores", "libc", "arch", "machine", "emulated"]
    assert list(record["host"]) == fields
    record["host"]["arch"] = "arm64"
    path.write_bytes(msgspec.json.encode(record) + b"\n" + b"".join(lines))
    assert place_of(matrix.read_results(path).header.host).arch == "arm64"
    del record["host"]["arch"]
    path.write_bytes(msgspec.json.encode(record) + b"\n" + b"".join(lines))
    run = matrix.read_results(path)
    assert (run.header.host.arch, len(run.results)) == ("", 2)
    assert place_of(run.header.host) == this_place()


def test_results_row_carries_its_host(tmp_path: Path) -> None:
    path = write_results(tmp_path / "results.jsonl")
    run = matrix.read_results(path)
    assert [row.host for row in run.results] == [run.header.host] * 2

    other = msgspec.structs.replace(run.header.host, kernel="9.9")
    resumed = msgspec.structs.replace(run.header, host=other)
    with matrix.Writer(path, resumed, run.results[:1]) as writer:
        writer.add(result(CELLS[1]))
    assert [row.host for row in matrix.read_results(path).results] == [run.header.host, other]


def test_results_row_of_older_file_has_the_host_of_its_header(tmp_path: Path) -> None:
    path = write_results(tmp_path / "results.jsonl")
    header, line, _ = path.read_bytes().splitlines(keepends=True)
    row = msgspec.json.decode(line)
    del row["host"], row["platform"]
    path.write_bytes(header + msgspec.json.encode(row) + b"\n")
    run = matrix.read_results(path)
    assert [each.host for each in run.results] == [run.header.host]


def test_results_line_is_written_before_next_cell(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with matrix.Writer(path, matrix.new_header(CELLS)) as writer:
        writer.add(result(CELLS[0]))
        assert len(matrix.read_results(path).results) == 1


def test_results_line_has_the_documented_fields(tmp_path: Path) -> None:
    line = write_results(tmp_path / "results.jsonl").read_text().splitlines()[1]
    fields = (
        "runtime version treatment module load stress outcome detail expected unexpected wall_ms "
        "cpu_ms max_rss_kb exit_code signal attempts evidence repro outcomes why kind mapped go "
        "host platform"
    )
    assert " ".join(msgspec.json.decode(line)) == fields


def test_results_truncated_last_line_is_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_results(tmp_path / "results.jsonl")
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for length in range(last + 1, len(whole), 7):
        path.write_bytes(whole[:length])
        run = matrix.read_results(path)
        assert run.is_cut
        assert len(run.results) == 1
        output = capsys.readouterr().err
        assert output.endswith(f" {path}: the last line was cut off and is ignored\n")
    path.write_bytes(whole)
    assert matrix.read_results(tmp_path) == matrix.read_results(path)
    assert capsys.readouterr().err == ""


def test_results_damaged_line_is_named(tmp_path: Path) -> None:
    path = write_results(tmp_path / "results.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + '{"runtime": 1}\n' + lines[2])
    with pytest.raises(UsageError, match="line 2, is damaged"):
        matrix.read_results(path)
    path.write_bytes(lines[0].encode() + lines[1].encode().replace(b"bun", b"b\xffn", 1))
    with pytest.raises(UsageError, match="line 2, is damaged"):
        matrix.read_results(path)
    path.write_bytes(b"\x7fELF\xff\n")
    with pytest.raises(UsageError, match="does not begin with the header"):
        matrix.read_results(path)
    path.write_text("".join(lines[1:]))
    with pytest.raises(UsageError, match="does not begin with the header"):
        matrix.read_results(path)
    path.write_text("")
    with pytest.raises(UsageError, match="does not begin with the header"):
        matrix.read_results(path)
    with pytest.raises(UsageError, match="cannot read"):
        matrix.read_results(tmp_path / "absent.jsonl")


def test_results_resume_keeps_all_but_our_errors(tmp_path: Path) -> None:
    path, header = tmp_path / "results.jsonl", matrix.new_header(CELLS)
    assert pipeline.kept_results(path, header) == ()
    ended = [
        msgspec.structs.replace(each, host=header.host)
        for each in (result(CELLS[0]), result_of(CELLS[1], "error"))
    ]
    with matrix.Writer(path, header, ended):
        assert pipeline.kept_results(path, header) == (ended[0],)
    with pytest.raises(UsageError, match="belongs to another plan"):
        pipeline.kept_results(path, matrix.new_header(CELLS[:1]))
    newer = msgspec.structs.replace(header, tools={**header.tools, "go": "9.9.9"}, suite="9.9.9")
    with pytest.raises(UsageError, match="was made with another go, gobun, so it cannot"):
        pipeline.kept_results(path, newer)


def test_resume_with_another_libc_is_rejected(tmp_path: Path) -> None:
    path, header = tmp_path / "results.jsonl", matrix.new_header(CELLS, libc="glibc 2.36")
    with matrix.Writer(path, header, [result(CELLS[0])]):
        musl = matrix.new_header(CELLS, libc="musl 1.2.5")
    assert musl.plan == header.plan
    with pytest.raises(UsageError, match="has runtimes for glibc") as raised:
        pipeline.kept_results(path, musl)
    assert "--libc" in str(raised.value.hint)


def test_results_full_disk_keeps_earlier_lines(tmp_path: Path) -> None:
    import errno

    class Full:
        def __init__(self, stream: object) -> None:
            self._stream = stream

        def write(self, data: bytes) -> int:
            self._stream.write(data[:20])  # type: ignore[attr-defined]
            raise OSError(errno.ENOSPC, "full")

        def __getattr__(self, name: str) -> object:
            return getattr(self._stream, name)

    path = tmp_path / "results.jsonl"
    with matrix.Writer(path, matrix.new_header(CELLS)) as writer:
        writer.add(result(CELLS[0]))
        writer.stream = Full(writer.stream)  # type: ignore[assignment]
        with pytest.raises(PrerequisiteError, match="no space is left"):
            writer.add(result(CELLS[1]))
    run = matrix.read_results(path)
    assert len(run.results) == 1
    assert not run.is_cut
