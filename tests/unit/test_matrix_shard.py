"""A plan is split among machines."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
from sample_results import result_of

from gobun import matrix
from gobun.cells import Cell, plan_hash
from gobun.errors import UsageError
from gobun.matrix.shard import (
    durations_of,
    parse_shard,
    plan_json,
    plan_parts,
    shard,
    shard_header,
    split_plan,
)

VERSIONS = ["1.0.36", "1.1.45", "1.2.2", "1.2.10", "1.2.19", "1.3.14"]
CELLS = [
    Cell("bun", version, "stock", module, "ffi", stress)
    for version in VERSIONS
    for module in ("control", "simple", "crypto")
    for stress in ("idle", "gc", "wasm")
]


def durations(seed: int = 1) -> dict[Cell, float]:
    chance = random.Random(seed)  # noqa: S311
    return {cell: chance.choice([300.0, 500.0, 1500.0, 4000.0]) for cell in CELLS}


@pytest.mark.parametrize("of", [1, 2, 3, 4, 7, len(CELLS)])
@pytest.mark.parametrize("measured", [{}, durations()])
def test_shards_are_disjoint_complete_and_in_plan_order(
    of: int, measured: dict[Cell, float]
) -> None:
    shards = [shard(CELLS, number, of, measured) for number in range(1, of + 1)]
    assert all(shards)
    assert sorted(cell for part in shards for cell in part) == sorted(CELLS)
    for part in shards:
        assert part == [cell for cell in CELLS if cell in set(part)]


@pytest.mark.parametrize("seed", range(20))
def test_shards_are_balanced_and_stable_under_reordering(seed: int) -> None:
    measured = durations(seed)
    shuffled = CELLS[:]
    random.Random(seed).shuffle(shuffled)  # noqa: S311
    parts = split_plan(CELLS, 4, measured)
    assert split_plan(shuffled, 4, dict(reversed(measured.items()))) == parts
    loads = [sum(measured[cell] for cell in part) for part in parts]
    mean = sum(loads) / 4
    assert max(loads) <= mean * 1.125 + max(measured.values())


def fetched(parts: list[list[Cell]]) -> list[int]:
    """Return the number of versions that each machine fetches."""
    return [len({(cell.runtime, cell.version) for cell in part}) for part in parts]


def plan_of(versions: int) -> list[Cell]:
    return [
        Cell("bun", f"1.0.{patch}", "stock", module, "ffi", stress)
        for patch in range(versions)
        for module in ("control", "simple", "crypto")
        for stress in ("idle", "gc", "wasm")
    ]


@pytest.mark.parametrize(
    ("versions", "of", "each"),
    [
        (64, 4, [16, 16, 16, 16]),
        (2, 2, [1, 1]),
        (4, 2, [2, 2]),
        (3, 2, [2, 2]),
        (9, 2, [5, 5]),
        (33, 2, [16, 17]),  # Half a version is less than the permitted excess length of a shard.
        (1, 3, [1, 1, 1]),
    ],
)
def test_shards_keep_a_version_together_where_possible(
    versions: int, of: int, each: list[int]
) -> None:
    assert fetched(split_plan(plan_of(versions), of)) == each


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("of", [2, 3, 5])
def test_shards_fetch_few_versions_twice(seed: int, of: int) -> None:
    parts = split_plan(CELLS, of, durations(seed))
    assert sum(fetched(parts)) <= len(VERSIONS) + of - 1


def test_shards_separate_neighbouring_cells() -> None:
    """Without known durations, cells that hang in many versions are spread over all shards."""
    parts = split_plan(plan_of(30), 3)
    hanging = {f"1.0.{patch}" for patch in range(10, 19)}
    assert [len({cell.version for cell in part} & hanging) for part in parts] == [3, 3, 3]


@pytest.mark.parametrize("of", [2, 5, 8])
def test_shards_with_one_dominant_cell_share_the_rest(of: int) -> None:
    cells = plan_of(2)[:10]
    for slow in cells:
        parts = split_plan(cells, of, {**dict.fromkeys(cells, 1.0), slow: 1e6})
        assert all(parts)
        assert sorted(cell for part in parts for cell in part) == sorted(cells)


def test_shards_estimate_a_slow_stress_for_new_versions() -> None:
    cells = [
        Cell("bun", version, "stock", "simple", "ffi", stress)
        for version in ("1.0.0", "1.0.1")
        for stress in ("idle", "long")
    ]
    measured = {cells[0]: 400.0, cells[1]: 60_000.0}
    parts = split_plan(cells, 2, measured)
    assert [[cell.stress for cell in part].count("long") for part in parts] == [1, 1]


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1.5/2"])
def test_shard_invalid_text_is_rejected(text: str) -> None:
    with pytest.raises(UsageError, match="is not a shard"):
        parse_shard(text)


def test_shards_cannot_outnumber_the_cells() -> None:
    assert parse_shard(" 2/4 ") == (2, 4)
    with pytest.raises(UsageError, match="2 cells cannot be split into 3 shards"):
        split_plan(CELLS[:2], 3)
    with pytest.raises(UsageError, match="into 0 shards"):
        plan_parts(CELLS, 0)


def test_shard_header_names_its_part_and_split() -> None:
    header = matrix.new_header(CELLS)
    first, second = (shard_header(header, CELLS, number, 2, durations()) for number in (1, 2))
    assert first.plan == header.plan == plan_hash(CELLS)
    assert first.shard is not None
    assert second.shard is not None
    assert (first.shard.name, second.shard.name) == ("1/2", "2/2")
    assert first.shard.split == second.shard.split
    assert first.shard.cells + second.shard.cells == len(CELLS) == first.cells
    other = shard_header(header, CELLS, 1, 2, {CELLS[0]: 90_000.0}).shard
    assert other is not None
    assert other.split != first.shard.split
    read = msgspec.json.decode(msgspec.json.encode(first), type=type(header))
    assert read.plan == header.plan


def test_shards_json_is_a_ci_matrix() -> None:
    node = [Cell("node", "24.19.0", "stock", "simple", "ffi", "idle")]
    include = json.loads(plan_json(plan_parts([*CELLS, *node], 3, durations())))["include"]
    assert [entry["shard"] for entry in include] == ["1/3", "2/3", "3/3"]
    assert sum(entry["cells"] for entry in include) == len(CELLS) + 1
    named = {version for entry in include for version in entry["versions"].split(",")}
    assert named == {*VERSIONS, "node@24.19.0"}
    assert sum("node" in entry["runtimes"] for entry in include) == 1
    assert all(entry["seconds"] > 0 for entry in include)


def test_shards_duration_counts_all_attempts() -> None:
    result = result_of(CELLS[0], "pass", wall_ms=300, attempts=3)
    assert durations_of([result]) == {CELLS[0]: 900.0}
