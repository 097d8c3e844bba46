"""The torture parts, each for a third of a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
