"""Groups of flags. A group replaces one parameter, and the task gets a record of its flags."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from invoke.context import Context

from gobun.commands.run_flags import CellFlags, MatrixFlags, RunFlags, with_flags
from gobun.errors import UsageError


def make_task(records: list[Any]) -> Any:  # noqa: ANN401 - Invoke's tasks are untyped
    @with_flags("cells", CellFlags)
    @with_flags("run", RunFlags, out="elsewhere")
    def task(_: Context, cells: CellFlags, series: str = "", *, run: RunFlags) -> None:
        records.extend((cells, series, run))

    return task


def test_with_flags_keeps_the_place_of_the_parameter() -> None:
    _, *flags = inspect.signature(make_task([])).parameters.values()
    assert [flag.name for flag in flags] == [
        *("runtime", "versions", "treatment", "module", "load", "stress"),
        "series",
        *("out", "jobs", "limit", "repeat", "resume"),
    ]
    assert {flag.name: flag.default for flag in flags}["out"] == "elsewhere"


def test_with_flags_passes_one_record_for_each_group() -> None:
    records: list[Any] = []
    make_task(records)(Context(), module="simple, crypto", series="v1", jobs="2")
    assert records == [
        CellFlags(module="simple, crypto"),
        "v1",
        RunFlags(out="elsewhere", jobs="2"),
    ]


def test_cell_flags_are_split_at_commas_and_default_to_bun() -> None:
    fields = CellFlags(module="simple, crypto", versions="1.2.19,1.3.14").fields()
    assert fields["runtimes"] == ("bun",)
    assert fields["modules"] == ("simple", "crypto")
    assert fields["versions"] == "1.2.19,1.3.14"


def test_run_flags_with_a_wrong_number_are_rejected() -> None:
    with pytest.raises(UsageError, match="--jobs 'many' is not a number"):
        MatrixFlags(jobs="many").fields()
