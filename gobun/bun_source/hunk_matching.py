"""Finds where a hunk fits or nearly fits in a file, to explain why a patch fails."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gobun.bun_source.hunks import lines_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.bun_source.hunks import FileDiff, Hunk

_CLOSE_LOOKS = 40
"""Number of places whose similarity is computed."""
_LEAST_AGREEMENT = 0.5
"""Lowest similarity, from 0 to 1, at which a message mentions a place."""

Reader = Callable[[str], bytes | None]
"""Returns the content of the file at a path, or None if there is no such file."""


def places(hunk: Sequence[bytes], lines: Sequence[bytes]) -> list[int]:
    """Return every index at which ``lines`` contains ``hunk``."""
    pattern = list(hunk)
    if not pattern:
        return []
    size, first = len(pattern), pattern[0]
    return [
        at
        for at in range(len(lines) - size + 1)
        if lines[at] == first and list(lines[at : at + size]) == pattern
    ]


def is_unambiguous(diff: FileDiff, old_content: bytes, new_content: bytes) -> bool:
    """Return whether each hunk has a unique position, both when applied and when reverted."""
    before, after = lines_of(old_content), lines_of(new_content)
    return all(
        (not hunk.old or len(places(hunk.old, before)) == 1)
        and (not hunk.new or len(places(hunk.new, after)) == 1)
        for hunk in diff.hunks
    )


def mismatches(diff: FileDiff, read_file: Reader, names: Callable[[], Sequence[str]]) -> list[str]:
    """Return why a file's diff does not fit, one text for each failing hunk; empty if it fits.

    ``names`` returns the paths of the tree, to find a renamed file among them.
    """
    content = read_file(diff.path)
    if diff.created:
        return (
            [f"{diff.path}: is to be created, and is there already"] if content is not None else []
        )
    if content is None:
        return [_new_path_hint(diff, read_file, names())]
    if diff.binary:
        return []
    lines = lines_of(content)
    reasons = []
    shift = 0
    for hunk in diff.hunks:
        fault = _fault(hunk, lines, shift)
        if fault:
            reasons.append(f"{diff.path}, hunk {hunk.number} (line {hunk.old_start}): {fault}")
        fits = places(hunk.old, lines)
        if len(fits) == 1:
            shift = fits[0] + 1 - hunk.old_start
    return reasons


def _fault(hunk: Hunk, lines: Sequence[bytes], shift: int) -> str | None:
    fits = places(hunk.old, lines)
    edge = _edge(hunk, lines, fits) if fits else None
    if edge:
        return f"fits at line {fits[0] + 1}, and git takes it at the {edge} of the file only"
    if (
        not hunk.old
        or len(fits) == 1
        or hunk.old_start - 1 in fits
        or hunk.old_start - 1 + shift in fits
    ):
        return None
    if fits:
        positions = ", ".join(str(at + 1) for at in fits[:5])
        return f"fits in {len(fits)} places (lines {positions}), and none is where it was"
    already = places(hunk.new, lines)
    if already and hunk.new != hunk.old:
        return f"is in the file already, at line {already[0] + 1}"
    without_cr = [line.replace(b"\r\n", b"\n") for line in lines]
    if places(hunk.old, without_cr):
        at = places(hunk.old, without_cr)[0] + 1
        return f"would fit at line {at}, but the file has CRLF line endings and the patch has LF"
    if places([line.replace(b"\r\n", b"\n") for line in hunk.old], lines):
        return "has CRLF line endings and the file has LF: export the patch again"
    return _nearest_place_hint(hunk, lines)


def _edge(hunk: Hunk, lines: Sequence[bytes], positions: Sequence[int]) -> str | None:
    """Return the edge of the file where git requires the hunk, if it fits only elsewhere.

    Git requires an edge for a hunk without context on that side.
    """
    if hunk.old_start <= 1 and 0 not in positions:
        return "beginning"
    at_the_end = hunk.old[-1:] != hunk.new[-1:]
    return "end" if at_the_end and len(lines) - len(hunk.old) not in positions else None


def _nearest_place_hint(hunk: Hunk, lines: Sequence[bytes]) -> str:
    at, agreement = nearest_place(hunk.old, lines)
    if agreement < _LEAST_AGREEMENT:
        return "no place of the file is like it"
    size = len(hunk.old)
    have = lines[at : at + size]
    equal = sum(matches.size for matches in _matcher(hunk.old, have).get_matching_blocks())
    shown_lines = [
        f"\n    {mark}{_text(line)}" for mark, line in _difference(hunk.old, have) if mark != "  "
    ]
    return f"the nearest place is line {at + 1}, where {equal} of {size} lines agree" + "".join(
        shown_lines[:12]
    )


def _difference(
    expected_lines: Sequence[bytes], actual_lines: Sequence[bytes]
) -> list[tuple[str, bytes]]:
    lines: list[tuple[str, bytes]] = []
    for kind, a, b, c, d in _matcher(expected_lines, actual_lines).get_opcodes():
        if kind != "equal":
            lines += [("the patch expects: ", line) for line in expected_lines[a:b]]
            lines += [("the file has:      ", line) for line in actual_lines[c:d]]
    return lines


def nearest_place(hunk: Sequence[bytes], lines: Sequence[bytes]) -> tuple[int, float]:
    """Return the index of the place in ``lines`` most like ``hunk``, and the similarity, 0 to 1."""
    size = len(hunk)
    telling_lines = {line.strip() for line in hunk} - {b"", b"}", b"{", b"});"}
    stripped = [line.strip() for line in lines]
    windows = range(max(1, len(lines) - size + 1))
    hits = [text in telling_lines for text in stripped]
    # Counting equal lines is cheap. Compute the similarity only where the count is highest.
    running = sum(hits[:size])
    counts = [running]
    for at in windows[1:]:
        running += hits[at + size - 1] - hits[at - 1]
        counts.append(running)
    best = sorted(windows, key=lambda at: -counts[at])[:_CLOSE_LOOKS]
    target = b"".join(hunk).decode(errors="replace")

    def agreement(at: int) -> float:
        text = b"".join(lines[at : at + size]).decode(errors="replace")
        return difflib.SequenceMatcher(None, target, text, autojunk=False).ratio()

    scored = [(agreement(at), -at) for at in best]
    ratio, place = max(scored)
    return -place, ratio


def _new_path_hint(diff: FileDiff, read_file: Reader, names: Sequence[str]) -> str:
    """Return why a file is missing, with its new path if one fits."""
    if diff.path in names:
        return f"{diff.path}: the source that was fetched from has no content of it"
    name = PurePosixPath(diff.path).name
    same_name = [path for path in names if PurePosixPath(path).name == name]
    same_name += difflib.get_close_matches(diff.path, names, n=3, cutoff=0.8)
    for path in dict.fromkeys(same_name):
        content = read_file(path)
        lines = lines_of(content or b"")
        at = [places(hunk.old, lines) for hunk in diff.hunks]
        if at and all(at):
            where = ", ".join(str(each[0] + 1) for each in at)
            return f"{diff.path}: is not there; it is {path} now, where it fits at line {where}"
    hint = f"; alike are {', '.join(dict.fromkeys(same_name))}" if same_name else ""
    return f"{diff.path}: is not there{hint}"


def _matcher(a: Sequence[bytes], b: Sequence[bytes]) -> difflib.SequenceMatcher[bytes]:
    return difflib.SequenceMatcher(None, list(a), list(b), autojunk=False)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\n").replace("\r", "\\r")
