"""The meaning of `--versions`."""

from __future__ import annotations

import pytest

from gobun import toolchain
from gobun.errors import UsageError
from gobun.runtimes import choose_versions, split_versions
from gobun.runtimes.versions import select_versions
from gobun.targets import TARGETS, host_target

KNOWN_VERSIONS = (
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


def select(spec: str) -> tuple[str, ...]:
    return select_versions(spec, known_versions=tuple(reversed(KNOWN_VERSIONS)), tags=TAGS)


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
        ("1.x.x,0.8.1", [version for version in KNOWN_VERSIONS[:-1] if "-" not in version]),
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
        # npm's canaries come after the release with the same number.
        (">=1.3.9-canary.20260201.1 <1.4.0", ["1.3.9-canary.20260218.1", "1.3.10"]),
        (">=1.3.0 <=1.3.9-canary.20260218.1", ["1.3.0", "1.3.9", "1.3.9-canary.20260218.1"]),
    ],
)
def test_select_versions_accepts_each_form(spec: str, expected: list[str]) -> None:
    assert list(select(spec)) == expected


def test_select_all_is_every_stable_release_since_one() -> None:
    stable = [version for version in KNOWN_VERSIONS[1:-1] if "-" not in version]
    assert list(select("all")) == stable


def test_select_latest_without_tags_is_the_newest() -> None:
    assert select_versions("latest", known_versions=KNOWN_VERSIONS, tags={}) == ("1.4.0",)


@pytest.mark.parametrize(
    "spec",
    ["", ",", "1.2.1,", "1.2.1,,1.3.0", " ", "one", "1.2.3.4", "^1.2.0", "~1.2", ">=", "v1.2.1",
     "1.2.1 || 1.3.0", ">=x", "1.-1", "../1", "1.2.1;1.3.0", "x", "<<1.2", "all 1.2.1"],
)  # fmt: skip
def test_select_invalid_text_lists_the_forms(spec: str) -> None:
    with pytest.raises(UsageError, match=r"write 1\.2\.19"):
        select(spec)


@pytest.mark.parametrize("spec", ["1.2.18", "9.x", ">=9", "1.2.1 1.2.2", "<1.0.0 >=1.0.0"])
def test_select_unknown_version_suggests_near_ones(spec: str) -> None:
    with pytest.raises(UsageError, match=r"unknown Bun version .*\n.*1\.") as caught:
        select(spec)
    assert caught.value.exit_code == 2


def test_select_unknown_version_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean: .*1\.2\.19"):
        select("1.2.18")


def test_select_without_known_versions_fails() -> None:
    for spec in ("all", "latest", "canary", "1.2.x"):
        with pytest.raises(UsageError):
            select_versions(spec, known_versions=(), tags={})


NODES = ("20.13.0", "20.18.0", "22.9.0", "22.20.0", "24.2.0", "24.19.0")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("20,22,24", ["20.18.0", "22.20.0", "24.19.0"]),
        ("22.9", ["22.9.0"]),
        ("22.x", ["22.9.0", "22.20.0"]),
        ("latest", ["24.19.0"]),
        ("20.13.0,20", ["20.13.0", "20.18.0"]),
        (">=20.18 <24", ["20.18.0", "22.9.0", "22.20.0"]),
        ("all", list(NODES)),
    ],
)
def test_select_node_line_is_its_newest_release(spec: str, expected: list[str]) -> None:
    assert list(select_versions(spec, known_versions=NODES, tags={}, runtime="Node")) == expected


def test_select_unknown_node_version_lists_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown Node version '21'\n.*24\.19\.0, .*20\.13\.0"):
        select_versions("21", known_versions=NODES, tags={}, runtime="Node")
    with pytest.raises(UsageError, match=r"write 22, 22\.20\.0"):
        select_versions("v22", known_versions=NODES, tags={}, runtime="Node")


@pytest.mark.parametrize(
    ("spec", "names", "expected"),
    [
        ("", ("bun", "node"), {}),
        ("1.2.19", ("bun", "node"), {"bun": "1.2.19"}),
        ("1.2.19, node@22 ,node@20", ("bun", "node"), {"bun": "1.2.19", "node": "22,20"}),
        ("20,22", ("node",), {"node": "20,22"}),
        ("bun@>=1.2.2 <1.2.5,deno@2", ("deno", "bun"), {"bun": ">=1.2.2 <1.2.5", "deno": "2"}),
        ("1.2.19,,", ("bun",), {"bun": "1.2.19,,"}),
    ],
)
def test_runtime_of_version_prefix_is_found(
    spec: str, names: tuple[str, ...], expected: dict[str, str]
) -> None:
    assert split_versions(spec, names) == expected


@pytest.mark.parametrize(
    ("spec", "names", "message"),
    [
        ("node@22", ("bun",), "names node@22, but Node is not selected"),
        ("1.2.19", ("node", "deno"), r"write node@1\.2\.19 or deno@1\.2\.19"),
        ("nod@22", ("bun", "node"), "did you mean: node"),
        ("@22", ("node",), "unknown runtime ''"),
        ("node@ ", ("node",), "has no version"),
    ],
)
def test_runtime_of_ambiguous_version_is_rejected(
    spec: str, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        split_versions(spec, names)


def test_select_node_default_is_the_pinned_one() -> None:
    node, deno = toolchain.pins()["node"], toolchain.pins()["deno"]
    assert choose_versions("node", "", host_target()) == (node,)
    assert choose_versions("deno", deno, host_target()) == (deno,)
    chosen = choose_versions("node", "20,22", TARGETS["linux-x64"])
    assert [version.split(".")[0] for version in chosen] == ["20", "22"]


def test_select_node_on_musl_is_the_pinned_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock file has no other wheel for musl."""
    monkeypatch.setattr("gobun.targets.platform.libc_ver", lambda: ("", ""))
    with pytest.raises(UsageError, match="22") as raised:
        choose_versions("node", "22", TARGETS["linux-x64-musl"])
    assert toolchain.pins()["node"] in str(raised.value)
