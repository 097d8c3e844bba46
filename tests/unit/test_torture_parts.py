"""The torture parts, each for a third of a second."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.torture.loads import Group
from benchmarks.torture.registry import Budget, all_parts, chosen_parts
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.torture.registry import Part

SECONDS = 0.3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "part", [pytest.param(part, id=name) for name, part in all_parts().items() if part.is_quick]
)
def test_torture_part_in_quick_mode_holds(part: Part, tmp_path: Path) -> None:
    figures = list(part.run(Budget.starting_now(SECONDS, tmp_path)))
    assert figures
    assert [figure for figure in figures if not figure.holds] == []


def test_torture_unknown_part_is_rejected() -> None:
    assert chosen_parts(["fuzz-"]) == [
        part for name, part in all_parts().items() if name.startswith("fuzz-")
    ]
    with pytest.raises(UsageError, match="fuz-toml"):
        chosen_parts(["fuz-toml"])


def test_torture_group_with_little_processor_time_is_removed() -> None:
    limits = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "1000", "cpu.max": "1000 100000"}
    with Group({"cpu": limits}) as group:
        if not group.folders:
            pytest.skip("this machine permits no control groups")
        children = [subprocess.Popen(group.command(["sleep", "600"])) for _ in range(8)]
        members = group.folders[0] / "cgroup.procs"
        deadline = time.monotonic() + 60
        while len(members.read_text().split()) < len(children):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert [folder for folder in group.folders if folder.exists()] == []
    assert [child.wait(60) for child in children] == [-signal.SIGKILL] * 8
