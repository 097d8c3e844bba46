"""The places where a hunk fits, and the messages if it fits nowhere."""

from __future__ import annotations

import pytest

from gobun.bun_source.hunk_matching import is_unambiguous, mismatches, nearest_place, places
from gobun.bun_source.hunks import lines_of, parse_patch
from gobun.errors import UsageError

HEAD = b"diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n"
PATCH = HEAD + b"@@ -2,3 +2,3 @@ heading\n two\n-three\n+THREE\n four\n"
FILE = b"one\ntwo\nthree\nfour\nfive\n"


def mismatch_text(
    file: bytes | None, patch: bytes = PATCH, others: dict[str, bytes] | None = None
) -> str:
    tree = {**({"f": file} if file is not None else {}), **(others or {})}
    (diff,) = parse_patch(patch, "p")
    return "\n".join(mismatches(diff, tree.get, lambda: list(tree)))


def test_patch_file_is_parsed_with_both_sides() -> None:
    (diff,) = parse_patch(PATCH, "p")
    (hunk,) = diff.hunks
    assert (diff.path, hunk.old_start) == ("f", 2)
    assert hunk.old == (b"two\n", b"three\n", b"four\n")
    assert hunk.new == (b"two\n", b"THREE\n", b"four\n")
    assert hunk.added == (b"THREE\n",)


def test_patch_file_missing_final_newline_keeps_its_side() -> None:
    patch = HEAD + b"@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
    (hunk,) = parse_patch(patch, "p")[0].hunks
    assert (hunk.old, hunk.new) == ((b"a",), (b"a\n",))


def test_patch_file_lone_carriage_return_ends_no_line() -> None:
    assert lines_of(b"a\rb\r\nc") == [b"a\rb\r\n", b"c"]


@pytest.mark.parametrize(
    ("patch", "wrong"),
    [
        (b"From: somebody\n" + PATCH, "does not begin with"),
        (b"", "does not begin with"),
        (PATCH.replace(b"\n", b"\r\n"), "p has CRLF line endings"),
        (PATCH.replace(b"-2,3 +2,3", b"-2,4 +2,4"), "p:5: the hunk does not have as many lines"),
        (PATCH.replace(b"-2,3 +2,3", b"-2,1 +2,1"), "p:5: the hunk does not have as many lines"),
        (PATCH.replace(b"@@ -2", b"@@ two"), "is not a hunk"),
        (b"diff --git a/f b/g\nrename from f\nrename to g\n", "renamed"),
    ],
)
def test_patch_file_invalid_text_is_rejected(patch: bytes, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        parse_patch(patch, "p")


def test_hunk_fits_at_original_and_moved_position() -> None:
    assert mismatch_text(FILE) == ""
    assert mismatch_text(b"zero\n" * 40 + FILE) == ""


def test_hunk_with_two_places_is_ambiguous_unless_original() -> None:
    assert mismatch_text(FILE + FILE) == ""
    assert "fits in 2 places (lines 3, 8), and none is where it was" in mismatch_text(
        b"0\n" + FILE + FILE
    )


def test_hunk_later_ones_move_with_earlier_ones() -> None:
    two = PATCH + b"@@ -8,2 +8,2 @@\n x\n-y\n+Y\n"
    assert mismatch_text(b"0\n" + FILE + b"6\n7\nx\ny\nx\ny\n", two) == ""


def test_hunk_at_file_edge_stays_there() -> None:
    first = HEAD + b"@@ -1,2 +1,2 @@\n-one\n+ONE\n two\n"
    last = HEAD + b"@@ -5 +5,2 @@\n five\n+six\n"
    assert (
        mismatch_text(FILE, first)
        == mismatch_text(FILE, last)
        == mismatch_text(b"zero\n" + FILE, last)
        == ""
    )
    assert "fits at line 2, and git takes it at the beginning" in mismatch_text(
        b"zero\n" + FILE, first
    )
    assert "fits at line 5, and git takes it at the end" in mismatch_text(
        FILE + b"six and a half\n", last
    )


def test_hunk_already_applied_is_reported() -> None:
    assert "is in the file already, at line 2" in mismatch_text(FILE.replace(b"three", b"THREE"))


def test_hunk_different_line_endings_are_reported() -> None:
    assert "would fit at line 2, but the file has CRLF" in mismatch_text(
        FILE.replace(b"\n", b"\r\n")
    )


def test_hunk_nearest_place_and_difference_are_reported() -> None:
    text = mismatch_text(b"0\n" * 9 + FILE.replace(b"three", b"3"))
    assert "hunk 1 (line 2): the nearest place is line 11, where 2 of 3 lines agree" in text
    assert "the patch expects: three" in text
    assert "the file has:      3" in text


def test_hunk_without_similar_place_is_reported() -> None:
    assert "no place of the file is like it" in mismatch_text(b"alpha beta\ngamma delta\n" * 50)


def test_hunk_in_renamed_file_is_found() -> None:
    text = mismatch_text(None, others={"src/f": b"0\n" + FILE, "g": b""})
    assert text == "f: is not there; it is src/f now, where it fits at line 3"
    assert mismatch_text(None, others={"unlike": FILE}) == "f: is not there"


def test_hunk_empty_file_is_not_called_renamed() -> None:
    (diff,) = parse_patch(PATCH, "p")
    (text,) = mismatches(diff, {"src/f": FILE}.get, lambda: ["f", "src/f"])
    assert text == "f: the source that was fetched from has no content of it"


def test_hunk_new_file_must_not_exist() -> None:
    new = b"diff --git a/f b/f\nnew file mode 100644\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n"
    assert mismatch_text(None, new) == ""
    assert "is there already" in mismatch_text(b"a\n", new)
    assert "is there already" in mismatch_text(b"", new)


def test_hunk_certain_position_is_unique_both_ways() -> None:
    (diff,) = parse_patch(HEAD + b"@@ -1,2 +1 @@\n a\n-b\n", "p")
    assert is_unambiguous(diff, b"a\nb\n", b"a\n")
    assert not is_unambiguous(diff, b"a\nb\na\nb\n", b"a\na\nb\n")


def test_hunk_empty_has_no_places() -> None:
    assert places([], [b"a\n"]) == []


def test_hunk_nearest_place_in_long_file_is_found() -> None:
    lines = [f"line {number}\n".encode() for number in range(20_000)]
    expected = [lines[15_000], b"changed\n", lines[15_002]]
    assert nearest_place(expected, lines)[0] == 15_000
