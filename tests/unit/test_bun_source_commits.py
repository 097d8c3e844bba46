"""The table of commits grows from the output of executables. Existing rows never change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gobun.bun_source import BunCommit, read_commits, record_new_commits, shown_revision
from gobun.errors import FetchError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

OLD_COMMIT, NEW_COMMIT, OTHER_COMMIT = "1" * 40, "2" * 40, "3" * 40
TABLE = f"""\
# A comment that stays.

[release]
"1.2.9" = {{ commit = "{OLD_COMMIT}", tree = "{OTHER_COMMIT}" }}
"1.3.0" = {{ commit = "{OTHER_COMMIT}" }}
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "commits.toml"
    path.write_text(TABLE)
    return path


def bun(folder: Path, version: str, shown: str, message: str) -> Path:
    """Make an executable that prints a version and a revision as Bun does."""
    program = folder / f"bun-{version}"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --revision ] && echo {version}+{shown} || echo "{message}"\n'
    )
    program.chmod(0o755)
    return program


def test_commits_new_release_is_inserted_in_order(tmp_path: Path, table: Path) -> None:
    programs = {
        "1.2.10": bun(tmp_path, "1.2.10", NEW_COMMIT[:9], NEW_COMMIT),
        "1.2.9": bun(tmp_path, "1.2.9", OLD_COMMIT[:9], OLD_COMMIT),
    }
    assert record_new_commits(programs, table) == ["1.2.10"]
    assert list(read_commits(table)) == ["1.2.9", "1.2.10", "1.3.0"]
    assert read_commits(table)["1.2.10"] == BunCommit(NEW_COMMIT)
    assert read_commits(table)["1.2.9"] == BunCommit(OLD_COMMIT, OTHER_COMMIT)
    assert table.read_text().startswith("# A comment that stays.\n\n[release]\n")
    before = table.read_bytes()
    assert record_new_commits(programs, table) == []
    assert table.read_bytes() == before


def test_commits_changed_release_is_an_error(tmp_path: Path, table: Path) -> None:
    with pytest.raises(
        FetchError, match=f"is built from {NEW_COMMIT}, and commits.toml has {OTHER_COMMIT}"
    ):
        record_new_commits({"1.3.0": bun(tmp_path, "1.3.0", NEW_COMMIT[:9], NEW_COMMIT)}, table)
    assert table.read_text() == TABLE


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (NEW_COMMIT[:9], OLD_COMMIT),
        (NEW_COMMIT[:9], "Bun: a fast runtime"),
        ("nothing", NEW_COMMIT),
    ],
)
def test_commits_ambiguous_reference_is_rejected(
    tmp_path: Path, table: Path, shown: str, message: str
) -> None:
    with pytest.raises(FetchError, match=r"names no commit|which is not one full commit"):
        record_new_commits({"1.2.10": bun(tmp_path, "1.2.10", shown, message)}, table)
    assert table.read_text() == TABLE


def test_commits_old_release_records_its_full_id(tmp_path: Path, table: Path) -> None:
    program = bun(tmp_path, "1.0.0", NEW_COMMIT, "Bun: a fast runtime")
    assert shown_revision(program) == NEW_COMMIT
    assert record_new_commits({"1.0.0": program}, table) == ["1.0.0"]


def test_commits_malformed_table_is_rejected(table: Path) -> None:
    table.write_text(TABLE.replace(OLD_COMMIT, OLD_COMMIT[:-1]))
    with pytest.raises(UsageError, match="is not a release with a full commit id"):
        read_commits(table)
