"""Builds the native libraries, each once per recipe.

The door of this room: the libraries that are given away and their release files, the fixtures, and
the native helpers of the harness.
"""

from gobun.build.alternatives import Alternatives, build_alternatives
from gobun.build.fixtures import (
    ASHERAH,
    CONTROL,
    EXPORTS,
    FIXTURES,
    PUBLISHED,
    Fixture,
    build_dlcall,
    build_fixture,
    build_supervise,
)
from gobun.build.guard import GUARD_NAME, GUARD_SOURCES, build_guard
from gobun.build.library import Library, file_names
from gobun.build.preload import build_preload
from gobun.build.probe import build_probe
from gobun.build.publish import SUMS, Entry, place, publish, sums_text
from gobun.build.published import published_asherah
from gobun.build.store import builds_root
from gobun.build.torture import Torture, build_torture
from gobun.build.warmup import DEFAULT_NAME, NAMES, build_warmup

__all__ = [
    "ASHERAH",
    "CONTROL",
    "DEFAULT_NAME",
    "EXPORTS",
    "FIXTURES",
    "GUARD_NAME",
    "GUARD_SOURCES",
    "NAMES",
    "PUBLISHED",
    "SUMS",
    "Alternatives",
    "Entry",
    "Fixture",
    "Library",
    "Torture",
    "build_alternatives",
    "build_dlcall",
    "build_fixture",
    "build_guard",
    "build_preload",
    "build_probe",
    "build_supervise",
    "build_torture",
    "build_warmup",
    "builds_root",
    "file_names",
    "place",
    "publish",
    "published_asherah",
    "sums_text",
]
