"""Modules that attack the harness, on purpose or by accident. Each has a definite outcome."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.torture.hostile import (
    BREAKING_CASES,
    CASES,
    GRACE_S,
    LIMIT_S,
    PRINTS,
    Case,
    difference_from,
    ready_bench,
    run_case,
    starts_threads,
)
from gobun.matrix import control_groups

if TYPE_CHECKING:
    from gobun import matrix
    from gobun.cells import Result

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> matrix.RunContext:
    return ready_bench(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(params=["grouped", "ungrouped"])
def groups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run once with control groups, if the machine has them, and once without."""
    if request.param == "ungrouped":
        monkeypatch.setattr(control_groups, "run_folders", lambda: ())
    elif not control_groups.run_folders():
        pytest.skip("no control group can be made here")


def run(bench: matrix.RunContext, folder: Path, case: Case, runtime: str = "bun") -> Result:
    began = time.monotonic()
    result = run_case(bench, folder, case, runtime)
    assert time.monotonic() - began < LIMIT_S + GRACE_S
    return result


def assert_gone(pid: int) -> None:
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_module_gets_its_outcome(
    bench: matrix.RunContext, tmp_path: Path, case: Case
) -> None:
    assert difference_from(case, run(bench, tmp_path, case)) == ""


@pytest.mark.parametrize("case", PRINTS, ids=lambda case: case.name)
def test_hostile_output_in_node_changes_nothing(
    bench: matrix.RunContext, tmp_path: Path, case: Case
) -> None:
    assert difference_from(case, run(bench, tmp_path, case, "node")) == ""


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize("case", BREAKING_CASES, ids=lambda case: case.name)
def test_hostile_broken_supervision_is_our_error(
    bench: matrix.RunContext, tmp_path: Path, case: Case
) -> None:
    assert difference_from(case, run(bench, tmp_path, case)) == ""
    assert_gone(int((tmp_path / "note").read_text()))


def test_hostile_process_holding_output_blocks_nobody(
    bench: matrix.RunContext, tmp_path: Path
) -> None:
    code = (
        "import os, sys, time; note = sys.argv[1]\n"
        "while not os.path.exists(note): time.sleep(0.01)\n"
        "held = [os.open(f'/proc/{open(note).read()}/fd/{n}', os.O_WRONLY) for n in (1, 2)]\n"
        "open(note + '.held', 'w').close()\n"
        "while True: os.write(held[0], b'more '); time.sleep(0.001)\n"
    )
    stranger = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "note")], stderr=subprocess.DEVNULL
    )
    check = """
      fs.writeFileSync(NOTE + ".part", String(process.pid));
      fs.renameSync(NOTE + ".part", NOTE);
      const soon = () => new Promise((resolve) => setTimeout(resolve, 5));
      while (!fs.existsSync(NOTE + ".held")) await soon();
    """
    try:
        assert run(bench, tmp_path, Case("held", check)).outcome == "pass"
    finally:
        stranger.kill()
        stranger.wait()


def test_hostile_endless_output_is_bounded(bench: matrix.RunContext, tmp_path: Path) -> None:
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check = "const chunk = Buffer.alloc(1 << 20, 97); for (;;) fs.writeSync(1, chunk);"
    result = run(bench, tmp_path, Case("floods", check))
    assert result.outcome in {"hang", "timeout"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 50_000
    assert all((bench.out / path).stat().st_size < 200_000 for path in result.evidence)


def test_hostile_memory_over_the_limit_is_named(
    bench: matrix.RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with control_groups.cell_group() as group:
        limits = [folder / "memory.limit_in_bytes" for folder in group.folders]
        limits += [folder / "memory.max" for folder in group.folders]
        if not any(limit.exists() for limit in limits):
            pytest.skip("no control group here can limit memory")
    monkeypatch.setattr(control_groups, "memory_limit", lambda: 256 << 20)
    check = "const kept = []; for (;;) kept.push(Buffer.alloc(1 << 20, 1));"
    result = run(bench, tmp_path, Case("grows", check))
    assert (result.outcome, result.detail) == (
        "fail",
        "used more than 0.2 GiB of memory, and was killed for it",
    )


@pytest.mark.usefixtures("groups")
def test_hostile_thousands_of_threads_are_contained(
    bench: matrix.RunContext, tmp_path: Path
) -> None:
    result = run(bench, tmp_path, starts_threads(3000))
    assert result.outcome == "timeout"
    assert_gone(int((tmp_path / "note").read_text()))
