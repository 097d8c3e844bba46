"""Complete runs of several platforms are joined in one file and split again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from sample_results import result_of

from gobun import matrix, report
from gobun.analysis import platform_path, split_platforms
from gobun.analysis.merge import merge, merge_into
from gobun.analysis.platforms import names_of
from gobun.cells import Cell
from gobun.cells.records import Host, Platform
from gobun.errors import UsageError
from gobun.matrix.shard import shard, shard_header

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

X64 = Host("linux", "6.18.1", "Xeon", 2, "glibc 2.36", "x64")
ARM64 = Host(
    *("linux", "6.1.0-50-arm64", "max", 2, "glibc 2.36", "arm64"),
    machine="QEMU 7.2.22, emulated",
    emulated=True,
)
CELL = Cell("bun", "1.2.19", "stock", "simple", "ffi", "idle")
NEWER_CELL = msgspec.structs.replace(CELL, version="1.4.5")


def write_run(folder: Path, host: Host, cells: Sequence[Cell], **changes: object) -> Path:
    """Write the results of a whole plan on ``host``, with evidence of the first cell."""
    header = msgspec.structs.replace(matrix.new_header(cells), host=host, **changes)
    evidence = f"evidence/{cells[0].version}/output.txt"
    (folder / evidence).parent.mkdir(parents=True)
    (folder / evidence).write_text(host.arch)
    with matrix.Writer(folder / matrix.FILE_NAME, header) as writer:
        for cell in cells:
            names = (evidence,) if cell == cells[0] else ()
            writer.add(result_of(cell, "hang" if cell == CELL else "pass", evidence=names))
    return folder


@pytest.fixture
def two_platforms(tmp_path: Path) -> list[Path]:
    """Return the folders of two cells on x64, and of one of them on arm64."""
    return [
        write_run(tmp_path / "x64", X64, [CELL, NEWER_CELL]),
        write_run(tmp_path / "arm64", ARM64, [CELL]),
    ]


def test_merge_two_platforms_keeps_a_row_of_each(two_platforms: list[Path]) -> None:
    run = merge(two_platforms)

    assert [(row.platform, row.version) for row in run.results] == [
        *(("x64", "1.2.19"), ("x64", "1.4.5")),
        ("arm64", "1.2.19"),
    ]
    assert [row.host for row in run.results] == [X64, X64, ARM64]
    assert run.header.cells == 3
    assert run.header.hosts == (X64, ARM64)
    assert [(part.platform, part.cells) for part in run.header.joined] == [("x64", 2), ("arm64", 1)]
    assert merge(two_platforms[::-1]) == run


def test_merge_joined_file_again_is_the_same_run(two_platforms: list[Path], tmp_path: Path) -> None:
    run = merge_into(two_platforms, tmp_path / "out")

    assert matrix.read_results(tmp_path / "out") == run
    assert merge([tmp_path / "out"]) == run
    assert merge([tmp_path / "out", *two_platforms]).results == run.results


def test_merge_joined_file_keeps_the_evidence_of_each_platform(
    two_platforms: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = merge_into(two_platforms, out)

    copies = [out / name for row in run.results for name in row.evidence]
    assert [path.read_text() for path in copies] == ["x64", "arm64"]
    again = merge_into([out], tmp_path / "again")
    assert [row.evidence for row in again.results] == [row.evidence for row in run.results]
    assert all((tmp_path / "again" / name).is_file() for r in again.results for name in r.evidence)


def test_split_platforms_returns_the_runs_that_were_joined(two_platforms: list[Path]) -> None:
    x64, arm64 = split_platforms(merge(two_platforms))

    assert x64.header == matrix.read_results(two_platforms[0]).header
    assert arm64.header.host == ARM64
    assert [row.cell for row in arm64.results] == [CELL]
    assert split_platforms(arm64) == [arm64]


def test_merge_platforms_of_different_suites_is_rejected(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / "x64", X64, [CELL]),
        write_run(tmp_path / "arm64", ARM64, [CELL], suite="0.0.1"),
    ]
    with pytest.raises(UsageError, match=r"suite version .* and 0\.0\.1"):
        merge(folders)


def test_merge_platform_without_its_whole_plan_is_rejected(two_platforms: list[Path]) -> None:
    path = two_platforms[0] / matrix.FILE_NAME
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(UsageError, match="1 of the 2 cells of the plan are missing"):
        merge(two_platforms)


def test_merge_all_shards_of_two_platforms_are_joined(tmp_path: Path) -> None:
    cells, folders = [CELL, NEWER_CELL], []
    for host in (X64, ARM64):
        for number in (1, 2):
            header = msgspec.structs.replace(matrix.new_header(cells), host=host)
            folders.append(tmp_path / f"{host.arch}-{number}")
            part = shard_header(header, cells, number, 2)
            rows = [result_of(cell, "pass") for cell in shard(cells, number, 2)]
            with matrix.Writer(folders[-1] / matrix.FILE_NAME, part, rows):
                pass
    assert len(merge(folders).results) == 4
    with pytest.raises(UsageError, match=r"of the plan are missing .*shards 2/2 are missing"):
        merge(folders[:3])


@pytest.mark.parametrize(
    ("platforms", "names"),
    [
        ([Platform("", "linux", "x64", "glibc", "")], [""]),
        (
            [Platform("", "linux", "x64", "glibc", ""), Platform("", "linux", "x64", "musl", "")],
            ["glibc", "musl"],
        ),
        (
            [
                Platform("", "linux", "x64", "glibc", ""),
                Platform("QEMU", "linux", "arm64", "glibc", "6.1"),
                Platform("QEMU", "linux", "arm64", "glibc", "6.12"),
            ],
            ["x64", "arm64 6.1", "arm64 6.12"],
        ),
        (
            [
                Platform("", "linux", "x64", "glibc", ""),
                Platform("QEMU", "linux", "x64", "glibc", "6.1"),
            ],
            ["x64", "6.1"],
        ),
        (
            [Platform("", "linux", "", "", ""), Platform("", "linux", "arm64", "", "")],
            ["linux", "arm64"],
        ),
    ],
)
def test_platform_names_contain_only_differences(
    platforms: list[Platform], names: list[str]
) -> None:
    assert names_of(platforms) == names


def test_platform_path_is_a_folder_of_safe_characters() -> None:
    assert platform_path("evidence/a", "") == "evidence/a"
    assert platform_path("evidence/a", "arm64 6.1, x") == "arm64-6.1-x/evidence/a"
    assert platform_path("arm64/evidence/a", "arm64") == "arm64/evidence/a"


def test_reports_of_joined_run_show_each_platform(two_platforms: list[Path]) -> None:
    run = merge(two_platforms)

    markdown = report.render_markdown(run)
    assert "| x64 bun@1.2.19 | **hang 1/1** |" in markdown
    assert "| arm64 bun@1.2.19 | **hang 1/1** |" in markdown
    assert "x64: linux 6.18.1, x64, Xeon (2 cores), glibc 2.36; arm64: linux 6.1.0" in markdown
    junit = report.render_junit(run)
    assert 'testsuite name="arm64 bun@1.2.19"' in junit
    assert "QEMU 7.2.22, emulated" in junit
    page = report.render_html(run)
    assert '"platform":["arm64","x64"]' in page
    assert "<dt>Host arm64</dt><dd>linux 6.1.0-50-arm64, arm64, QEMU 7.2.22, emulated" in page
    assert "#stress=idle&amp;platform=arm64&amp;runtime=bun" in page


def test_reports_of_one_platform_do_not_name_it(two_platforms: list[Path]) -> None:
    run = matrix.read_results(two_platforms[1])
    assert "| bun@1.2.19 | **hang 1/1** |" in report.render_markdown(run)
    assert '"platform":[""]' in report.render_html(run)
