"""Ranges of versions, canaries included."""

from __future__ import annotations

import itertools
import random

import pytest

from gobun.version_ranges import in_range, lower_bound_key, parse_range, range_text

OLDEST_CANARY = "1.2.2-canary.20250209.1"  # calls itself 1.2.3-canary.50, and hangs
OLDER_CANARY = "1.2.19-canary.20250726.1"  # calls itself 1.2.20-canary.62, and hangs
CANARY = "1.2.20-canary.20250813.1"  # calls itself 1.2.21-canary.16, and does not
OWN_WORDS = "1.2.21-canary.16+37a207e2a"


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (
            ">=1.2.2 <1.2.20",
            f"1.2.2 1.2.19 {OLDER_CANARY} {OLDEST_CANARY}",
            f"1.2.1 1.2.20 {CANARY}",
        ),
        (
            ">=1.2.2 <=1.2.19",
            f"1.2.2 1.2.19 {OLDEST_CANARY}",
            f"1.2.1 1.2.20 {OLDER_CANARY} {CANARY}",
        ),
        (">1.2.2 <1.2.3", OLDEST_CANARY, "1.2.2 1.2.3"),
        (">=1.2.20", f"1.2.20 2.0.0 {CANARY} 1.99.0-canary.20301231.9", f"1.2.19 {OLDER_CANARY}"),
        (f">{CANARY} <1.2.21", "1.2.20-canary.20250813.2", f"1.2.20 1.2.21 {CANARY}"),
        ("<1.2.20-canary.20250901.1", f"1.2.20 {CANARY}", "1.2.20-canary.20251001.1 1.2.21"),
        ("1.2.19", "1.2.19", f"1.2.18 1.2.20 {OLDER_CANARY}"),
        (">=24.0.0", "24.0.0", "24.0.0-rc.1"),
        ("= 1.2.19", "1.2.19", "1.2.18"),
        ("<= 1.1.45 || >= 1.3.0", "1.0.0 1.1.45 1.3.0", "1.2.0 1.1.46"),
        (">=1.2.2 >=1.2.5 <1.3.0 <=1.2.9", "1.2.5 1.2.9", "1.2.4 1.2.10"),
        (">=1.2.2 <1.2.20", "1.2.19+patched", "1.2.20+patched"),
        # An executable names its canary after the release that follows.
        (">=1.2.2 <1.2.20", "1.2.20-canary.62", f"1.2.21-canary.62 {OWN_WORDS}"),
        (">1.2.20 <1.2.21", f"{CANARY} {OWN_WORDS} 1.2.21-canary.16", "1.2.20 1.2.21"),
        ("<=1.2.1 || >=1.2.3", "1.2.0 1.2.3", "1.2.2 bun canary 1.2 v1.2.3"),
    ],
)
def test_version_canary_follows_its_release(text: str, inside: str, outside: str) -> None:
    assert [version for version in inside.split() if not in_range(version, text)] == []
    assert [version for version in outside.split() if in_range(version, text)] == []


def test_version_unknown_is_in_no_range() -> None:
    assert not in_range("", "<=1.2.1 || >1.2.1")
    with pytest.raises(ValueError, match="not a whole version"):
        in_range("", "newest")


@pytest.mark.parametrize(
    "text",
    ["", " ", "1.2", "1.2.x", "latest", "~1.2.3", ">=", "1.2.3 ||", "|| 1.2.3", ">=1.2.3 <=1.2"],
)
def test_range_invalid_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a whole version|empty"):
        parse_range(text)


@pytest.mark.parametrize(
    "text", [">1.2.3 <1.2.3", ">=1.2.4 <=1.2.3", "1.2.3 1.2.4", ">1.2.3 1.2.3"]
)
def test_range_without_possible_version_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="no version matches"):
        parse_range(text)


def test_range_of_any_versions_round_trips() -> None:
    versions = ["1.0.0", "1.1.0", "1.1.0-canary.20240101.1", "1.2.0", "1.2.10", "1.10.0"]
    for inside in itertools.product([False, True], repeat=len(versions)):
        if not any(inside):
            continue
        text = range_text(inside, versions)
        if text is None:
            assert all(inside)
            continue
        assert [in_range(version, text) for version in versions] == list(inside), text


def test_range_is_open_beyond_known_versions() -> None:
    versions = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]
    assert range_text([True, True, False, False], versions) == "<=1.1.0"
    assert range_text([False, False, True, True], versions) == ">=1.2.0"
    assert range_text([False, True, False, False], versions) == "1.1.0"
    assert range_text([True, False, False, True], versions) == "<=1.0.0 || >=1.3.0"


def test_ranges_are_ordered_by_their_start() -> None:
    texts = [">=1.10.0", "<1.2.0", ">=1.9.0 || <1.0.0", "1.2.3", None, ">=1.2.3-0"]
    random.Random(1).shuffle(texts)  # noqa: S311
    begins = [lower_bound_key(text) for text in sorted(texts, key=lower_bound_key)]
    assert begins[:3] == [lower_bound_key(None)] * 3
    assert begins[3:] == [lower_bound_key(text) for text in (">=1.2.3-0", "1.2.3", ">=1.10.0")]
