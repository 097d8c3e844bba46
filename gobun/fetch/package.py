"""npm packages, identified by exact name and version."""

from __future__ import annotations

import re

import msgspec
import semver

from gobun.errors import UsageError
from gobun.targets import TARGETS

HEADERS_PACKAGE = "node-api-headers"
ENGINE_PACKAGE = "asherah-linux-x64-gnu"
"""The Rust engine of asherah 4.x, pinned for linux-x64 only."""
_BUN_SCOPE = "@oven"
_WEBKIT = {"linux-x64": "bun-webkit-linux-amd64", "linux-arm64": "bun-webkit-linux-arm64"}
_LOCKED_WEBKITS = ("f8aa36d4737faee92bd2d1e337a2fd01a5437c61",)
"""WebKit commits whose packages the lock file covers, for the Buns that this project builds."""
_PART = "[a-z0-9][a-z0-9._-]*"
_NAME = re.compile(rf"(@{_PART}/)?{_PART}")


class Package(msgspec.Struct, frozen=True, order=True):
    """One release of an npm package."""

    name: str
    version: str

    def __str__(self) -> str:
        """Return the package in npm's notation."""
        return f"{self.name}@{self.version}"


def check_package(package: Package) -> None:
    """Reject names and versions that are unsafe in a path or a command line.

    Raises:
        UsageError: the name or the version is not valid for npm.
    """
    check_name(package.name)
    if not semver.Version.is_valid(package.version):
        raise UsageError(
            f"{package.version!r} is not one exact version of {package.name}",
            hint="write it in full, like 1.2.19 or 1.4.2-canary.20260928.1",
        )


def check_name(name: str) -> None:
    """Reject an invalid npm package name.

    Raises:
        UsageError: the name is invalid.
    """
    if not is_name(name):
        raise UsageError(
            f"{name!r} is not an npm package name", hint="write it like @scope/name or name"
        )


def is_name(name: str) -> bool:
    """Return whether ``name`` is a valid npm package name."""
    return _NAME.fullmatch(name) is not None


def bun_package(target: str, variant: str = "") -> str:
    """Return Bun's npm package for a target. ``variant``: ``""``, ``baseline`` or ``musl``."""
    name = f"{_BUN_SCOPE}/{TARGETS[target].bun_package}"
    return f"{name}-{variant}" if variant else name


def bun_packages() -> tuple[str, ...]:
    """Return every npm package of Bun that the lock file covers."""
    names = []
    for target in TARGETS.values():
        names.append(bun_package(target.name))
        if target.name == "linux-x64":
            names.append(bun_package(target.name, "baseline"))
    return tuple(names)


def webkit_package(target: str, commit: str) -> Package | None:
    """Return the package of upstream's built WebKit, or None if the target has none.

    Bun's makers published these until they moved the builds to their own servers.
    """
    name = _WEBKIT.get(target)
    return Package(name, f"0.0.1-{commit}") if name else None


def webkit_packages() -> tuple[Package, ...]:
    """Return every package of WebKit that the lock file covers."""
    packages = [webkit_package(target, commit) for commit in _LOCKED_WEBKITS for target in _WEBKIT]
    return tuple(package for package in packages if package)
