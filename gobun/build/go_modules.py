"""Fetches the Go modules that a package of ``go/`` depends on, with Go's own client."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gobun.errors import FetchError
from gobun.process import run_tool

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.toolchain import Tool

_USER_VARIABLES = (
    "GOAUTH",
    "GOENV",
    "GOINSECURE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOPRIVATE",
    "GOPROXY",
    "GOSUMDB",
    "GOVCS",
    "NETRC",
)
"""The user's settings for Go's downloads. ``go.sum`` fixes the content of each module."""


def has_dependencies(package: Path) -> bool:
    """Return whether a package of ``go/`` is a module of its own with dependencies."""
    return (package / "go.mod").is_file()


def fetch_modules(package: Path, go: Tool, environment: dict[str, str]) -> None:
    """Fetch the missing dependencies of ``package`` into the cache.

    Raises:
        FetchError: a module could not be fetched, or does not match ``go.sum``.
        PrerequisiteError: Go cannot be started.
    """
    user_settings = {name: os.environ[name] for name in _USER_VARIABLES if name in os.environ}
    settings = {name: value for name, value in environment.items() if name not in _USER_VARIABLES}
    # Without this flag, the cache could not delete the modules' read-only folders.
    settings["GOFLAGS"] = "-modcacherw"
    completed = run_tool([go.program, "mod", "download"], cwd=package, env=settings | user_settings)
    if completed.code != 0:
        raise FetchError(
            f"Go could not fetch the modules of go/{package.name}:\n{completed.tail}",
            hint="check the network and Go's own configuration (go env GOPROXY GOSUMDB); "
            "the cache already has the modules that were fetched",
        )
