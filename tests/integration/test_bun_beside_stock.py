"""A patched Bun and stock in one run of real cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import bun_source, matrix, patched, pipeline, runtimes
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

VERSION, NEWER_VERSION = "1.2.19", "1.4.5"
SERIES = f"""\
version = "{VERSION}"
about = "One patch"

[[patch]]
id = "stand-in"
title = "Behave as {NEWER_VERSION}"
why = "the fix is in that release"
files = ["f"]
upstream = "not proposed"

[[patch.changes]]
stresses = ["idle"]
was = ["hang"]
outcomes = ["pass"]
"""


def test_registered_bun_runs_beside_stock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / f"v{VERSION}"
    folder.mkdir()
    (folder / "series.toml").write_text(SERIES)
    (folder / "stand-in.patch").write_text(f"of {tmp_path}\n")  # an identity of its own
    series = bun_source.read_series(folder)
    (newer,) = runtimes.provide_bun([NEWER_VERSION], host_target())
    program = tmp_path / "bun"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --revision ] && echo {VERSION}+0123456 && exit\n'
        f'exec "{newer.program}" "$@"\n'
    )
    program.chmod(0o755)
    record = patched.register(program, series, series.bun_patches)
    out = tmp_path / "report"
    request = pipeline.Request(
        modules=("simple",), loads=("napi-sync",), stresses=("idle",), out=out
    )
    try:
        patched.run_beside_stock(request, [series], ablate=False)
    finally:
        for path in record.folder.iterdir():
            path.unlink()
        record.folder.rmdir()
    ends = {
        (result.version, result.treatment): result.outcome
        for result in matrix.read_results(out / matrix.FILE_NAME).results
    }
    assert ends == {(VERSION, "stock"): "hang", (record.label, "patched"): "pass"}
    assert "cured" in capsys.readouterr().out
    assert '<table id="difference"' in (out / "report.html").read_text()
    page = (out / "report.md").read_text()
    assert f"| bun@{record.label} (v{VERSION}, stand-in, {record.identity}) | 1 | 0 |" in page
