"""Bisection with real releases of Bun. The other tests fetch the same few releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from machine import ON_MUSL

from gobun.analysis.bisect_cells import BisectRequest, bisect_releases
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.analysis.bisect import VersionOutcome

OLDER = [] if ON_MUSL else ["1.0.36", "1.1.45", "1.2.1", "1.2.2"]
"""Before 1.2.5 ``bun:ffi`` opens no library on musl."""
VERSIONS = [*OLDER, "1.2.19", "1.2.20", "1.3.14", "1.4.5"]


def test_bisect_idle_hang_finds_both_ends(tmp_path: Path) -> None:
    steps: list[VersionOutcome] = []
    question = BisectRequest(stress="idle", load="ffi", attempts=2, out=tmp_path)
    answer = bisect_releases(question, versions=VERSIONS, on_step=steps.append)
    both_ends = "bad from 1.2.2 to 1.2.19; first good again 1.2.20"
    assert answer.text == ("bad up to 1.2.19; first good 1.2.20" if ON_MUSL else both_ends)
    assert len(steps) <= 7
    assert {outcome for step in steps for outcome in step.outcomes} == {"pass", "hang"}


def test_bisect_cell_that_always_passes_is_rejected(tmp_path: Path) -> None:
    question = BisectRequest(stress="idle", module="control", attempts=1, out=tmp_path)
    with pytest.raises(UsageError, match=r"of 2 versions .*, all are good"):
        bisect_releases(question, versions=["1.2.19", "1.2.20"])


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (BisectRequest(stress="idel"), "unknown stress 'idel'"),
        (BisectRequest(stress="idle", load="fii"), "unknown load 'fii'"),
        (BisectRequest(stress="idle", runtime="nod"), "did you mean: node"),
        (BisectRequest(stress="idle", treatment="gc-signal"), "'gc-signal' is several treatments"),
    ],
)
def test_bisect_bad_arguments_are_rejected_before_building(
    question: BisectRequest, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        bisect_releases(question, versions=VERSIONS)
