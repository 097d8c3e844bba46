"""The form of a series, its lint, and its rewriting."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gobun import paths
from gobun.bun_source import (
    KnownNames,
    commit_of_release,
    lines,
    lint_series,
    read_commits,
    read_series,
    series_named,
    tree_identity,
)
from gobun.bun_source.export import SeriesCommit
from gobun.bun_source.series_toml import rewritten
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

KNOWN_NAMES = KnownNames(
    ["C11"], ["preload:stack8m"], ["simple"], ["ffi"], ["idle"], ["hang", "pass"]
)
PATCH = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-one\n+two\n"
TEXT = """\
version = "1.2.3"
about = "A line"

# Why this one is first.
[[patch]]
id = "first"
title = "Do a thing"   # a remark
why = "C11: a reason"
files = ["f"]
upstream = "not proposed"
emulation = "preload:stack8m"

[[patch.changes]]
modules = ["simple"]
was = ["hang"]
outcomes = ["pass"]

[[patch]]
id = "proper"
title = "The proper fix"
why = "a fact"
files = ["f"]
upstream = "not proposed"
tree = "webkit"

[[without]]
id = "other"
why = "upstream has it"
since = "1.2.2"
"""


def write_series(root: Path, text: str = TEXT, line: str = "v1.2.3", **patches: str) -> Path:
    folder = root / line
    folder.mkdir(parents=True)
    (folder / "series.toml").write_text(text)
    for name, content in (
        {"first": PATCH, "proper": PATCH.replace("two", "three")} | patches
    ).items():
        (folder / f"{name}.patch").write_text(content)
    return folder


def test_series_file_is_read(tmp_path: Path) -> None:
    write_series(tmp_path)
    write_series(tmp_path, line="v1.10.0")
    assert lines(tmp_path) == ["v1.2.3", "v1.10.0"]
    series = series_named("1.2.3", tmp_path)
    assert [patch.id for patch in series.patches] == ["first", "proper"]
    assert [patch.id for patch in series.bun_patches] == ["first"]
    assert series.patches[0].changes[0].outcomes == ("pass",)
    assert series.select_patches(only=("first",)) == series.bun_patches
    assert series.select_patches(without=("first",)) == ()


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ('emulation = "preload:stack8m"', "emulate = 1", "emulate"),
        ('id = "first"', 'id = "First one"', "is not an id"),
        ('id = "proper"', 'id = "first"', "used twice"),
        ('id = "other"', 'id = "first"', "used twice"),
        ('version = "1.2.3"', 'version = "1.2"', "not a release"),
        ('upstream = "not proposed"', 'upstream = "perhaps"', r"upstream of row 1 of .*'perhaps'"),
    ],
)
def test_series_malformed_file_is_rejected(tmp_path: Path, old: str, new: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        read_series(write_series(tmp_path, TEXT.replace(old, new)))


def test_series_invalid_pattern_is_rejected_before_compiling(tmp_path: Path) -> None:
    compiled = """[[patch.compiled]]
functions = 'pool\\.wake'
through = '.*'
calls = "spawn"
holds = 2
was = 1

[[without]]"""
    text = TEXT.replace('tree = "webkit"\n', "").replace("[[without]]", compiled)
    series = read_series(write_series(tmp_path / "good", text))
    assert [each.functions for each in series.patches[1].compiled] == [r"pool\.wake"]
    wrong = write_series(tmp_path / "wrong", text.replace("'.*'", "'*'"))
    with pytest.raises(UsageError, match=r"proper: '\*' is not a regular expression"):
        read_series(wrong)


def test_series_unknown_names_are_rejected(tmp_path: Path) -> None:
    series = read_series(write_series(tmp_path))
    with pytest.raises(UsageError, match="unknown series 'v9'"):
        series_named("v9", tmp_path)
    for name in ("frist", "proper"):
        with pytest.raises(UsageError, match=f"unknown patch of the series v1.2.3 '{name}'"):
            series.select_patches(only=(name,))
        with pytest.raises(UsageError, match="unknown patch"):
            series.select_patches(without=(name,))


def lint(root: Path) -> list[str]:
    return lint_series([read_series(root / line) for line in lines(root)], KNOWN_NAMES)


def test_series_lint_correct_series_has_no_findings(tmp_path: Path) -> None:
    write_series(tmp_path, TEXT.replace('id = "other"', 'id = "more"'))
    more = TEXT.replace('id = "first"', 'id = "more"').replace('id = "other"', 'id = "first"')
    folder = write_series(tmp_path, more, "v2.0.0", more=PATCH)
    (folder / "first.patch").unlink()
    assert lint(tmp_path) == []


def test_series_lint_unlisted_patch_is_found(tmp_path: Path) -> None:
    write_series(tmp_path)
    (tmp_path / "v9").mkdir()
    (tmp_path / "v9" / "first.patch").write_text(PATCH)
    assert f"{tmp_path / 'v9'}: is not a series" in lint(tmp_path)


@pytest.mark.parametrize(
    ("text", "patches", "wrong"),
    [
        (TEXT, {"stray": PATCH}, "stray.patch: is no patch of the series"),
        (TEXT, {"proper": PATCH}, "proper.patch: is the same as first"),
        (TEXT.replace("C11: a reason", "TODO: reason"), {}, "first needs a reason"),
        (TEXT.replace("C11: a reason", " "), {}, "first needs a reason"),
        (TEXT.replace("C11", "C99"), {}, "speaks of C99"),
        (TEXT, {"first": PATCH + PATCH}, "first.patch: touches f twice"),
        (TEXT, {"first": PATCH.replace("+two", "+two ")}, "an added line ends in blanks: 'two'"),
        (TEXT, {"first": PATCH.replace("/f", "/g")}, "touches g, and series.toml says otherwise"),
        (TEXT, {"first": ""}, "first.patch: is empty"),
        (TEXT, {"first": "garbage"}, "is not a patch"),
        (TEXT.replace("preload:stack8m", "magic"), {}, "emulation = 'magic' is no treatment"),
        (TEXT.replace('["simple"]', '["simpel"]'), {}, "'simpel', which is not among the modules"),
        (TEXT.replace('["pass"]', '["hang"]'), {}, "changes that change nothing"),
        (TEXT.replace('["pass"]', '["passes"]'), {}, "'passes', which is no outcome"),
        (TEXT.replace("Do a thing", "Do a thing."), {}, "the title is one line"),
        (TEXT.replace('"not proposed"', '"proposed"', 1), {}, "upstream_note does not say where"),
        (TEXT, {}, r"\[\[without\]\] other is not a patch of any line"),
        (
            TEXT.replace("emulation =", 'warmup_variable = "WARMUP"\nemulation ='),
            {},
            "first.patch: does not read WARMUP, its warmup_variable",
        ),
        (
            TEXT.replace('["pass"]', '["pass"]\nbeside = ["first"]'),
            {},
            "changes name 'first' beside or without, which is no other patch",
        ),
        (
            TEXT.replace('["pass"]', '["pass"]\nwithout = ["gone"]'),
            {},
            "changes name 'gone' beside or without, which is no other patch",
        ),
        (
            TEXT.replace('["pass"]', '["pass"]\nbeside = ["first"]\nwithout = ["first"]'),
            {},
            "changes name 'first' beside and without, so they never happen",
        ),
    ],
)
def test_series_lint_finds_each_fault(
    tmp_path: Path, text: str, patches: dict[str, str], wrong: str
) -> None:
    write_series(tmp_path, text, **patches)
    report = "\n".join(lint(tmp_path))
    assert re.search(wrong, report), report


def test_series_lint_patch_without_mention_is_found(tmp_path: Path) -> None:
    write_series(tmp_path, TEXT.partition("[[without]]")[0])
    bare = TEXT.partition("# Why")[0]
    folder = write_series(tmp_path, bare, "v2.0.0")
    for path in folder.glob("*.patch"):
        path.unlink()
    problems = lint(tmp_path)
    assert [problem.partition(", which")[0].partition(": ")[2] for problem in problems] == [
        "has no entry for first",
        "has no entry for proper",
    ]


def test_series_lint_missing_patch_file_is_found(tmp_path: Path) -> None:
    (write_series(tmp_path) / "first.patch").unlink()
    assert "patch 'first' has no readable file first.patch" in "\n".join(lint(tmp_path))


FIRST_COMMIT = SeriesCommit("first", "Do a thing", "C11: a reason", b"", ("f",))
NEW_COMMIT = SeriesCommit("new", "Do more", 'it is "so"\nand so', b"", ("g", "h"))


def test_series_unchanged_is_written_byte_for_byte() -> None:
    assert rewritten(TEXT, "1.2.3", [FIRST_COMMIT]) == TEXT


def test_series_write_changes_only_what_changed() -> None:
    text = rewritten(
        TEXT, "1.2.3", [NEW_COMMIT, SeriesCommit("first", "Other", "C11: a reason", b"", ("f",))]
    )
    assert text.index('id = "new"') < text.index("# Why this one is first.\n[[patch]]")
    assert text.index('title = "Other"   # a remark') < text.index('id = "proper"')
    assert 'emulation = "preload:stack8m"' in text
    assert text.endswith(TEXT[TEXT.index("[[without]]") :])
    assert rewritten(
        text, "1.2.3", [NEW_COMMIT, SeriesCommit("first", "Other", "C11: a reason", b"", ("f",))]
    )


def test_series_blanks_around_a_reason_are_no_change() -> None:
    text = TEXT.replace('why = "C11: a reason"', 'why = """\nC11: a reason\n"""')
    assert rewritten(text, "1.2.3", [FIRST_COMMIT]) == text


def test_series_added_patch_replaces_its_absence_note(tmp_path: Path) -> None:
    other = SeriesCommit("other", "Carried now", "a fact", b"", ("f",))
    series = read_series(write_series(tmp_path, rewritten(TEXT, "1.2.3", [FIRST_COMMIT, other])))
    assert [patch.id for patch in series.patches] == ["first", "other", "proper"]
    assert series.without == ()


def test_series_removed_patch_takes_its_comment() -> None:
    text = rewritten(TEXT, "1.2.3", [])
    assert "first" not in text
    assert 'id = "proper"' in text


def test_series_new_file_can_be_read(tmp_path: Path) -> None:
    text = rewritten("", "1.2.3", [NEW_COMMIT], left_out=[{"id": "gone", "why": "upstream has it"}])
    series = read_series(write_series(tmp_path, text))
    assert series.patches[0].why == NEW_COMMIT.why
    assert series.patches[0].files == NEW_COMMIT.files
    assert series.without[0].id == "gone"


def test_series_identity_depends_on_commit_content_and_order() -> None:
    a, b = ("a", b"1"), ("b", b"2")
    variants = [
        tree_identity("c", [a, b]),
        tree_identity("d", [a, b]),
        tree_identity("c", [b, a]),
        tree_identity("c", [a]),
        tree_identity("c", [a, ("b", b"3")]),
        tree_identity("c", []),
    ]
    assert len(set(variants)) == len(variants)
    assert tree_identity("c", [a, b]) == variants[0]


def test_commits_table_is_valid_and_covers_patched_releases() -> None:
    commits = read_commits()
    assert commits["1.2.19"].commit.startswith("aad3abead")
    assert commits["1.3.14"].commit.startswith("0d9b296af")
    with pytest.raises(UsageError, match=r"unknown release of Bun from source '1\.2\.99'"):
        commit_of_release("1.2.99")


def test_series_shipped_files_are_read() -> None:
    for line in lines():
        assert series_named(line).folder.parent == paths.PATCHES
