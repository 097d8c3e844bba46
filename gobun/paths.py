"""Paths of the repository's own folders and of the shared cache."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parent.parent
"""The repository; the suite is used from a checkout."""

GO_SOURCES = ROOT / "go"
NATIVE_SOURCES = ROOT / "native"
SCENARIOS = ROOT / "scenarios"
EXPECTATIONS = ROOT / "expectations"
PATCHES = ROOT / "patches"
LOADER_SOURCES = ROOT / "js" / "go-warmup"
LOCK_FILE = ROOT / "gobun" / "fetch" / "npm.lock.toml"
WHEELS_LOCK_FILE = ROOT / "gobun" / "wheels" / "wheels.lock.toml"


def cache_root() -> Path:
    """Return the cache folder, for files that can be made or fetched again.

    ``GOBUN_CACHE`` overrides the platform's own cache folder.
    """
    override = os.environ.get("GOBUN_CACHE")
    return Path(override).absolute() if override else platformdirs.user_cache_path("gobun")


def display_path(path: Path) -> Path:
    """Return a path for display: relative if it is below the current folder."""
    cwd = Path.cwd()
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path
