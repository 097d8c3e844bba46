"""Parses a patch: the files that it touches, and the old and new lines of each hunk."""

from __future__ import annotations

import re

import msgspec

from gobun.errors import UsageError

_HUNK = re.compile(rb"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_START = b"diff --git "
_NO_END = b"\\ No newline at end of file"


class Hunk(msgspec.Struct, frozen=True):
    """One place in a file that a patch changes. Lines include their line endings."""

    number: int
    """Its number within its file, from 1."""
    old_start: int
    """The number of its first line in the old file, from 1; 0 for a new file."""
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]
    added: tuple[bytes, ...]


class FileDiff(msgspec.Struct, frozen=True):
    """A patch's changes to one file."""

    path: str
    hunks: tuple[Hunk, ...]
    created: bool = False
    deleted: bool = False
    binary: bool = False


def lines_of(data: bytes) -> list[bytes]:
    """Split ``data`` into lines as git does: a lone carriage return does not end a line."""
    return re.findall(rb"[^\n]*\n|[^\n]+", data)


def parse_patch(data: bytes, label: str) -> tuple[FileDiff, ...]:
    """Parse a patch. ``label`` names it in messages.

    Raises:
        UsageError: it is not in the format of ``git diff``, or a hunk's line counts are wrong.
    """
    lines = lines_of(data)
    starts = [at for at, line in enumerate(lines) if line.startswith(_START)]
    if not starts or starts[0] != 0:
        raise UsageError(
            f"{label} is not a patch: it does not begin with 'diff --git'",
            hint="`invoke patch-export` writes the patches of a series",
        )
    if lines[0].endswith(b"\r\n"):
        raise UsageError(
            f"{label} has CRLF line endings, and git writes patches with LF",
            hint="a tool changed the line endings; `git restore` restores the file",
        )
    ends = [*starts[1:], len(lines)]
    return tuple(
        _file(lines[start:end], start, label) for start, end in zip(starts, ends, strict=True)
    )


def _file(lines: list[bytes], at: int, label: str) -> FileDiff:
    head: list[bytes] = []
    for line in lines:
        if line.startswith(b"@@ "):
            break
        head.append(line.rstrip(b"\n"))
    path = _path(head, f"{label}:{at + 1}")
    hunks: list[Hunk] = []
    position = len(head)
    while position < len(lines):
        hunk, line_count = _hunk(lines[position:], len(hunks) + 1, f"{label}:{at + position + 1}")
        hunks.append(hunk)
        position += line_count
    return FileDiff(
        path,
        tuple(hunks),
        created=any(line.startswith(b"new file mode") for line in head),
        deleted=any(line.startswith(b"deleted file mode") for line in head),
        binary=any(line.startswith((b"GIT binary patch", b"Binary files")) for line in head),
    )


def _path(head: list[bytes], label: str) -> str:
    for sign, side in ((b"+++ ", b"b/"), (b"--- ", b"a/")):
        for line in head:
            name = line.removeprefix(sign).rstrip(b"\t")
            if line.startswith(sign) and name.startswith(side):
                return name.removeprefix(side).decode(errors="replace")
    # A diff without hunks (a mode, an empty file) has its path only in its first line, twice.
    paths_text = head[0].removeprefix(_START)
    half = len(paths_text) // 2
    if paths_text[:half].removeprefix(b"a/") == paths_text[half + 1 :].removeprefix(b"b/"):
        return paths_text[half + 1 :].removeprefix(b"b/").decode(errors="replace")
    raise UsageError(
        f"{label}: a file is renamed, or its name cannot be parsed",
        hint="write a rename as a deletion and a new file: `git diff --no-renames`",
    )


def _hunk(lines: list[bytes], number: int, label: str) -> tuple[Hunk, int]:
    match = _HUNK.match(lines[0])
    if match is None:
        raise UsageError(
            f"{label}: {lines[0].decode(errors='replace').strip()!r} is not a hunk",
            hint="a hunk begins with @@; `invoke patch-export` writes the patch again",
        )
    remaining = {"old": int(match[2] or 1), "new": int(match[4] or 1)}
    old: list[bytes] = []
    new: list[bytes] = []
    added_lines: list[bytes] = []
    line_count = 1
    for line in lines[1:]:
        if line.startswith(_NO_END):
            _cut_last(_sides(lines[line_count - 1][:1], old, new, added_lines), label)
            line_count += 1
            continue
        sign, text = line[:1], line[1:]
        if max(remaining.values()) <= 0 or sign not in {b" ", b"-", b"+"}:
            break
        line_count += 1
        for side in _sides(sign, old, new, added_lines):
            side.append(text)
        remaining["old"] -= sign != b"+"
        remaining["new"] -= sign != b"-"
    if any(remaining.values()) or (
        line_count < len(lines) and not lines[line_count].startswith(b"@@ ")
    ):
        raise UsageError(
            f"{label}: the hunk does not have as many lines as its header says",
            hint="`invoke patch-export` writes it again from the checkout's commit",
        )
    return Hunk(number, int(match[1]), tuple(old), tuple(new), tuple(added_lines)), line_count


def _sides(
    sign: bytes, old_lines: list[bytes], new_lines: list[bytes], added_lines: list[bytes]
) -> tuple[list[bytes], ...]:
    """Return the lists that a line with this sign belongs to."""
    return {b"-": (old_lines,), b"+": (new_lines, added_lines), b" ": (old_lines, new_lines)}.get(
        sign, ()
    )


def _cut_last(sides: tuple[list[bytes], ...], label: str) -> None:
    """Remove the newline of a line that the patch marks as having none.

    Raises:
        UsageError: the mark follows no line.
    """
    if not sides:
        raise UsageError(
            f"{label}: {_NO_END.decode()!r} follows no line of the hunk",
            hint="`invoke patch-export` writes it again from the checkout's commit",
        )
    for side in sides:
        side[-1] = side[-1].removesuffix(b"\n")
