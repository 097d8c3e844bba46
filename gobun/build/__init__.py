"""Builds the native libraries, each once per recipe.

The door of this room: warm-up libraries and their release files, the fixtures, and the native
helpers of the harness.
"""

from gobun.build.fixtures import (
    CONTROL,
    EXPORTS,
    FIXTURES,
    Fixture,
    build_dlcall,
    build_fixture,
    build_supervise,
)
from gobun.build.probe import build_probe
from gobun.build.publish import publish_warmup
from gobun.build.store import builds_root
from gobun.build.warmup import DEFAULT_NAME, NAMES, Warmup, build_warmup

__all__ = [
    "CONTROL",
    "DEFAULT_NAME",
    "EXPORTS",
    "FIXTURES",
    "NAMES",
    "Fixture",
    "Warmup",
    "build_dlcall",
    "build_fixture",
    "build_probe",
    "build_supervise",
    "build_warmup",
    "builds_root",
    "publish_warmup",
]
