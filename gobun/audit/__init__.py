"""Inspects built native libraries, and checks them against rules."""

from gobun.audit.inspection import audit_files, describe, inspect, inspect_slices
from gobun.audit.record import LibraryReport, Signature
from gobun.audit.report_text import list_concerns, render
from gobun.audit.rules import (
    GUARD_MAX_BYTES,
    WARMUP_MAX_BYTES,
    Rules,
    check,
    guard_rules,
    library_rules,
    preload_rules,
    warmup_rules,
)
from gobun.buildinfo import GoBuild
from gobun.musl import MuslSupport

__all__ = [
    "GUARD_MAX_BYTES",
    "WARMUP_MAX_BYTES",
    "GoBuild",
    "LibraryReport",
    "MuslSupport",
    "Rules",
    "Signature",
    "audit_files",
    "check",
    "describe",
    "guard_rules",
    "inspect",
    "inspect_slices",
    "library_rules",
    "list_concerns",
    "preload_rules",
    "render",
    "warmup_rules",
]
