"""The output of commands: plans, shards, expectations, claims, repros and diagnoses."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from commands import bun, copy_checkout, copy_with_claims, invoke, succeed

from gobun import build, diagnose, matrix, paths, pipeline
from gobun.analysis import read_claims
from gobun.expectations import read_expectations, update_expectations
from gobun.pipeline import Request
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a hang"),
]
SMALL_MATRIX = (
    *("--versions", "1.2.19,1.4.5", "--treatment", "stock", "--module", "control,simple"),
    *("--load", "ffi", "--stress", "idle"),
)
HANG = "bun@1.2.19/stock/simple/ffi/idle"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small matrix that really ran, each cell twice. One cell hangs, as expected."""
    out = tmp_path_factory.mktemp("matrix") / "report"
    output = succeed(invoke("matrix", *SMALL_MATRIX, "--repeat", "2", "--out", out))
    assert "4 cells: 3 pass, 1 hang; 0 unexpected." in output
    return out


def read_run(out: Path) -> matrix.Run:
    return matrix.read_results(out / matrix.FILE_NAME)


def test_matrix_every_attempt_is_recorded(ran: Path) -> None:
    results = {result.cell.name: result for result in read_run(ran).results}
    assert {result.attempts for result in results.values()} == {2}
    assert {name: result.outcomes for name, result in results.items()} == {
        "bun@1.2.19/stock/control/ffi/idle": ("pass", "pass"),
        HANG: ("hang", "hang"),
        "bun@1.4.5/stock/control/ffi/idle": ("pass", "pass"),
        "bun@1.4.5/stock/simple/ffi/idle": ("pass", "pass"),
    }


def test_plan_names_every_cell_once() -> None:
    [line] = succeed(invoke("plan", "--shards", "3", "--json")).splitlines()
    include = json.loads(line)["include"]
    assert [part["shard"] for part in include] == ["1/3", "2/3", "3/3"]
    cells = pipeline.plan_matrix(Request()).cells
    assert sum(part["cells"] for part in include) == len(cells) == len(set(cells))
    parts = [matrix.shard(cells, *matrix.parse_shard(part["shard"])) for part in include]
    assert sorted(cell for part in parts for cell in part) == sorted(cells)
    for entry, part in zip(include, parts, strict=True):
        assert entry["cells"] == len(part)
        assert entry["runtimes"] == "bun"
        assert set(entry["versions"].split(",")) == {cell.version for cell in part}


def test_plan_shards_are_balanced_by_past_durations(ran: Path, tmp_path: Path) -> None:
    # The durations are fixed, because on a busy machine a passing cell may take as long as a hang.
    past = read_run(ran)
    results = [
        msgspec.structs.replace(result, wall_ms=5000 if result.outcome == "hang" else 1000)
        for result in past.results
    ]
    with matrix.Writer(tmp_path / matrix.FILE_NAME, past.header, results):
        pass
    words = ("plan", *SMALL_MATRIX, "--shards", "2")
    include = json.loads(succeed(invoke(*words, "--json", "--durations", tmp_path)))["include"]
    assert [part["versions"] for part in include] == ["1.2.19", "1.4.5"]
    # The hanging cell takes longer than the other three together.
    assert include[0]["seconds"] > include[1]["seconds"]
    assert succeed(invoke(*words)).splitlines() == [
        "1/2: 2 cells (about 2 s one by one) of bun: 1.2.19",
        "2/2: 2 cells (about 2 s one by one) of bun: 1.4.5",
    ]


@pytest.mark.parametrize("shards", ["0", "5", "two", "1.5"])
def test_plan_impossible_split_is_rejected(shards: str) -> None:
    completed = invoke("plan", *SMALL_MATRIX, "--shards", shards)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr.startswith("error: ")
    assert "Traceback" not in completed.stderr


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same matrix, as two machines run it."""
    folder = tmp_path_factory.mktemp("shards")
    folders = [folder / number for number in ("1", "2")]
    for out in folders:
        succeed(invoke("matrix", *SMALL_MATRIX, "--shard", f"{out.name}/2", "--out", out))
    return folders


def test_merge_shards_make_the_whole_run(ran: Path, shards: list[Path], tmp_path: Path) -> None:
    parts = [{result.cell for result in read_run(out).results} for out in shards]
    assert [len(part) for part in parts] == [2, 2]
    assert not parts[0] & parts[1]
    out = tmp_path / "merged"
    output = succeed(invoke("merge", *shards, "--out", out))
    assert "4 cells: 3 pass, 1 hang; 0 unexpected." in output
    whole, merged = read_run(ran), read_run(out)
    assert (merged.header.plan, merged.header.cells) == (whole.header.plan, 4)
    assert merged.header.shard is None
    ended = {result.cell: result.outcome for result in merged.results}
    assert ended == {result.cell: result.outcome for result in whole.results}
    [hang] = [result for result in merged.results if result.outcome == "hang"]
    assert hang.evidence
    assert all((out / name).is_file() for name in hang.evidence)
    by_pattern = succeed(invoke("merge", shards[0].parent / "?", "--out", tmp_path / "again"))
    assert by_pattern == output


def test_merge_missing_shard_is_named(shards: list[Path], tmp_path: Path) -> None:
    completed = invoke("merge", shards[0], "--out", tmp_path / "merged")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "2 of the 4 cells of the plan are missing from the files; shards 2/2 are missing" in (
        completed.stderr
    )
    assert not (tmp_path / "merged").exists()


def test_report_results_alone_recreate_every_page(ran: Path, tmp_path: Path) -> None:
    shutil.copy(ran / matrix.FILE_NAME, tmp_path)
    assert "4 cells: 3 pass, 1 hang; 0 unexpected." in succeed(invoke("report", "--out", tmp_path))
    for name in ("report.md", "report.html", "junit.xml"):
        assert (tmp_path / name).read_bytes() == (ran / name).read_bytes()
    completed = invoke("report", "--out", tmp_path / "absent")
    assert (completed.returncode, completed.stdout) == (2, "")


def test_expect_shipped_rows_are_valid(tmp_path: Path) -> None:
    assert succeed(invoke("expect")) == "every expectation has its form and a reason\n"
    copy = copy_with_claims(tmp_path / "copy")
    table = copy / "expectations" / "bun.toml"
    table.write_text(table.read_text().replace('why = "C7, C8: ', 'why = "C7, C999: ', 1))
    completed = invoke("expect", root=copy)
    assert completed.returncode == 2
    assert "C999" in completed.stdout


def test_expect_rows_that_match_nothing_are_reported(ran: Path, tmp_path: Path) -> None:
    """A narrowed run does not mention omitted rows, but its review does."""
    copy = copy_with_claims(tmp_path / "copy")
    table = copy / "expectations" / "bun.toml"
    count = table.read_text().splitlines().count("[[expect]]")
    dead = '\n[[expect]]\nruntime = "bun"\nversions = ">=9.0.0"\noutcomes = ["hang"]\nwhy = "C7"\n'
    table.write_text(table.read_text() + dead)
    words = ("--versions", "1.4.5", "--module", "control", "--load", "ffi", "--stress", "idle")
    completed = invoke(
        "matrix", *words, "--treatment", "stock", "--out", tmp_path / "out", root=copy
    )
    reports = [line for line in completed.stderr.splitlines() if "matches no cell" in line]
    assert len(reports) == 1, completed.stderr
    reason = "versions = '>=9.0.0' holds no release that is known"
    assert reports[0].endswith(
        f"row {count + 1} of [[expect]] matches no cell of this run: {reason}"
    )
    reviewed = succeed(invoke("expect", "--review", ran / matrix.FILE_NAME, root=copy))
    assert f"{table}: row 1 of [[expect]] matches no cell" not in reviewed
    assert reviewed.count("matches no cell of this run\n") > 1
    completed = invoke("expect", root=copy)
    assert (completed.returncode, completed.stdout.count("\n")) == (2, 1)
    assert completed.stdout.endswith(f"row {count + 1} of [[expect]]: {reason}\n")


def test_expect_shipped_rows_fit_the_results(ran: Path, tmp_path: Path) -> None:
    copy = copy_checkout(tmp_path / "copy")
    results = ran / matrix.FILE_NAME
    assert succeed(invoke("expect", "--update", results, root=copy)) == "nothing to change\n"
    for path in paths.EXPECTATIONS.iterdir():
        assert (copy / "expectations" / path.name).read_bytes() == path.read_bytes()


def test_expect_update_follows_the_results(ran: Path, tmp_path: Path) -> None:
    folder = tmp_path / "expectations"
    folder.mkdir()
    stale = (
        "# Kept.\n\n[[expect]]\n"
        'runtime = "bun"\nversions = ">=1.2.2 <1.2.19"\nmodules = ["simple"]\n'
        'outcomes = ["hang"]\nwhy = "C7"\n'
    )
    (folder / "bun.toml").write_text(stale)
    range_update = update_expectations(read_run(ran).results, folder=folder)
    assert "+" in range_update.diff
    text = (folder / "bun.toml").read_text()
    assert text.startswith("# Kept.\n")
    assert 'why = "C7"' in text
    copy = copy_checkout(tmp_path / "copy")
    table = copy / "expectations" / "bun.toml"
    table.write_text(stale)
    output = succeed(invoke("expect", "--update", ran / matrix.FILE_NAME, root=copy))
    assert output.startswith("--- ")
    assert table.read_text() == text
    updated = read_expectations(folder)
    for result in read_run(ran).results:
        assert updated.of(result.cell) == (result.outcome,), result.cell.name
    assert update_expectations(read_run(ran).results, folder=folder).diff == ""


@pytest.mark.parametrize("arch", ["x64", "arm64"])
def test_expect_update_applies_to_the_results_processor_only(
    ran: Path, tmp_path: Path, arch: str
) -> None:
    copy = copy_checkout(tmp_path / "copy")
    table = copy / "expectations" / "bun.toml"
    row = (
        '[[expect]]\nruntime = "bun"\narch = "x64"\nversions = ">=1.2.2 <1.2.19"\n'
        'modules = ["simple"]\noutcomes = ["hang"]\nwhy = "C7"\n'
    )
    table.write_text(row)
    header, *lines = (ran / matrix.FILE_NAME).read_bytes().splitlines(keepends=True)
    record = msgspec.json.decode(header)
    record["host"]["arch"] = arch
    results = tmp_path / matrix.FILE_NAME
    results.write_bytes(msgspec.json.encode(record) + b"\n" + b"".join(lines))
    succeed(invoke("expect", "--update", results, root=copy))
    assert ('versions = ">=1.2.2 <1.2.19"' in table.read_text()) is (arch == "arm64")


def test_claims_verdicts_come_from_the_results(ran: Path, tmp_path: Path) -> None:
    output = succeed(invoke("claims", "--out", ran, "--manifest", tmp_path / "absent.json"))
    for claim in read_claims():
        assert claim in output
    completed = invoke("claims", "--out", tmp_path)
    assert (completed.returncode, completed.stdout) == (2, "")


def test_repro_folder_reproduces_the_cell(ran: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    shutil.copytree(ran, out)
    [line] = succeed(invoke("repro", "--folders", "--out", out)).splitlines()
    assert Path(line) == out / "repro" / "bun-stock-simple-ffi-idle"
    codes = {}
    for version in ("1.2.19", "1.4.5"):
        codes[version] = subprocess.run(
            [Path(line) / "run.sh"],
            env={
                "PATH": os.defpath,
                "HOME": str(tmp_path),
                "LIMIT": "4",
                "BUN": str(bun(version).program),
            },
            capture_output=True,
            check=False,
            timeout=60,
        ).returncode
    assert codes == {"1.2.19": 124, "1.4.5": 0}


@contextlib.contextmanager
def stuck(folder: Path) -> Iterator[int]:
    """A Bun 1.2.19 that has called Go, and hangs."""
    go = folder / "go"
    go.touch()
    runtime = bun("1.2.19")
    settings = runtime.settings(build.build_fixture("simple", host_target()))
    argument = msgspec.json.encode({**settings, "go": str(go)}).decode()
    script = Path(diagnose.__file__).parent / "load.cjs"
    with subprocess.Popen(runtime.command(script, argument), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert b"called 0\n" in iter(process.stdout.readline, b"")
            yield process.pid
        finally:
            process.kill()


def test_diagnose_stuck_process_is_explained(tmp_path: Path) -> None:
    with stuck(tmp_path) as pid:
        page = succeed(invoke("diagnose", str(pid)))
        report = msgspec.json.decode(
            succeed(invoke("diagnose", str(pid), "--json")), type=diagnose.Diagnosis
        )
    assert page.startswith(f"process {pid}: it hangs: a signal storm, because of Go's SA_ONSTACK\n")
    assert "storm: SIGPWR to " in page
    assert "simple.so" in page
    assert (report.kind, report.pid, report.runtime.version) == ("storm", pid, "1.2.19"), report


def test_diagnose_command_is_started_and_explained() -> None:
    output = succeed(invoke("diagnose", "--", "sleep", "1"))
    assert ": it ended\n" in output
    assert "sleep ended with exit code 0" in " ".join(output.split())
    completed = invoke("diagnose", "--")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "there is no command" in completed.stderr
    completed = invoke("diagnose", "--", "no-such-program-of-mine")
    assert (completed.returncode, completed.stdout) == (3, "")
    assert "no such program" in completed.stderr


@pytest.mark.parametrize(
    ("pid", "message"),
    [
        ("999999999", "there is no process 999999999"),
        ("0", "there is no process 0"),
        ("bun", "the process 'bun' is not a number"),
    ],
)
def test_diagnose_invalid_process_id_is_rejected(pid: str, message: str) -> None:
    completed = invoke("diagnose", pid)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert f"error: {message}" in completed.stderr


def test_audit_several_libraries_are_reported() -> None:
    control, simple = (
        build.build_fixture(name, host_target()).library for name in ("control", "simple")
    )
    first, second = succeed(invoke("audit", control, simple)).split("\n\n", 1)
    assert str(control) in first
    assert str(simple) not in first
    assert str(simple) in second
    assert (first + second) == succeed(invoke("audit", control)).rstrip("\n") + succeed(
        invoke("audit", simple)
    )
    completed = invoke("audit", control, control.parent / "absent.so")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "absent.so" in completed.stderr
