"""The commands from end to end on real runtimes, and their errors if something is missing."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import cache_with_warm_compilers, invoke, succeed
from machine import ON_MUSL

from gobun import matrix, paths
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run"),
]
PASSES = "1.4.5" if ON_MUSL else "1.2.1"
"""A release that passes in every cell. Before 1.2.5 ``bun:ffi`` opens no library on musl."""
SMALL_MATRIX = (
    *("matrix", "--versions", PASSES, "--treatment", "stock", "--module", "control,simple"),
    *("--load", "ffi,napi-async", "--stress", "idle"),
)
HIDE_ZIG = """
import importlib.util

found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "ziglang" else found(name, *rest)
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small matrix that really ran."""
    out = tmp_path_factory.mktemp("matrix") / "report"
    output = succeed(invoke(*SMALL_MATRIX, "--out", out))
    assert "4 cells: 4 pass; 0 unexpected." in output
    return out


def test_matrix_small_plan_writes_its_results(ran: Path) -> None:
    run = matrix.read_results(ran / "results.jsonl")
    assert run.header.cells == len(run.results) == 4
    assert {result.cell.name for result in run.results} == {
        f"bun@{PASSES}/stock/{module}/{load}/idle"
        for module in ("control", "simple")
        for load in ("ffi", "napi-async")
    }
    page = (ran / "report.md").read_text()
    assert f"| bun@{PASSES} | pass | pass |" in page


def test_report_depends_on_results_alone(ran: Path, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_bytes((ran / "results.jsonl").read_bytes())
    output = succeed(invoke("report", "--out", tmp_path))
    assert "4 cells: 4 pass" in output
    assert (tmp_path / "report.md").read_bytes() == (ran / "report.md").read_bytes()
    lines = (ran / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_text("".join([lines[0], *reversed(lines[1:])]))
    succeed(invoke("report", "--out", tmp_path))
    assert (tmp_path / "report.md").read_bytes() == (ran / "report.md").read_bytes()


def test_repro_bare_command_runs(ran: Path, tmp_path: Path) -> None:
    assert succeed(invoke("repro", "--out", ran)) == ""
    output = succeed(invoke("repro", "--out", ran, "--only", "simple/ffi"))
    comment, line = output.splitlines()
    assert comment == f"# bun@{PASSES}/stock/simple/ffi/idle: pass"
    completed = subprocess.run(
        shlex.split(line), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    steps = [text for text in succeed(completed).splitlines() if '"beat"' not in text]
    assert steps[0] == '@gobun {"at":"start"}'
    assert steps[-1] == '@gobun {"at":"done"}'


def test_repro_unknown_cell_is_rejected(ran: Path) -> None:
    completed = invoke("repro", "--out", ran, "--only", f"bun@{PASSES}/stock/simpel/ffi/idle")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert f"did you mean: bun@{PASSES}/stock/simple/ffi/idle" in completed.stderr


def test_matrix_command_of_a_cell_reruns_it(ran: Path, tmp_path: Path) -> None:
    result = matrix.read_results(ran / "results.jsonl").results[0]
    program, *words = shlex.split(result.repro)
    assert program == "invoke"
    succeed(invoke(*words, "--out", tmp_path / "again"))
    (again,) = matrix.read_results(tmp_path / "again" / "results.jsonl").results
    assert again.cell == result.cell


def test_cache_lists_the_entries_of_the_matrix(ran: Path) -> None:
    output = succeed(invoke("cache"))
    assert output.startswith(f"{paths.cache_root()}: ")
    assert f"@{PASSES} " in output
    assert f"simple-{host_target().name}-" in output


def test_doctor_complete_machine_passes() -> None:
    output = succeed(invoke("doctor"))
    names = {line.split()[1] for line in output.splitlines() if line.startswith("ok ")}
    assert {"platform", "go", "zig", "node", "npm", "cache", "scenarios"} <= names
    assert "missing" not in output


def test_doctor_without_zig_fails_like_the_build(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE_ZIG)
    without = {"PYTHONPATH": str(tmp_path)}
    completed = invoke("doctor", env=without)
    assert completed.returncode == 3
    states = {
        line.split()[1]: line.split()[0] for line in completed.stdout.splitlines() if line[0] != " "
    }
    assert (states["zig"], states["go"]) == ("missing", "ok")
    assert "ziglang is not installed" in completed.stdout
    assert "next: run through nox" in completed.stdout
    completed = invoke("build-warmup", "--out", tmp_path / "dist", env=without)
    assert (completed.returncode, completed.stdout) == (3, "")
    assert "ziglang is not installed" in completed.stderr
    assert not (tmp_path / "dist").exists()


def test_doctor_with_file_as_cache_reports_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    completed = invoke("doctor", env={"GOBUN_CACHE": str(tmp_path / "file" / "cache")})
    assert completed.returncode == 3
    (line,) = [line for line in completed.stdout.splitlines() if line.startswith("missing")]
    assert "cannot be written" in line


def test_matrix_without_network_or_cache_fails(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        environment = {
            "GOBUN_CACHE": str(cache_with_warm_compilers(tmp_path / "cache")),
            "npm_config_fetch_retries": "0",
            "npm_config_registry": f"http://127.0.0.1:{port}/",
        }
        completed = invoke(*SMALL_MATRIX, "--out", tmp_path / "report", env=environment)
    assert completed.returncode == 4, completed.stderr
    assert "error: " in completed.stderr
    assert "next: " in completed.stderr
    assert "cached" in completed.stderr
    assert "Traceback" not in completed.stderr
    assert not (tmp_path / "report").exists()


def test_matrix_unknown_version_suggests_near_ones() -> None:
    completed = invoke("matrix", "--versions", "1.2.199")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "unknown Bun version '1.2.199'" in completed.stderr
    assert "1.2.19" in completed.stderr


def test_matrix_file_as_results_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    completed = invoke(*SMALL_MATRIX, "--out", tmp_path / "file" / "report")
    assert (completed.returncode, completed.stdout) == (3, "")
    assert "cannot write" in completed.stderr
    assert "Traceback" not in completed.stderr
    completed = invoke("build-warmup", "--target", host_target().name, "--out", tmp_path / "file")
    assert (completed.returncode, completed.stdout) == (3, "")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"
