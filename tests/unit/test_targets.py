"""The one table of platforms."""

from __future__ import annotations

import platform
import sys

import pytest

from gobun import targets
from gobun.errors import PrerequisiteError, UsageError
from gobun.targets import TARGETS, host_target, target_named


def test_the_table() -> None:
    assert [(t.name, t.os, t.goarch, t.library_suffix) for t in TARGETS.values()] == [
        ("linux-x64", "linux", "amd64", ".so"),
        ("linux-arm64", "linux", "arm64", ".so"),
        ("darwin-x64", "darwin", "amd64", ".dylib"),
        ("darwin-arm64", "darwin", "arm64", ".dylib"),
    ]


def test_each_triple_pins_its_oldest_system() -> None:
    oldest = {
        "linux": f"linux-gnu.{targets.LIBRARY_GLIBC}",
        "darwin": f"macos.{targets.LIBRARY_MACOS}",
    }
    for target in TARGETS.values():
        assert target.zig_triple.partition("-")[2] == oldest[target.os]


def test_names_are_found_and_others_refused_with_the_near_ones() -> None:
    assert target_named("darwin-arm64") is TARGETS["darwin-arm64"]
    with pytest.raises(UsageError, match="unknown target 'linux-amd64'") as raised:
        target_named("linux-amd64")
    assert raised.value.hint is not None
    assert raised.value.hint.startswith("did you mean: linux-arm64, linux-x64")


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "linux-x64"),
        ("linux2", "AMD64", "linux-x64"),
        ("linux", "aarch64", "linux-arm64"),
        ("darwin", "arm64", "darwin-arm64"),
        ("darwin", "x86_64", "darwin-x64"),
    ],
)
def test_the_host_by_its_names(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, name: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert host_target().name == name


def test_a_host_that_is_not_built_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(PrerequisiteError, match="this machine is linux-riscv64") as raised:
        host_target()
    assert "linux-x64, linux-arm64, darwin-x64, darwin-arm64" in str(raised.value)
