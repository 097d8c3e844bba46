"""Updates of expectations from results: ranges, comments, reasons and idempotence."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import msgspec
import pytest
from sample_results import result_of

from gobun.cells import Cell, Result, attempts_of
from gobun.errors import UsageError
from gobun.expectations import (
    TODO_REASON,
    ExpectationRow,
    Expectations,
    Place,
    is_unexpected,
    known_releases,
    read_expectations,
    update_expectations,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gobun.cells import Load, Outcome
    from gobun.expectations import Update

KNOWN_VERSIONS = tuple(f"1.2.{patch}" for patch in range(10)) + tuple(
    f"1.3.{patch}" for patch in range(3)
)
PLACE = Place("linux", "x64")


def result(
    version: str,
    *outcomes: Outcome,
    stress: str = "idle",
    load: Load = "ffi",
    module: str = "simple",
    runtime: str = "bun",
) -> Result:
    return result_of(Cell(runtime, version, "stock", module, load, stress), *outcomes, expected=())


def update(folder: Path, results: Sequence[Result]) -> Update:
    range_update = update_expectations(
        results, folder, known_versions={"bun": KNOWN_VERSIONS}, place=PLACE
    )
    rows = msgspec.structs.replace(read_expectations(folder), place=PLACE)
    assert [
        (result.cell.name, rows.of(result.cell))
        for result in results
        if is_unexpected(rows.of(result.cell), set(attempts_of(result)) - {"error"})
    ] == []
    again = update_expectations(
        results, folder, known_versions={"bun": KNOWN_VERSIONS}, place=PLACE
    )
    assert again.diff == ""
    assert again.unexplained_rows == range_update.unexplained_rows
    return range_update


FILE = """\
# What is known.

# the storm
[[expect]]
runtime = "bun"  # only there
os = "linux"
versions = ">=1.2.2 <1.2.8" # measured
# both
modules = ["simple", "crypto"]
outcomes = ["hang"]
why = "C8: the storm"

# Other systems.

# never looked at
[[expect]]
os = "darwin"
outcomes = ["crash"]
why = "C1"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bun.toml").write_text(FILE)
    return tmp_path


def results_of(states: str, **more: str) -> list[Result]:
    """Return a result for every known version: ``.`` passes, ``h`` hangs, a space is not run."""
    words: Mapping[str, Outcome] = {".": "pass", "h": "hang", "c": "crash", "s": "skip"}
    return [
        result(version, words[state], **more)  # type: ignore[arg-type]
        for version, state in zip(KNOWN_VERSIONS, states, strict=True)
        if state != " "
    ]


def test_update_with_expected_results_changes_nothing(folder: Path) -> None:
    assert update(folder, results_of("..hhhhhh....."[:13])).diff == ""
    assert (folder / "bun.toml").read_text() == FILE


@pytest.mark.parametrize(
    ("states", "versions"),
    [
        (".hhhhhhh.....", ">=1.2.1 <=1.2.7"),
        ("hhhhhhhh.....", "<=1.2.7"),
        ("..hhhhhhhhhhh", ">=1.2.2"),
        ("...hhhhhh....", ">=1.2.3 <=1.2.8"),
        ("..hh.hhh.....", ">=1.2.2 <=1.2.3 || >=1.2.5 <=1.2.7"),
        ("   .         ", "1.2.2 || >=1.2.4 <=1.2.7"),
        ("          h  ", ">=1.2.2 <=1.3.0"),
        ("        .h.  ", ">=1.2.2 <=1.2.7 || 1.2.9"),
        ("......h......", "1.2.6"),
    ],
)
def test_update_range_follows_results_and_keeps_comments(
    folder: Path, states: str, versions: str
) -> None:
    range_update = update(folder, results_of(states))
    assert (folder / "bun.toml").read_text() == FILE.replace(">=1.2.2 <1.2.8", versions)
    assert range_update.unexplained_rows == ()
    assert '-versions = ">=1.2.2 <1.2.8" # measured\n' in range_update.diff
    assert f'+versions = "{versions}" # measured\n' in range_update.diff


def test_update_dry_run_shows_diff_without_writing(folder: Path) -> None:
    diff = update_expectations(
        results_of(".hhhhhhh....."),
        folder,
        known_versions={"bun": KNOWN_VERSIONS},
        place=PLACE,
        write=False,
    ).diff
    assert diff.startswith("--- a/bun.toml\n+++ b/bun.toml\n@@")
    assert (folder / "bun.toml").read_text() == FILE


def test_update_row_whose_cells_pass_is_removed(folder: Path) -> None:
    update(folder, results_of("." * 13))
    text = (folder / "bun.toml").read_text()
    assert text == FILE[: FILE.index("# the storm")] + FILE[FILE.index("# Other systems") :]


def test_update_differing_part_leaves_the_list(folder: Path) -> None:
    results = [*results_of("..hhhhhh....."), *results_of("." * 13, module="crypto")]
    update(folder, results)
    assert (folder / "bun.toml").read_text() == FILE.replace(
        'modules = ["simple", "crypto"]', 'modules = ["simple"]'
    )


def test_update_unexplained_outcome_gets_row_without_reason(folder: Path) -> None:
    loads: tuple[Load, ...] = ("ffi", "napi-sync")
    range_update = update(
        folder,
        [
            result
            for load in loads
            for stress in ("idle", "gc")
            for result in results_of(
                "c..hhhhh....c"[:13], module="setup-full", load=load, stress=stress
            )
        ],
    )
    added = [row for row in read_expectations(folder).rows if row.why == TODO_REASON]
    assert [(row.versions, row.outcomes) for row in added] == [
        ("<=1.2.0 || >=1.3.2", ("crash",)),
        (">=1.2.3 <=1.2.7", ("hang",)),
    ]
    for row in added:
        assert (row.runtime, row.os, row.arch) == ("bun", "linux", None)
        assert row.loads == loads
        assert row.stresses == ("idle", "gc")
        assert row.modules == ("setup-full",)
    assert [place.partition(": ")[2] for place in range_update.unexplained_rows] == [
        "row 3 of [[expect]]",
        "row 4 of [[expect]]",
    ]
    assert FILE in (folder / "bun.toml").read_text() + "\n"


@pytest.mark.parametrize(
    ("place", "selectors"),
    [
        (Place("linux", "x64", "glibc"), []),
        (Place("linux", "arm64", "glibc"), ['arch = "arm64"']),
        (Place("linux", "x64", "musl"), ['libc = "musl"']),
        (Place("linux", "arm64", "musl"), ['arch = "arm64"', 'libc = "musl"']),
    ],
)
def test_update_new_row_holds_for_its_place(
    tmp_path: Path, place: Place, selectors: list[str]
) -> None:
    known = {"bun": KNOWN_VERSIONS}
    update_expectations([result("1.2.3", "hang")], tmp_path, known_versions=known, place=place)
    lines = (tmp_path / "bun.toml").read_text().splitlines()
    assert [line for line in lines if line.startswith(("arch", "libc"))] == selectors
    general = msgspec.structs.replace(read_expectations(tmp_path), place=PLACE)
    cell = result("1.2.3", "hang").cell
    assert general.of(cell) == (("pass",) if selectors else ("hang",))


def test_update_differing_attempts_give_both_outcomes(tmp_path: Path) -> None:
    update(tmp_path, [result("1.2.3", "hang", "pass", "hang"), result("1.2.4", "pass", "pass")])
    (row,) = read_expectations(tmp_path).rows
    assert (set(row.outcomes), row.versions) == ({"hang", "pass"}, "1.2.3")


def test_update_ignores_skips_and_our_errors(folder: Path) -> None:
    assert update(folder, results_of("sssss        ")).diff == ""
    assert update(folder, [result("1.2.3", "error")]).diff == ""


def test_update_gap_between_equal_releases_is_filled(tmp_path: Path) -> None:
    update(tmp_path, results_of(". h    h . . "))
    (row,) = read_expectations(tmp_path).rows
    assert row.versions == ">=1.2.2 <=1.2.7"


def test_update_tested_canaries_bound_a_range(tmp_path: Path) -> None:
    canary = "1.2.7-canary.20250813.1"
    update(tmp_path, [*results_of("  hhhhhh....."), result(canary, "hang")])
    (row,) = read_expectations(tmp_path).rows
    assert row.versions == f">=1.2.2 <={canary}"


def test_update_row_without_runtime_gets_an_exception_row(tmp_path: Path) -> None:
    (tmp_path / "all.toml").write_text('[[expect]]\noutcomes = ["hang"]\nwhy = "C8"\n')
    update(tmp_path, [result("1.2.3", "pass"), result("24.0.0", "hang", runtime="node")])
    assert (tmp_path / "all.toml").read_text() == '[[expect]]\noutcomes = ["hang"]\nwhy = "C8"\n'
    (row,) = [row for row in read_expectations(tmp_path).rows if row.runtime]
    assert (row.outcomes, row.versions, row.why) == (("pass",), "1.2.3", TODO_REASON)


def test_update_exception_in_the_middle_gets_its_row(folder: Path) -> None:
    update(folder, [*results_of("..hhchhh....."), *results_of("..hhhhhh.....", stress="gc")])
    first, added = (row for row in read_expectations(folder).rows if row.os == "linux")
    assert first.versions == ">=1.2.2 <1.2.8"
    assert (added.versions, added.outcomes, added.stresses) == ("1.2.4", ("crash",), ("idle",))


def test_update_partial_gain_does_not_inherit_the_reason(folder: Path) -> None:
    update(folder, [*results_of("..hhhhhh....."), *results_of("..hhhhhh...hh", stress="gc")])
    assert FILE in (folder / "bun.toml").read_text()
    (added,) = [row for row in read_expectations(folder).rows if row.why == TODO_REASON]
    assert (added.versions, added.stresses, added.outcomes) == (">=1.3.1", ("gc",), ("hang",))


def test_update_several_runtimes_have_a_file_each(tmp_path: Path) -> None:
    update(tmp_path, [result("1.2.3", "hang"), result("24.1.0", "crash", runtime="node")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bun.toml", "node.toml"]
    assert 'outcomes = ["crash"]' in (tmp_path / "node.toml").read_text()
    assert "versions" not in (tmp_path / "node.toml").read_text()


def test_update_contradicting_rows_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "bun.toml").write_text(
        '[[expect]]\nmodules = ["simple"]\noutcomes = ["hang"]\nwhy = "C8"\n'
        '[[expect]]\nloads = ["ffi"]\noutcomes = ["crash"]\nwhy = "C1"\n'
    )
    with pytest.raises(UsageError, match=r"contradict .* row 1 .* and .* row 2"):
        update_expectations(
            [result("1.2.3", "hang")], tmp_path, known_versions={"bun": KNOWN_VERSIONS}, place=PLACE
        )


def test_update_inline_array_is_rejected_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "bun.toml").write_text('expect = [{outcomes = ["hang"], why = "C8"}]\n')
    with pytest.raises(UsageError, match=r"bun\.toml: not every row is a table"):
        update_expectations(
            [result("1.2.3", "pass")], tmp_path, known_versions={"bun": KNOWN_VERSIONS}, place=PLACE
        )


def test_update_knows_the_releases_in_the_lock_file() -> None:
    releases = known_releases()
    assert releases.index("1.2.9") < releases.index("1.2.10") < releases.index("1.3.0")
    assert not any("-" in version for version in releases)


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.slow
def test_update_on_random_results_fits_and_is_stable(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    modules, stresses = ("simple", "crypto"), ("idle", "gc")
    loads: tuple[Load, ...] = ("ffi", "worker")
    rows = []
    for number in range(chance.randint(0, 4)):
        low, high = sorted(chance.sample(range(len(KNOWN_VERSIONS)), 2))
        row = ExpectationRow(
            (chance.choice(["hang", "crash"]),),
            f"C{number + 1}",
            runtime="bun",
            versions=f">={KNOWN_VERSIONS[low]} <={KNOWN_VERSIONS[high]}"
            if chance.random() < 0.7
            else None,
            modules=(chance.choice(modules),) if chance.random() < 0.5 else None,
            stresses=(chance.choice(stresses),) if chance.random() < 0.5 else None,
        )
        rows.append(row)
    try:  # contradicting rows are rejected, as tested above
        for cell in all_cells(modules, loads, stresses):
            Expectations(tuple(rows), PLACE).of(cell)
    except UsageError:
        rows = rows[:1]
    text = "".join(
        f'# of {row.why}\n[[expect]]\nruntime = "bun"\n'
        + (f'versions = "{row.versions}"\n' if row.versions else "")
        + (f'modules = ["{row.modules[0]}"]\n' if row.modules else "")
        + (f'stresses = ["{row.stresses[0]}"]\n' if row.stresses else "")
        + f'outcomes = ["{row.outcomes[0]}"]\nwhy = "{row.why}"\n\n'
        for row in rows
    )
    (tmp_path / "bun.toml").write_text(text)
    results = []
    for cell in all_cells(modules, loads, stresses):
        if chance.random() < 0.6:
            kinds: list[Outcome] = chance.choices(["pass", "hang", "crash"], [6, 3, 1], k=2)
            outcomes = kinds if chance.random() < 0.1 else kinds[:1]
            results.append(
                result(
                    cell.version,
                    *outcomes,
                    stress=cell.stress,
                    load=cell.load,
                    module=cell.module,
                )
            )
    update(tmp_path, results)
    reasons = {row.why for row in read_expectations(tmp_path).rows}
    assert reasons <= {TODO_REASON, *(row.why for row in rows)}


def all_cells(modules: Sequence[str], loads: Sequence[Load], stresses: Sequence[str]) -> list[Cell]:
    return [
        Cell("bun", version, "stock", module, load, stress)
        for version, module, load, stress in itertools.product(
            KNOWN_VERSIONS, modules, loads, stresses
        )
    ]
