"""One pair of cells in a real guest of another processor: the hang, and its cure.

It takes a few minutes if every instruction is emulated, so one test checks everything.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from commands import invoke

from gobun import matrix
from gobun.vm.architectures import architecture

if TYPE_CHECKING:
    from pathlib import Path

ARM = architecture("arm64")
LIMIT_S = 1700

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(not os.environ.get("GOBUN_VM"), reason="takes minutes: set GOBUN_VM=1"),
    pytest.mark.skipif(shutil.which(ARM.program) is None, reason=f"{ARM.program} is missing"),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt-get is missing"),
    pytest.mark.timeout(1800),
]


def test_guest_cells_hang_without_guard_and_pass_with_it(tmp_path: Path) -> None:
    words = ["vm", "--arch", "arm64", "--versions", "1.2.19", "--treatment", "stock,guard"]
    words += ["--module", "simple", "--load", "ffi", "--stress", "idle", "--out", str(tmp_path)]
    completed = invoke(*words, limit_s=LIMIT_S)

    assert completed.returncode == 0, completed.stderr
    assert "arm64 is emulated" in completed.stderr
    run = matrix.read_results(tmp_path / matrix.FILE_NAME)
    assert run.header.host.arch == "arm64"
    assert run.header.host.machine.startswith("QEMU ")
    assert {each.treatment: each.outcome for each in run.results} == {
        "stock": "hang",
        "guard": "pass",
    }
    assert all(each.go and each.mapped for each in run.results)
    assert all(each.repro.startswith("invoke vm --arch arm64") for each in run.results)
    assert "arm64" in (tmp_path / "report.md").read_text()
