"""Axes, cells, and the identity of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gobun import paths
from gobun.cells import Cell, narrow_axes, plan_cells, plan_hash, read_scenario
from gobun.errors import UsageError
from gobun.matrix.run import repro

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = read_scenario()


def test_plan_has_every_combination_once_versions_outermost() -> None:
    axes = narrow_axes(SCENARIO, modules=["simple", "crypto"], stresses=["idle"])
    cells = plan_cells([("bun", "1.2.1"), ("bun", "1.4.5")], axes)
    assert len(cells) == len(set(cells)) == 2 * 2 * 2 * 3
    assert [cell.version for cell in cells] == ["1.2.1"] * 12 + ["1.4.5"] * 12


def test_plan_identity_ignores_the_order_of_cells() -> None:
    cells = plan_cells([("bun", "1.2.1")], SCENARIO.matrix)
    assert plan_hash(cells) == plan_hash(cells[::-1])
    assert plan_hash(cells) != plan_hash(cells[1:])


def test_plan_each_axis_can_be_narrowed_alone() -> None:
    axes = narrow_axes(SCENARIO, loads=["ffi"], limit_s=3)
    assert axes.loads == ("ffi",)
    assert axes.limit_s == 3
    assert axes.modules == SCENARIO.matrix.modules


@pytest.mark.parametrize(
    ("axis", "name", "near"),
    [
        ("treatments", "warm-up", "warmup"),
        ("modules", "cripto", "crypto"),
        ("loads", "napi", "napi-sync"),
        ("stresses", "idel", "idle"),
    ],
)
def test_plan_unknown_name_suggests_near_ones(axis: str, name: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        narrow_axes(SCENARIO, **{axis: [name]})  # type: ignore[arg-type]
    assert repr(name) in caught.value.what
    assert near in str(caught.value.hint)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["preload:suspend"], ("preload:suspend",)),
        (["preload:suspend+stack8m"], ("preload:stack8m+suspend",)),
        (["preload:suspend+sigmask+stack8m"], ("preload:stack8m+sigmask+suspend",)),
        (
            ["stock", "preload"],
            (
                "stock",
                "preload:stack8m",
                "preload:sigmask",
                "preload:sigmask-keep",
                "preload:suspend",
            ),
        ),
    ],
)
def test_treatment_with_words_becomes_their_settings(
    words: list[str], meant: tuple[str, ...]
) -> None:
    assert narrow_axes(SCENARIO, treatments=words).treatments == meant


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("preload:suspnd", "preload:suspend"),
        ("preload:suspend+suspend", "preload:suspend"),
        ("preload:sigmask+sigmask-keep", "preload:sigmask-keep"),
        ("preload:", "preload:suspend"),
    ],
)
def test_treatment_unknown_word_suggests_near_ones(word: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        narrow_axes(SCENARIO, treatments=[word])
    assert repr(word) in caught.value.what
    assert near in str(caught.value.hint)


def test_plan_all_stresses_excludes_long_running_ones() -> None:
    stresses = narrow_axes(SCENARIO, stresses=["all"]).stresses
    assert {"idle", "exit", "cpu-prof"} <= set(stresses)
    assert not {"long", "soak", "asherah", "asherah-memory"} & set(stresses)
    with pytest.raises(UsageError, match="unknown stress 'all'"):
        narrow_axes(SCENARIO, stresses=["idle", "all"])


def test_plan_repeated_name_is_rejected() -> None:
    with pytest.raises(UsageError, match="'ffi' is given twice"):
        narrow_axes(SCENARIO, loads=["ffi", "ffi"])


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf"), float("nan")])
def test_plan_limit_must_be_positive(limit: float) -> None:
    with pytest.raises(UsageError, match="the limit is"):
        narrow_axes(SCENARIO, limit_s=limit)


def test_cell_command_names_every_axis() -> None:
    cell = Cell("bun", "1.2.19", "warmup", "setup-full", "napi-async", "gc")
    assert repro(cell) == (
        "invoke matrix --runtime bun --versions 1.2.19 --treatment warmup --module setup-full"
        " --load napi-async --stress gc"
    )
    node = repro(Cell("node", "22.20.0", "stock", "simple", "ffi", "gc"))
    assert "--runtime node --versions 22.20.0" in node
    assert repro(cell, "musl") == f"{repro(cell)} --libc musl"


def test_scenario_stress_without_script_is_rejected(tmp_path: Path) -> None:
    text = (paths.SCENARIOS / "default.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text + '\n[stress.boil]\nasks = "hot?"\n')
    with pytest.raises(UsageError, match=r"\[stress\.boil\] has no script"):
        read_scenario(path)
    path.write_text(text.replace("limit_s", "limit"))
    with pytest.raises(UsageError, match=r"mine\.toml: \[matrix\] has an unknown key 'limit'"):
        read_scenario(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_scenario(tmp_path / "absent.toml")
