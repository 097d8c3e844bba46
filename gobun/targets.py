"""The one table of targets. A name is Node's ``platform``-``arch``, with ``-musl`` for musl."""

from __future__ import annotations

import platform
import sys
from typing import Literal

import msgspec

from gobun.errors import PrerequisiteError, UsageError

LIBRARY_GLIBC = "2.17"
"""Oldest glibc that a built Linux library may need: that of CentOS 7."""

LIBRARY_MACOS = "13.0"
"""Oldest macOS that a built library may need: the oldest that Bun supports."""


class Target(msgspec.Struct, frozen=True):
    """A platform for which this project builds libraries."""

    name: str
    """``platform``-``arch`` as Node spells them, and ``-musl`` for musl."""
    os: Literal["linux", "darwin"]
    goarch: str
    zig_triple: str
    """The value of ``zig cc -target``, including the oldest glibc or macOS."""
    library_suffix: str
    libc: Literal["glibc", "musl", ""]
    """The C library of Linux; empty elsewhere."""
    bun_package: str
    """Name of Bun's npm package for this platform, without its scope."""

    @property
    def arch(self) -> str:
        """The processor, as Node spells it."""
        return self.name.split("-")[1]

    @property
    def machine(self) -> str:
        """The processor, as Linux and its wheels spell it: ``x86_64`` or ``aarch64``."""
        return self.zig_triple.partition("-")[0]


_TABLE = (
    Target(
        "linux-x64",
        "linux",
        "amd64",
        f"x86_64-linux-gnu.{LIBRARY_GLIBC}",
        ".so",
        "glibc",
        "bun-linux-x64",
    ),
    Target(
        "linux-arm64",
        "linux",
        "arm64",
        f"aarch64-linux-gnu.{LIBRARY_GLIBC}",
        ".so",
        "glibc",
        "bun-linux-aarch64",
    ),
    Target(
        "linux-x64-musl",
        "linux",
        "amd64",
        "x86_64-linux-musl",
        ".so",
        "musl",
        "bun-linux-x64-musl",
    ),
    Target(
        "linux-arm64-musl",
        "linux",
        "arm64",
        "aarch64-linux-musl",
        ".so",
        "musl",
        "bun-linux-aarch64-musl",
    ),
    Target(
        "darwin-x64",
        "darwin",
        "amd64",
        f"x86_64-macos.{LIBRARY_MACOS}",
        ".dylib",
        "",
        "bun-darwin-x64",
    ),
    Target(
        "darwin-arm64",
        "darwin",
        "arm64",
        f"aarch64-macos.{LIBRARY_MACOS}",
        ".dylib",
        "",
        "bun-darwin-aarch64",
    ),
)

TARGETS: dict[str, Target] = {target.name: target for target in _TABLE}

_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def target_named(name: str) -> Target:
    """Return the target called ``name``.

    Raises:
        UsageError: there is no such target.
    """
    try:
        return TARGETS[name]
    except KeyError:
        raise UsageError.unknown("target", name, TARGETS) from None


def host_arch() -> str:
    """Return this machine's processor as Node names it, or as the system does if Node has none."""
    machine = platform.machine()
    return _MACHINES.get(machine.lower(), machine)


def host_target() -> Target:
    """Return the target this process runs on.

    Raises:
        PrerequisiteError: this platform is not in the table.
    """
    system = "linux" if sys.platform.startswith("linux") else sys.platform
    name = f"{system}-{host_arch()}"
    if system == "linux" and platform.libc_ver()[0] != "glibc":
        name += "-musl"
    if name not in TARGETS:
        raise PrerequisiteError(
            f"this machine is {name}, and there are no builds for it",
            hint=f"run on one of: {', '.join(TARGETS)}",
        )
    return TARGETS[name]


def _libcs(target: Target) -> list[str]:
    names = (each.libc for each in TARGETS.values() if each.os == target.os and each.libc)
    return list(dict.fromkeys(names))


def for_libc(target: Target, libc: str) -> Target:
    """Return the target of the same processor with another C library; ``""`` changes nothing.

    Raises:
        UsageError: there is no such target.
    """
    if not libc or libc == target.libc:
        return target
    matches = [
        each
        for each in TARGETS.values()
        if (each.os, each.goarch, each.libc) == (target.os, target.goarch, libc)
    ]
    if not matches:
        raise UsageError.unknown(f"C library of {target.os}", libc, _libcs(target))
    return matches[0]


def runnable_target(libc: str, machine: Target | None = None) -> Target:
    """Return the platform of runtimes with the C library ``libc``; ``""`` means the machine's own.

    ``machine`` runs them, by default this one. A machine with glibc also runs musl's programs. The
    reverse is not true.

    Raises:
        UsageError: there is no such C library, or the machine cannot run its programs.
        PrerequisiteError: this platform is not in the table.
    """
    machine = machine or host_target()
    target = for_libc(machine, libc)
    if machine.libc == "musl" and target != machine:
        raise UsageError(
            f"this machine has musl, and cannot run programs for {target.libc}",
            hint="use a machine with glibc",
        )
    return target
