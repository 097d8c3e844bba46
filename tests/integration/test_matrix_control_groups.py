"""Control groups of cells, when several runs start after one that was killed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gobun import paths
from gobun.matrix.control_groups import cell_group

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THREADS, RUNS, DEAD_GROUPS = 4, 3, 20
# Waits for the start, then makes the first groups of its run on several threads at once.
RUN = f"""
import sys, threading
from gobun.matrix.control_groups import cell_group
start = threading.Barrier({THREADS})
made = []
def cell():
    start.wait()
    with cell_group() as group:
        made.append(len(group.folders))
threads = [threading.Thread(target=cell) for _ in range({THREADS})]
sys.stdin.readline()
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*made)
"""


@pytest.fixture
def left_over() -> Iterator[list[Path]]:
    """Make the groups that killed runs leave behind."""
    with cell_group() as group:
        if not group.folders:
            pytest.skip("no control group can be made here")
        ended = subprocess.Popen(["true"])
        ended.wait()
        groups = []
        for folder in group.folders:
            prefix = "-".join(folder.parent.name.split("-")[:2])
            for started in range(1, DEAD_GROUPS + 1):
                dead = folder.parents[1] / f"{prefix}-{ended.pid}-{started}"
                (dead / "cell-1").mkdir(parents=True)
                groups.append(dead)
        yield groups
        for folder in (each for dead in groups for each in (dead / "cell-1", dead)):
            if folder.exists():
                folder.rmdir()


def test_cell_group_beside_other_runs_is_made(left_over: list[Path]) -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RUN],
            cwd=paths.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(RUNS)
    ]
    try:
        for run in runs:
            assert run.stdin is not None
            run.stdin.write("start\n")
            run.stdin.flush()
        output = [run.communicate(timeout=60) for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.communicate()
    counts = " ".join([str(len(left_over) // DEAD_GROUPS)] * THREADS)
    assert [(out.strip(), error) for out, error in output] == [(counts, "")] * RUNS
    assert not any(dead.exists() for dead in left_over)
