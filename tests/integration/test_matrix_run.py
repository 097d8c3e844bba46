"""The main job on real runtimes: known releases, interruption, resumption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import wait_until
from machine import ON_MUSL

from gobun import matrix, paths, pipeline
from gobun.errors import UnexpectedOutcomeError, UsageError
from gobun.pipeline import Request

if TYPE_CHECKING:
    from gobun.treatments import TreatmentName

TREATMENTS: tuple[TreatmentName, ...] = ("stock", "warmup-plain", "warmup", "guard")
OLDER = () if ON_MUSL else ("1.2.1",)
"""Before 1.2.5 ``bun:ffi`` opens no library on musl, so the default loads do not pass there."""
PASSES_THROUGHOUT = {
    "1.2.19 stock control",
    "1.2.19 warmup control",
    "1.2.19 warmup simple",
    "1.2.19 guard control",
    "1.2.19 guard simple",
}
INVOKE = [sys.executable, "-m", "invoke", "matrix"]


def outcomes(out: Path) -> dict[str, set[str]]:
    """Return the outcomes seen, by ``version treatment module``."""
    by_name: dict[str, set[str]] = {}
    for result in matrix.read_results(out / matrix.FILE_NAME).results:
        key = f"{result.version} {result.treatment} {result.module}"
        by_name.setdefault(key, set()).add(result.outcome)
    return by_name


def test_matrix_hang_appears_only_in_known_versions(tmp_path: Path) -> None:
    pipeline.run_matrix(
        Request(
            versions=",".join((*OLDER, "1.2.19", "latest")),
            treatments=TREATMENTS,
            modules=("control", "simple"),
            stresses=("idle",),
            out=tmp_path,
        )
    )
    observed = outcomes(tmp_path)
    newest = matrix.read_results(tmp_path / matrix.FILE_NAME).results[-1].version
    hung = {key for key in observed if key.startswith("1.2.19") and key not in PASSES_THROUGHOUT}
    assert {key: {"hang"} if key in hung else {"pass"} for key in observed} == observed
    assert set(observed) == {
        f"{version} {treatment} {module}"
        for version in (*OLDER, "1.2.19", newest)
        for treatment in TREATMENTS
        for module in ("control", "simple")
    }
    for result in matrix.read_results(tmp_path / matrix.FILE_NAME).results:
        if result.outcome == "hang":
            assert "SIGPWR" in result.detail
            assert all((tmp_path / path).is_file() for path in result.evidence)


def test_matrix_node_loads_every_module_every_way(tmp_path: Path) -> None:
    pipeline.run_matrix(Request(runtimes=("node",), stresses=("gc",), out=tmp_path))
    assert set().union(*outcomes(tmp_path).values()) == {"pass"}
    assert len(matrix.read_results(tmp_path / matrix.FILE_NAME).results) == 18


def test_matrix_unexpected_outcome_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "expectations"
    empty.mkdir()
    monkeypatch.setattr(paths, "EXPECTATIONS", empty)
    request = Request(
        versions="1.2.19",
        treatments=("stock",),
        modules=("simple",),
        loads=("ffi",),
        stresses=("idle",),
        out=tmp_path,
    )
    with pytest.raises(UnexpectedOutcomeError, match="unexpected outcomes: 1 of 1 cells"):
        pipeline.run_matrix(request)
    assert "unexpected: bun@1.2.19/stock/simple/ffi/idle: hang, expected pass" in (
        capsys.readouterr().out
    )


def test_matrix_resume_of_other_plan_is_rejected(tmp_path: Path) -> None:
    request = Request(
        runtimes=("node",),
        treatments=("stock",),
        modules=("control",),
        loads=("ffi",),
        stresses=("idle",),
        out=tmp_path,
    )
    pipeline.run_matrix(request)
    other = Request(
        runtimes=("node",),
        treatments=("stock",),
        modules=("control",),
        loads=("ffi",),
        stresses=("gc",),
        out=tmp_path,
        resume=True,
    )
    with pytest.raises(UsageError, match="belongs to another plan"):
        pipeline.run_matrix(other)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_matrix_interrupted_run_leaves_nothing_and_resumes(
    tmp_path: Path, number: signal.Signals
) -> None:
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    scratch.mkdir()
    arguments = ["--versions", "1.2.19", "--module", "control,simple", "--load", "ffi,napi-sync"]
    command = [*INVOKE, *arguments, "--treatment", "stock", "--out", str(out)]
    running = subprocess.Popen(
        command, cwd=paths.ROOT, env=os.environ | {"TMPDIR": str(scratch)}, start_new_session=True
    )
    path = out / matrix.FILE_NAME
    wait_until(lambda: path.is_file() and path.read_bytes().count(b"\n") >= 3, within_s=60)
    os.kill(running.pid, number)
    code = running.wait(timeout=30)
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    wait_until(lambda: not processes_inside(scratch), within_s=60)
    assert number == signal.SIGKILL or not list(scratch.iterdir())

    first = matrix.read_results(path).results
    assert 2 <= len(first) < 12
    subprocess.run(
        [*command, "--resume"],
        cwd=paths.ROOT,
        env=os.environ | {"TMPDIR": str(scratch)},
        check=True,
        timeout=120,
    )
    assert not list(scratch.iterdir()), "the next run removes what a killed one left"
    resumed = matrix.read_results(path)
    assert resumed.results[: len(first)] == first
    assert len(resumed.results) == resumed.header.cells == 12
    assert len({result.cell for result in resumed.results}) == 12


def processes_inside(folder: Path) -> list[str]:
    """Return the processes whose temporary folder lies in ``folder``."""
    pids = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={folder}".encode() in environment.read_bytes():
                pids.append(environment.parent.name)
        except OSError:
            continue
    return pids
