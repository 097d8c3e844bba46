"""What a person means by `--versions`."""

from __future__ import annotations

import pytest

from gobun.errors import UsageError
from gobun.runtimes.versions import select_versions

KNOWN = (
    "0.8.1",
    "1.0.0",
    "1.2.1",
    "1.2.2",
    "1.2.19",
    "1.2.20",
    "1.3.0",
    "1.3.9-canary.20260218.1",
    "1.3.9",
    "1.3.10",
    "1.4.0",
    "1.4.1-canary.20260906.1",
    "1.4.1-canary.20260916.1",
    "not a version",
)
TAGS = {"latest": "1.4.0"}


def chosen(spec: str) -> tuple[str, ...]:
    return select_versions(spec, known=tuple(reversed(KNOWN)), tags=TAGS)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("1.2.19", ["1.2.19"]),
        (" 1.2.19 , 1.2.1 ", ["1.2.1", "1.2.19"]),
        ("1.2.19,1.2.x,1.2.19", ["1.2.1", "1.2.2", "1.2.19", "1.2.20"]),
        ("1.3", ["1.3.0", "1.3.9", "1.3.10"]),
        ("1.3.X", ["1.3.0", "1.3.9", "1.3.10"]),
        ("1.3.*", ["1.3.0", "1.3.9", "1.3.10"]),
        ("0.x", ["0.8.1"]),
        ("0", ["0.8.1"]),
        ("1.x.x,0.8.1", [version for version in KNOWN[:-1] if "-" not in version]),
        ("latest", ["1.4.0"]),
        ("canary", ["1.4.1-canary.20260916.1"]),
        ("latest,canary", ["1.4.0", "1.4.1-canary.20260916.1"]),
        ("1.3.9,1.3.9-canary.20260218.1", ["1.3.9", "1.3.9-canary.20260218.1"]),
        (">=1.2.2 <1.2.20", ["1.2.2", "1.2.19"]),
        (">= 1.2.2 < 1.2.20,1.4.0", ["1.2.2", "1.2.19", "1.4.0"]),
        (">1.2.19 <=1.3.0", ["1.2.20", "1.3.0"]),
        (">1.2", ["1.3.0", "1.3.9", "1.3.10", "1.4.0"]),
        (">=1.2 <=1.2", ["1.2.1", "1.2.2", "1.2.19", "1.2.20"]),
        ("<1", ["0.8.1"]),
        ("=1.2.1", ["1.2.1"]),
        ("1.2.x <1.2.19", ["1.2.1", "1.2.2"]),
        (">=1.4.1-canary.20260910.1", ["1.4.1-canary.20260916.1"]),
        # npm's canaries come after the release whose number they carry.
        (">=1.3.9-canary.20260201.1 <1.4.0", ["1.3.9-canary.20260218.1", "1.3.10"]),
        (">=1.3.0 <=1.3.9-canary.20260218.1", ["1.3.0", "1.3.9", "1.3.9-canary.20260218.1"]),
    ],
)
def test_selection(spec: str, expected: list[str]) -> None:
    assert list(chosen(spec)) == expected


def test_all_is_stable_since_one() -> None:
    stable = [version for version in KNOWN[1:-1] if "-" not in version]
    assert list(chosen("all")) == stable


def test_latest_without_tags() -> None:
    assert select_versions("latest", known=KNOWN, tags={}) == ("1.4.0",)


@pytest.mark.parametrize(
    "spec",
    ["", ",", "1.2.1,", "1.2.1,,1.3.0", " ", "one", "1.2.3.4", "^1.2.0", "~1.2", ">=", "v1.2.1",
     "1.2.1 || 1.3.0", ">=x", "1.-1", "../1", "1.2.1;1.3.0", "x", "<<1.2", "all 1.2.1"],
)  # fmt: skip
def test_nonsense_is_refused_with_the_forms(spec: str) -> None:
    with pytest.raises(UsageError, match=r"write 1\.2\.19"):
        chosen(spec)


@pytest.mark.parametrize("spec", ["1.2.18", "9.x", ">=9", "1.2.1 1.2.2", "<1.0.0 >=1.0.0"])
def test_unknown_names_near_matches(spec: str) -> None:
    with pytest.raises(UsageError, match=r"unknown Bun version .*\n.*1\.") as caught:
        chosen(spec)
    assert caught.value.exit_code == 2


def test_near_match_is_near() -> None:
    with pytest.raises(UsageError, match=r"did you mean: .*1\.2\.19"):
        chosen("1.2.18")


def test_nothing_known() -> None:
    for spec in ("all", "latest", "canary", "1.2.x"):
        with pytest.raises(UsageError):
            select_versions(spec, known=(), tags={})
