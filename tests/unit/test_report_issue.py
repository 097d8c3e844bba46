"""The issue of the nightly run, rendered from recorded results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest
from report_cells import HOSTILE, cell, run_of

from docsite.example import recorded_run
from gobun import matrix, paths, report
from gobun.report.issue import Issue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gobun.cells import Outcome, Result


@pytest.fixture(scope="module")
def recorded_matrix() -> matrix.Run:
    return recorded_run()


def with_expectations(
    run: matrix.Run, *outcomes: Outcome, where: Callable[[Result], bool]
) -> matrix.Run:
    """Return a run whose expectations were ``outcomes`` for some of its cells."""
    results = [
        msgspec.structs.replace(each, expected=outcomes, unexpected=each.outcome not in outcomes)
        if where(each)
        else each
        for each in run.results
    ]
    return msgspec.structs.replace(run, results=tuple(results))


def test_issue_all_as_expected_is_not_needed(recorded_matrix: matrix.Run) -> None:
    issue = report.issue_text(recorded_matrix)
    assert issue == Issue(
        False, "Nightly: all as expected", "Run of 2026-11-21: all as expected.\n"
    )


def test_issue_new_hang_and_new_pass_are_told_apart(recorded_matrix: matrix.Run) -> None:
    run = with_expectations(recorded_matrix, "pass", where=lambda row: row.version == "1.2.19")
    run = with_expectations(
        run, "hang", where=lambda row: (row.version, row.module) == ("1.4.5", "simple")
    )
    issue = report.issue_text(run)
    assert issue.is_needed
    assert issue.title == "Nightly: 18 broken, 18 cured on bun@1.2.19, bun@1.4.5"
    broken, _, cured = issue.body.partition("## Cured")
    assert "**hang, unexpected**: bun 1.2.19, stock, simple, setup-full: 18 cells" in broken
    assert "expected: pass" in broken
    assert "again: `invoke matrix --runtime bun --versions 1.2.19" in broken
    assert "**pass, unexpected**: bun 1.4.5, stock, simple: 9 cells" in cured
    assert "expected: hang" in cured
    assert len(issue.body) < 65_536


def test_issue_other_fault_and_own_failure_have_sections() -> None:
    results = (
        cell(outcome="crash", expected=("hang",), unexpected=True),
        cell(outcome="error", unexpected=True, stress="gc"),
        msgspec.structs.replace(
            cell(outcome="timeout", unexpected=True, stress="wasm"), kind="starved"
        ),
    )
    issue = report.issue_text(run_of(results))
    assert issue.title == "Nightly: 1 changed, 1 failed on bun@1.2.1"
    assert [line for line in issue.body.splitlines() if line.startswith("## ")][:2] == [
        "## Changed",
        "## Failed",
    ]
    assert "in 2 cells of 3" in issue.body


def test_issue_hostile_detail_stays_text() -> None:
    results = (cell(outcome="hang", unexpected=True, detail=HOSTILE * 50),)
    issue = report.issue_text(run_of(results))
    assert "<img" not in issue.body.replace("\\<img", "")
    assert len(issue.body) < 65_536


def test_issue_of_many_long_groups_fits() -> None:
    """Each group has another release and module, and a command that is long."""
    results = tuple(
        cell(
            f"1.2.{number}",
            outcome,
            module=f"/{'addon' * 200}/{number}.node",
            runtime=f"bun-{'x' * 200}",
            expected=("pass",) if outcome == "hang" else ("hang",),
            unexpected=True,
            detail=HOSTILE * 20,
            repro="invoke matrix --module " + "`name` " * 300,
        )
        for number in range(60)
        for outcome in ("hang", "pass", "crash", "error")
    )
    issue = report.issue_text(run_of(results))
    assert len(issue.title) <= 256
    assert len(issue.body) <= 65_536
    assert issue.body.count("more groups of cells") == 4
    assert issue.body.rstrip().endswith("\n\n</details>")


GH = """#!{python}
import json, os, sys
text = "" if sys.stdin.isatty() or "-" not in sys.argv else sys.stdin.read()
with open(os.environ["GH_LOG"], "a") as log:
    log.write(json.dumps([*sys.argv[1:], text]) + "\\n")
if sys.argv[1:3] == ["issue", "list"]:
    print(os.environ["GH_OPEN"])
"""
NOX = """#!/bin/sh
shift 3
exec {python} -m invoke --search-root {root} "$@"
"""


@pytest.mark.parametrize(
    ("unexpected", "open_issue", "called"),
    [
        (True, "", ["issue list", "label create", "issue create"]),
        (True, "7", ["issue list", "issue edit"]),
        (False, "7", ["issue list", "issue close"]),
        (False, "", ["issue list"]),
    ],
    ids=["opens", "updates", "closes", "nothing"],
)
def test_update_issue_keeps_one_issue(
    tmp_path: Path, unexpected: bool, open_issue: str, called: list[str]
) -> None:
    for name, text in (("bin/gh", GH), (".venv/bin/nox", NOX)):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text.format(python=sys.executable, root=paths.ROOT))
        path.chmod(0o755)
    (tmp_path / "ci").mkdir()
    script = shutil.copy(paths.ROOT / "ci" / "update-issue", tmp_path / "ci")
    results = (cell(outcome="hang" if unexpected else "pass", unexpected=unexpected),)
    with matrix.Writer(tmp_path / "results.jsonl", run_of(results).header) as writer:
        writer.add(results[0])
    log = tmp_path / "log"
    environment = {
        "GH_LOG": str(log),
        "GH_OPEN": open_issue,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
    }
    subprocess.run(
        ["sh", script, "results.jsonl"],
        cwd=tmp_path,
        env={**os.environ, **environment},
        check=True,
        timeout=60,
    )
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    assert [" ".join(call[:2]) for call in calls] == called
    if unexpected:
        assert "Nightly: 1 broken on bun@1.2.1" in calls[-1]
        assert "## Broken" in calls[-1][-1]
