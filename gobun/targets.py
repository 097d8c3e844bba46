"""The one table of platforms; names are Node's own ``platform``-``arch``."""

from __future__ import annotations

import platform
import sys
from typing import Literal

import msgspec

from gobun.errors import PrerequisiteError, UsageError

LIBRARY_GLIBC = "2.17"
"""Oldest glibc a built Linux library may need (that of CentOS 7, like Node's own builds)."""

LIBRARY_MACOS = "13.0"
"""Oldest macOS a built library may need: what Bun itself needs."""


class Target(msgspec.Struct, frozen=True):
    """A platform built for."""

    name: str
    """``platform``-``arch`` as Node spells them."""
    os: Literal["linux", "darwin"]
    goarch: str
    zig_triple: str
    """What ``zig cc -target`` takes, the minimum system version included."""
    library_suffix: str
    bun_package: str
    """Name of Bun's npm package for this platform, without its scope."""


_TABLE = (
    Target(
        "linux-x64", "linux", "amd64", f"x86_64-linux-gnu.{LIBRARY_GLIBC}", ".so", "bun-linux-x64"
    ),
    Target(
        "linux-arm64",
        "linux",
        "arm64",
        f"aarch64-linux-gnu.{LIBRARY_GLIBC}",
        ".so",
        "bun-linux-aarch64",
    ),
    Target(
        "darwin-x64", "darwin", "amd64", f"x86_64-macos.{LIBRARY_MACOS}", ".dylib", "bun-darwin-x64"
    ),
    Target(
        "darwin-arm64",
        "darwin",
        "arm64",
        f"aarch64-macos.{LIBRARY_MACOS}",
        ".dylib",
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


def host_target() -> Target:
    """Return the target this process runs on.

    Raises:
        PrerequisiteError: this platform is not one of the four.
    """
    system = "linux" if sys.platform.startswith("linux") else sys.platform
    name = f"{system}-{_MACHINES.get(platform.machine().lower(), platform.machine())}"
    if name not in TARGETS:
        raise PrerequisiteError(
            f"this machine is {name}, which is not a platform built for",
            hint=f"run on one of: {', '.join(TARGETS)}",
        )
    return TARGETS[name]
