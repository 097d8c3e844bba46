"""Runs beside stock, their expectations, and the table of differences."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from sample_results import result_of

from gobun import bun_source, matrix, patched, pipeline, report, runtimes
from gobun.bun_source import Change, Patch, Series
from gobun.cells import Cell, Result, read_scenario
from gobun.errors import PrerequisiteError, UsageError
from gobun.expectations import ExpectationRow, Expectations, Place, read_expectations
from gobun.patched import compare
from gobun.patched.compare import PatchedExpectations
from gobun.report.difference import KINDS, Difference, difference_lines, differences
from gobun.runtimes import Bun, Deno, LacksError, RegisteredBun, treated_environment
from gobun.targets import host_target

CHANGE = Change(was=("hang",), outcomes=("pass",), stresses=("idle",))
FIRST_PATCH = Patch("first", "C11", "First", ("f",), "not proposed", changes=(CHANGE,))
SECOND_PATCH = Patch(
    "second", "C12", "Second", ("f",), "not proposed", emulation="no such treatment"
)
SERIES = Series(Path("v1.2.19"), "1.2.19", "a line", (FIRST_PATCH, SECOND_PATCH))
STOCK = Cell("bun", "1.2.19", "stock", "simple", "ffi", "idle")
PATCHED_CELL = msgspec.structs.replace(STOCK, version="1.2.19+patched", treatment="patched")


def registered_bun(tmp_path: Path, **changes: object) -> RegisteredBun:
    record = RegisteredBun(
        version="1.2.19",
        line="v1.2.19",
        identity="0123456789abcdef",
        commit="c" * 40,
        patches=("first", "second"),
        whole=True,
        target=host_target().name,
        registered="2026-01-01",
    )
    record = msgspec.structs.replace(record, **changes)
    record.folder.mkdir(parents=True)
    record.program.touch()
    (record.folder / "record.json").write_bytes(msgspec.json.encode(record))
    return record


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path))
    monkeypatch.setattr("gobun.bun_source.identity_of", lambda *_: "0123456789abcdef")
    return tmp_path


def test_compare_without_builds_gives_a_hint() -> None:
    for series in ([SERIES], []):
        with pytest.raises(PrerequisiteError, match="no patched Bun is registered") as caught:
            patched.runs_of_series(series, ablate=True)
        assert "invoke build-bun --series v1.2.19" in str(caught.value)


def test_registered_as_without_builds_gives_a_hint() -> None:
    with pytest.raises(UsageError, match="none is registered") as caught:
        runtimes.registered_as(["1.0.4+patched"])
    assert "invoke build-bun" in str(caught.value)


def test_compare_built_bun_runs_beside_stock(tmp_path: Path) -> None:
    whole = registered_bun(tmp_path)
    part = registered_bun(tmp_path, identity="fedcba9876543210", patches=("first",), whole=False)
    registered_bun(tmp_path, identity="1" * 16, target="another-machine")
    (line,) = patched.runs_of_series([SERIES], ablate=False)
    assert line.runs() == [("1.2.19", "stock"), ("1.2.19+patched", "patched")]
    (line,) = patched.runs_of_series([SERIES], ablate=True)
    assert line.builds == (whole, part)
    assert line.runs()[2] == ("1.2.19+patched.fedcba98", "patched")
    assert patched.runs_of_series([SERIES, SERIES], ablate=True) == [line]


@pytest.mark.parametrize(
    "flags", [{"runtimes": ("node",)}, {"versions": "1.2.19"}, {"treatments": ("guard",)}]
)
def test_compare_flags_cannot_override_the_series(flags: dict[str, object]) -> None:
    request = msgspec.structs.replace(pipeline.Request(), **flags)
    with pytest.raises(UsageError, match="the series decide which"):
        patched.run_beside_stock(request, [SERIES], ablate=False)


def test_compare_newest_complete_build_has_plain_name(tmp_path: Path) -> None:
    registered_bun(tmp_path)
    registered_bun(tmp_path, identity="a" * 16, registered="2026-02-01")
    assert [build.label for build in runtimes.registered_buns()] == [
        "1.2.19+patched",
        "1.2.19+patched.01234567",
    ]


def test_compare_damaged_record_is_skipped(tmp_path: Path) -> None:
    good = registered_bun(tmp_path)
    registered_bun(tmp_path, version="1.2")
    path = registered_bun(tmp_path, identity="f" * 16).folder / "record.json"
    path.write_bytes(path.read_bytes()[:40])
    assert runtimes.registered_buns() == [good]


def test_compare_build_of_other_series_state_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registered_bun(tmp_path, identity="a" * 16)
    patched.runs_of_series([SERIES], ablate=False)
    assert "bun@1.2.19+patched was built from another state of v1.2.19" in capsys.readouterr().err


def test_compare_without_builds_runs_emulations() -> None:
    names = ("preload:suspend", "", "preload:stack8m", "preload:stack8m", "preload:gone")
    patches = tuple(
        msgspec.structs.replace(FIRST_PATCH, id=f"p{at}", emulation=name)
        for at, name in enumerate(names)
    )
    series = msgspec.structs.replace(SERIES, patches=patches)
    both, suspend, stack = "preload:stack8m+suspend", "preload:suspend", "preload:stack8m"
    assert patched.emulations_of(series, ablate=False) == (both,)
    assert patched.emulations_of(series, ablate=True) == (both, suspend, stack)
    (line,) = patched.runs_of_series([series], ablate=False)
    assert line.runs() == [("1.2.19", "stock"), ("1.2.19", both)]
    shortened = msgspec.structs.replace(SERIES, patches=patches[:1])
    assert patched.emulations_of(shortened, ablate=True) == (suspend,)


def test_compare_patched_cells_expect_the_series_changes() -> None:
    row = ExpectationRow(outcomes=("hang",), why="known", runtime="bun")
    expectations = PatchedExpectations((row,), changes=(("1.2.19+patched", FIRST_PATCH, CHANGE),))
    assert expectations.of(STOCK) == ("hang",)
    assert expectations.of(PATCHED_CELL) == ("pass",)
    assert expectations.reason_for(PATCHED_CELL) == "first: C11"
    for other in ({"stress": "wasm"}, {"version": "1.2.19+patched.01234567"}):
        assert expectations.of(msgspec.structs.replace(PATCHED_CELL, **other)) == ("hang",)


def test_matrix_of_a_named_build_expects_the_series_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gobun.bun_source.series_named", {"v1.2.19": SERIES}.__getitem__)
    registered_bun(tmp_path)
    expectations = Expectations((ExpectationRow(outcomes=("hang",), why="known", runtime="bun"),))
    named = patched.with_series_changes(expectations, f"1.2.19, bun@{PATCHED_CELL.version}")
    assert named.of(PATCHED_CELL) == ("pass",)
    assert named.of(STOCK) == ("hang",)
    assert patched.with_series_changes(expectations, "1.2.19").of(PATCHED_CELL) == ("hang",)


@pytest.mark.parametrize(
    ("selector", "label"), [("beside", "1.2.19+patched"), ("without", "1.2.19+patched.ffffffff")]
)
def test_compare_change_depends_on_other_patches(tmp_path: Path, selector: str, label: str) -> None:
    change = msgspec.structs.replace(CHANGE, **{selector: ("second",)})
    first = msgspec.structs.replace(FIRST_PATCH, changes=(change,))
    series = msgspec.structs.replace(SERIES, patches=(first, SECOND_PATCH))
    whole = registered_bun(tmp_path)
    alone = registered_bun(tmp_path, identity="f" * 16, patches=("first",), whole=False)
    line = patched.SeriesRuns(series, (whole, alone))
    assert compare.changes_of([line]) == ((label, first, change),)


def test_compare_change_outside_default_stresses_is_run() -> None:
    changes = tuple(
        msgspec.structs.replace(CHANGE, stresses=stresses)
        for stresses in (("idle", "gc"), ("recover",), None)
    )
    patch = msgspec.structs.replace(FIRST_PATCH, changes=changes)
    line = patched.SeriesRuns(msgspec.structs.replace(SERIES, patches=(patch,)))
    assert compare.stresses_of(("idle", "wasm"), [line]) == ("idle", "wasm", "recover")


def test_compare_series_name_every_cell_emulations_cure() -> None:
    expectations = read_expectations(place=Place("linux", "x64", "glibc"))
    for series in map(bun_source.series_named, bun_source.lines()):
        for patch in series.bun_patches:
            ends = {
                stress: [
                    expectations.of(msgspec.structs.replace(STOCK, **changes, stress=stress))
                    for changes in (
                        {"version": series.version},
                        {"version": series.version, "treatment": patch.emulation or "stock"},
                    )
                ]
                for stress in read_scenario().stress
            }
            cured = {stress for stress, pair in ends.items() if pair == [("hang",), ("pass",)]}
            changes = {
                stress
                for change in patch.changes
                if change.outcomes == ("pass",) and not change.beside
                if STOCK.module in (change.modules or (STOCK.module,))
                for stress in change.stresses or ()
            }
            assert changes <= cured, f"{patch.id} of {series.line}"
            # Skipped there: the one asks for other modules, the other for a newer release. No
            # patched release was run under the others, and no patch shares a signal with Go.
            not_run = {"cobhan", "cpu-prof", "notify", "profiled", "vm-timeout"}
            assert cured - changes <= not_run, f"{patch.id} of {series.line}"


def test_patched_bun_accepts_only_fitting_treatments() -> None:
    stock, patched = Bun("1.2.19", Path("x")), Bun("1.2.19+patched", Path("x"))
    assert treated_environment(stock, "stock") == treated_environment(patched, "patched") == {}
    with pytest.raises(LacksError, match="not patched"):
        treated_environment(stock, "patched")
    with pytest.raises(LacksError, match="its treatment is `patched`"):
        treated_environment(patched, "stock")
    assert treated_environment(patched, "warmup") == treated_environment(stock, "warmup")
    with pytest.raises(LacksError, match="not patched"):
        treated_environment(Deno("2.9.8", Path("x")), "patched")


def test_compare_patched_versions_are_selected_by_name(tmp_path: Path) -> None:
    record = registered_bun(tmp_path, warmup_variable="BUN_GO_WARMUP")
    assert runtimes.choose_bun("1.2.19+patched", host_target()) == ("1.2.19+patched",)
    (bun,) = runtimes.provide_bun(["1.2.19+patched"], host_target())
    assert (bun.program, bun.warmup_variable) == (record.program, "BUN_GO_WARMUP")
    with pytest.raises(UsageError, match=re.escape("unknown patched Bun '1.3.14+patched'")):
        runtimes.choose_bun("1.2.19,1.3.14+patched", host_target())


def run_of(*results: Result) -> matrix.Run:
    header = matrix.new_header([result.cell for result in results])
    patched = {"bun@1.2.19+patched": "v1.2.19, first, second"}
    return matrix.Run(msgspec.structs.replace(header, patched=patched), results)


def stock_and_patched(stress: str, before: str, after: str) -> list[Result]:
    """Return a cell's results in stock and patched. Several outcomes are several attempts."""
    return [
        result_of(msgspec.structs.replace(cell, stress=stress), *outcomes.split())  # type: ignore[arg-type]
        for cell, outcomes in ((STOCK, before), (PATCHED_CELL, after))
    ]


def test_compare_differences_count_every_attempt() -> None:
    run = run_of(
        *stock_and_patched("a", "hang", "pass"),
        *stock_and_patched("b", "hang pass", "pass"),
        *stock_and_patched("c", "pass", "hang pass"),
        *stock_and_patched("d", "hang", "crash"),
        *stock_and_patched("e", "hang hang", "hang"),
        *stock_and_patched("f", "pass", "pass"),
        *stock_and_patched("g", "skip", "pass"),
        *stock_and_patched("h", "hang", "error"),
        result_of(PATCHED_CELL, "pass"),
    )
    (difference,) = differences(run)
    assert [len(difference.of(kind)) for kind in KINDS] == [2, 1, 1, 2, 3]
    text = "\n".join(difference_lines([difference]))
    assert "| bun@1.2.19+patched (v1.2.19, first, second) | 2 | 1 | 1 | 2 | 3 |" in text
    assert "- `simple/ffi/b`: hang/pass → pass" in text
    assert text.index("Broken by") < text.index("Changed by") < text.index("Cured by")


def test_compare_emulation_is_labelled() -> None:
    difference = Difference("bun@1.2.19", "preload:suspend", "first", ())
    assert difference.name == (
        "bun@1.2.19 stock + preload:suspend (emulates first at load time, nothing is built)"
    )


def test_compare_emulations_need_a_note_in_the_run() -> None:
    """A difference that another treatment makes is not an effect of the patches."""
    stock = result_of(STOCK, "hang")
    guarded = result_of(msgspec.structs.replace(PATCHED_CELL, treatment="guard"), "pass")
    assert differences(run_of(stock, guarded)) == ()
    warm = result_of(msgspec.structs.replace(STOCK, treatment="warmup"), "pass")
    run = run_of(stock, warm)
    assert differences(run) == ()
    patched = {report.emulation_note("bun@1.2.19", "warmup"): "first"}
    header = msgspec.structs.replace(run.header, patched=patched)
    (difference,) = differences(msgspec.structs.replace(run, header=header))
    assert (difference.patches, len(difference.of("cured"))) == ("first", 1)


def test_compare_without_stock_has_no_difference() -> None:
    assert differences(run_of(result_of(PATCHED_CELL, "pass"))) == ()
    assert difference_lines(()) == []


def test_compare_difference_is_the_first_table() -> None:
    page = report.render_markdown(run_of(*stock_and_patched("idle", "hang", "pass")))
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert tables[0].startswith("| patched | cured | broken")
    assert "What the patches change" not in report.render_markdown(run_of(result_of(STOCK, "pass")))
