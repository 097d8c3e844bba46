"""Where a hunk fits, and what is said where it does not."""

from __future__ import annotations

import pytest

from gobun.bun_source.hunk_matching import is_unambiguous, mismatches, nearest_place, places
from gobun.bun_source.hunks import lines_of, parse_patch
from gobun.errors import UsageError

HEAD = b"diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n"
PATCH = HEAD + b"@@ -2,3 +2,3 @@ heading\n two\n-three\n+THREE\n four\n"
FILE = b"one\ntwo\nthree\nfour\nfive\n"


def said(file: bytes | None, patch: bytes = PATCH, others: dict[str, bytes] | None = None) -> str:
    tree = {**({"f": file} if file is not None else {}), **(others or {})}
    (diff,) = parse_patch(patch, "p")
    return "\n".join(mismatches(diff, tree.get, lambda: list(tree)))


def test_a_patch_is_read_with_its_two_sides() -> None:
    (diff,) = parse_patch(PATCH, "p")
    (hunk,) = diff.hunks
    assert (diff.path, hunk.old_start) == ("f", 2)
    assert hunk.old == (b"two\n", b"three\n", b"four\n")
    assert hunk.new == (b"two\n", b"THREE\n", b"four\n")
    assert hunk.added == (b"THREE\n",)


def test_a_missing_last_line_end_belongs_to_its_side() -> None:
    patch = HEAD + b"@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
    (hunk,) = parse_patch(patch, "p")[0].hunks
    assert (hunk.old, hunk.new) == ((b"a",), (b"a\n",))


def test_a_lone_carriage_return_ends_no_line() -> None:
    assert lines_of(b"a\rb\r\nc") == [b"a\rb\r\n", b"c"]


@pytest.mark.parametrize(
    ("patch", "wrong"),
    [
        (b"From: somebody\n" + PATCH, "does not begin with"),
        (b"", "does not begin with"),
        (PATCH.replace(b"\n", b"\r\n"), "p has CRLF line ends"),
        (PATCH.replace(b"-2,3 +2,3", b"-2,4 +2,4"), "p:5: the hunk has not as many lines"),
        (PATCH.replace(b"-2,3 +2,3", b"-2,1 +2,1"), "p:5: the hunk has not as many lines"),
        (PATCH.replace(b"@@ -2", b"@@ two"), "is not a hunk"),
        (b"diff --git a/f b/g\nrename from f\nrename to g\n", "renamed"),
    ],
)
def test_what_is_no_patch_is_refused(patch: bytes, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        parse_patch(patch, "p")


def test_it_fits_where_it_was_and_where_it_moved() -> None:
    assert said(FILE) == ""
    assert said(b"zero\n" * 40 + FILE) == ""


def test_two_places_leave_a_doubt_unless_one_is_where_it_was() -> None:
    assert said(FILE + FILE) == ""
    assert "fits in 2 places (lines 3, 8), and none is where it was" in said(b"0\n" + FILE + FILE)


def test_a_later_hunk_moves_with_the_earlier_ones() -> None:
    two = PATCH + b"@@ -8,2 +8,2 @@\n x\n-y\n+Y\n"
    assert said(b"0\n" + FILE + b"6\n7\nx\ny\nx\ny\n", two) == ""


def test_a_hunk_at_an_edge_of_the_file_stays_there() -> None:
    first = HEAD + b"@@ -1,2 +1,2 @@\n-one\n+ONE\n two\n"
    last = HEAD + b"@@ -5 +5,2 @@\n five\n+six\n"
    assert said(FILE, first) == said(FILE, last) == said(b"zero\n" + FILE, last) == ""
    assert "fits at line 2, and git takes it at the beginning" in said(b"zero\n" + FILE, first)
    assert "fits at line 5, and git takes it at the end" in said(FILE + b"six and a half\n", last)


def test_applied_already_is_told() -> None:
    assert "is in the file already, at line 2" in said(FILE.replace(b"three", b"THREE"))


def test_line_ends_are_told() -> None:
    assert "would fit at line 2, but the file has CRLF" in said(FILE.replace(b"\n", b"\r\n"))


def test_the_nearest_place_and_what_differs_are_told() -> None:
    text = said(b"0\n" * 9 + FILE.replace(b"three", b"3"))
    assert "hunk 1 (line 2): the nearest place is line 11, where 2 of 3 lines agree" in text
    assert "the patch expects: three" in text
    assert "the file has:      3" in text


def test_nothing_alike_is_told() -> None:
    assert "no place of the file is like it" in said(b"alpha beta\ngamma delta\n" * 50)


def test_a_renamed_file_is_found() -> None:
    text = said(None, others={"src/f": b"0\n" + FILE, "g": b""})
    assert text == "f: is not there; it is src/f now, where it fits at line 3"
    assert said(None, others={"unlike": FILE}) == "f: is not there"


def test_a_file_without_content_is_not_called_renamed() -> None:
    (diff,) = parse_patch(PATCH, "p")
    (text,) = mismatches(diff, {"src/f": FILE}.get, lambda: ["f", "src/f"])
    assert text == "f: the source that was fetched from has no content of it"


def test_a_new_file_may_not_be_there() -> None:
    new = b"diff --git a/f b/f\nnew file mode 100644\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n"
    assert said(None, new) == ""
    assert "is there already" in said(b"a\n", new)


def test_certain_means_one_place_forwards_and_backwards() -> None:
    (diff,) = parse_patch(HEAD + b"@@ -1,2 +1 @@\n a\n-b\n", "p")
    assert is_unambiguous(diff, b"a\nb\n", b"a\n")
    assert not is_unambiguous(diff, b"a\nb\na\nb\n", b"a\na\nb\n")


def test_places_of_an_empty_hunk_are_none() -> None:
    assert places([], [b"a\n"]) == []


def test_the_nearest_place_of_a_long_file_is_found() -> None:
    lines = [f"line {number}\n".encode() for number in range(20_000)]
    wanted = [lines[15_000], b"changed\n", lines[15_002]]
    assert nearest_place(wanted, lines)[0] == 15_000
