"""The complete Markdown page."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
from report_cells import many_results, run_of
from sample_results import result_of

from gobun import matrix, report
from gobun.cells import OUTCOMES, Cell, Outcome, Result
from gobun.cells.records import Header, Host, Shard
from gobun.report.markdown import LONGEST_SUMMARY
from gobun.treatments import TREATMENTS

if TYPE_CHECKING:
    import pytest

HEADER = Header(
    suite="0.1.0",
    started="2026-01-02T03:04:05+00:00",
    host=Host(os="linux", kernel="6.1", cpu="a processor", cores=2, libc="glibc 2.36"),
    tools={"zig": "0.17.0", "go": "1.27.3"},
    plan="0123456789abcdef",
    cells=5,
)
PASSED_RESULT = result_of(
    Cell("bun", "1.2.1", "stock", "control", "ffi", "idle"),
    "pass",
    repro="invoke matrix --versions 1.2.1",
)
HUNG_RESULT = msgspec.structs.replace(
    PASSED_RESULT,
    version="1.2.19",
    module="simple",
    outcome="hang",
    detail="livelock: SIGPWR",
    expected=("hang", "pass"),
    exit_code=None,
    evidence=("evidence/it/output.txt", "evidence/it/threads.txt"),
    repro="invoke matrix --versions 1.2.19",
)
UNEXPECTED_RESULT = msgspec.structs.replace(
    PASSED_RESULT, version="1.2.19", expected=("hang",), unexpected=True, stress="gc"
)

PAGE = """\
# Go native modules in every runtime

2026-01-02T03:04:05+00:00, linux 6.1, a processor (2 cores), glibc 2.36; go 1.27.3, zig 0.17.0; \
gobun 0.1.0.

4 cells: 2 pass, 2 hang, 1 not run; 1 unexpected.

| runtime | control<br>stock | simple<br>stock |
| --- | --- | --- |
| bun@1.2.1 | pass |  |
| bun@1.2.19 | pass | **hang 2/2** |

## First bad, first good

- `gc`: no bad version
- `idle`: hang on every version: bun, stock: simple

## What did not pass

- **pass, unexpected**: bun 1.2.19, stock, control: 1 cell: ffi/gc
  - expected: hang
  - again: `invoke matrix --versions 1.2.1`
- **hang**: bun 1.2.19, stock, simple: 2 cells: ffi/idle, napi-sync/idle
  - for one: livelock: SIGPWR
  - again: `invoke matrix --versions 1.2.19`

---

The part above is a summary that fits into an issue.

## Each group

### bun@1.2.19, stock, control: pass (unexpected)

- 1 cell: ffi/gc
- for one: passed, but was expected not to
- expected: hang
- again: `invoke matrix --versions 1.2.1`

### bun@1.2.19, stock, simple: hang

- 2 cells: ffi/idle, napi-sync/idle
- for one: livelock: SIGPWR
- expected: hang, pass
- again: `invoke matrix --versions 1.2.19`
- evidence: evidence/it/output.txt, evidence/it/threads.txt
"""


def page(*results: Result, cut: bool = False, cells: int = 5) -> str:
    header = msgspec.structs.replace(HEADER, cells=cells)
    return report.render_markdown(matrix.Run(header, results, is_cut=cut))


def test_markdown_page_is_complete() -> None:
    again = msgspec.structs.replace(HUNG_RESULT, load="napi-sync", detail="another")
    assert page(again, UNEXPECTED_RESULT, PASSED_RESULT, HUNG_RESULT) == PAGE


def test_markdown_group_names_kind_and_loaded_module() -> None:
    storm = msgspec.structs.replace(HUNG_RESULT, kind="livelock", mapped=True, go=True)
    text = page(storm)
    assert "- kind: livelock\n- module: mapped in the process, with a Go runtime in it\n" in text
    absent = msgspec.structs.replace(HUNG_RESULT, outcome="fail", kind="not-loaded")
    assert "- module: not seen mapped in the process\n" in page(absent)
    plain = msgspec.structs.replace(HUNG_RESULT, mapped=True)
    assert "- module: mapped in the process, without a Go runtime in it\n" in page(plain)


def test_markdown_all_passed_is_stated() -> None:
    text = page(PASSED_RESULT, cells=1)
    assert "1 cell: 1 pass; 0 unexpected." in text
    assert "What did not pass" not in text
    assert text.endswith("| bun@1.2.1 | pass |\n")


def test_markdown_empty_run_is_stated() -> None:
    assert "0 cells: none, 5 not run; 0 unexpected." in page()


def test_markdown_shard_is_not_an_incomplete_run() -> None:
    run = run_of([PASSED_RESULT])
    header = msgspec.structs.replace(run.header, cells=9, shard=Shard(2, 4, 3, "split"))
    text = report.render_markdown(msgspec.structs.replace(run, header=header))
    assert "1 cell of shard 2/4: 1 pass, 2 not run; 0 unexpected." in text


def test_markdown_truncated_file_is_reported() -> None:
    assert "The last line of the results was cut off" in page(PASSED_RESULT, cut=True)
    assert "cut off" not in page(PASSED_RESULT)


def test_markdown_skip_is_no_failure() -> None:
    skipped = msgspec.structs.replace(PASSED_RESULT, outcome="skip", detail="no ffi")
    assert "| bun@1.2.1 | skip 1/1 |" in page(skipped)


def test_markdown_multiline_detail_stays_in_its_item() -> None:
    broken = msgspec.structs.replace(PASSED_RESULT, outcome="error", detail="a\n  next: b\n# c")
    assert "- for one: a next: b \\# c\n" in page(broken)


def test_markdown_intermittent_cell_is_marked() -> None:
    outcomes: tuple[Outcome, ...] = ("pass", "hang", "pass", "hang", "pass")
    flaky = msgspec.structs.replace(HUNG_RESULT, outcomes=outcomes, attempts=5)
    text = page(flaky, msgspec.structs.replace(HUNG_RESULT, load="napi-sync"), PASSED_RESULT)
    assert "; 0 unexpected, 1 intermittent." in text
    assert "| **hang 1, ~hang 1** |" in text
    assert "- `bun@1.2.19/stock/simple/ffi/idle`: hang 2/5, pass 3/5\n" in text
    assert "- intermittent: ffi/idle hang 2/5, pass 3/5\n" in text


def test_markdown_summary_is_short_for_any_run() -> None:
    chance = random.Random(3)  # noqa: S311 - not a secret
    noisy = [
        msgspec.structs.replace(result, outcome=outcome, unexpected=outcome != "pass")
        for result in many_results()
        for outcome in [chance.choice(OUTCOMES)]
    ]
    run = run_of(noisy)
    summary = report.render_summary(run)
    assert len(summary) <= LONGEST_SUMMARY
    assert "more rows and every other table are in report.md." in summary
    assert "## What did not pass" in summary
    assert "\n- `idle`: " in summary
    assert summary.endswith("more\n")
    whole = report.render_markdown(run)
    assert whole.startswith(summary)
    assert "## Every version" in whole


def test_markdown_summary_with_room_has_whole_tables() -> None:
    results = many_results(2000)
    small = [result for result in results if result.treatment == "stock"]
    text = report.render_summary(run_of(small))
    assert "report.md" not in text
    assert "Every version" not in report.render_markdown(run_of(small))


def test_markdown_text_from_cells_is_escaped() -> None:
    wild = msgspec.structs.replace(
        HUNG_RESULT,
        detail="<img src=x> **a** `b` | [c](d) #1",
        repro="echo `a` ``b``",
        module="a|b",
    )
    text = page(wild)
    assert r"\<img src=x\> \*\*a\*\* \`b\` \| \[c\](d) \#1" in text
    assert "``` echo `a` ``b`` ```" in text
    assert r"| runtime | a\|b<br>stock |" in text


def test_markdown_many_columns_become_tables_per_treatment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    treatments = [name for name in TREATMENTS if not name.startswith("preload:")]
    modules = ("control", "simple", "crypto")
    results = [
        msgspec.structs.replace(PASSED_RESULT, treatment=treatment, module=module)
        for treatment in treatments
        for module in modules
    ]
    run = run_of(results)
    assert report.render_markdown(run).count("| runtime | control<br>") == len(treatments)
    report.print_report(run)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 60
    assert sum("control" in line for line in lines) == len(treatments)


def test_markdown_equal_versions_share_a_row() -> None:
    versions = [f"1.0.{patch}" for patch in range(20)]
    results = [msgspec.structs.replace(PASSED_RESULT, version=version) for version in versions]
    text = page(*results, HUNG_RESULT)
    assert "| bun@1.0.0 … 1.0.19 (20) | pass |  |\n| bun@1.2.19 |" in text


def test_terminal_names_intermittent_cells(capsys: pytest.CaptureFixture[str]) -> None:
    report.print_report(run_of(many_results()))
    output = capsys.readouterr().out
    assert "intermittent: bun@1.2.2/stock/" in output
    assert ": hang 2/3, pass 1/3" in output
    assert "more; the report has all" in output


def test_terminal_agrees_with_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    report.print_report(matrix.Run(HEADER, (PASSED_RESULT, HUNG_RESULT, UNEXPECTED_RESULT)))
    output = capsys.readouterr().out
    assert "3 cells: 2 pass, 1 hang, 2 not run; 1 unexpected." in output
    assert "hang 1/1" in output
    assert "unexpected: bun@1.2.19/stock/control/ffi/gc: pass, expected hang" in output
    assert "bun@1.2.19/stock/simple" not in output
