"""The table of platforms."""

from __future__ import annotations

import platform
import sys

import pytest

from gobun import targets
from gobun.errors import PrerequisiteError, UsageError
from gobun.targets import TARGETS, for_libc, host_target, runnable_target, target_named


def test_targets_table_is_consistent() -> None:
    assert [(t.name, t.os, t.goarch, t.library_suffix) for t in TARGETS.values()] == [
        ("linux-x64", "linux", "amd64", ".so"),
        ("linux-arm64", "linux", "arm64", ".so"),
        ("linux-x64-musl", "linux", "amd64", ".so"),
        ("linux-arm64-musl", "linux", "arm64", ".so"),
        ("darwin-x64", "darwin", "amd64", ".dylib"),
        ("darwin-arm64", "darwin", "arm64", ".dylib"),
    ]


def test_targets_triples_pin_the_oldest_system() -> None:
    oldest = {
        "glibc": f"linux-gnu.{targets.LIBRARY_GLIBC}",
        "musl": "linux-musl",
        "": f"macos.{targets.LIBRARY_MACOS}",
    }
    for target in TARGETS.values():
        assert target.zig_triple.partition("-")[2] == oldest[target.libc]


def test_targets_unknown_name_suggests_near_ones() -> None:
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
def test_host_target_is_found_by_platform_names(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, name: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    assert host_target().name == name


def test_host_target_unsupported_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(PrerequisiteError, match="this machine is linux-riscv64") as raised:
        host_target()
    assert ", ".join(TARGETS) in str(raised.value)


def test_targets_for_musl_are_named_after_it() -> None:
    for name in ("linux-x64-musl", "linux-arm64-musl"):
        target = target_named(name)
        assert (target.libc, f"linux-{target.arch}-musl") == ("musl", name)


def test_host_target_on_musl_is_found_by_libc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert host_target().name == "linux-x64-musl"


def test_target_for_another_libc_is_found() -> None:
    here = TARGETS["linux-arm64"]
    assert for_libc(here, "musl").name == "linux-arm64-musl"
    assert for_libc(here, "glibc") is for_libc(here, "") is here
    with pytest.raises(UsageError, match="C library of darwin 'musl'"):
        for_libc(TARGETS["darwin-x64"], "musl")
    with pytest.raises(UsageError, match="C library of linux 'uclibc'") as raised:
        for_libc(here, "uclibc")
    assert raised.value.hint == "did you mean: glibc"


@pytest.mark.parametrize(
    ("machine", "libc", "name"),
    [
        ("linux-x64", "musl", "linux-x64-musl"),
        ("linux-x64", "", "linux-x64"),
        ("linux-arm64-musl", "", "linux-arm64-musl"),
        ("linux-arm64-musl", "musl", "linux-arm64-musl"),
    ],
)
def test_runnable_target_has_the_libc(machine: str, libc: str, name: str) -> None:
    assert runnable_target(libc, TARGETS[machine]).name == name


def test_runnable_target_for_glibc_on_musl_is_rejected() -> None:
    with pytest.raises(UsageError, match="has musl, and cannot run programs for glibc"):
        runnable_target("glibc", TARGETS["linux-x64-musl"])
