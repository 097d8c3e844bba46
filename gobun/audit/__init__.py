"""What is inside a built native library, and whether it keeps the rules."""

from gobun.audit.inspection import audit_files, inspect, inspect_slices
from gobun.audit.record import GoBuild, LibraryReport, Signature
from gobun.audit.rendering import concerns, render
from gobun.audit.rules import WARMUP_MAX_BYTES, Rules, check, warmup_rules

__all__ = [
    "WARMUP_MAX_BYTES",
    "GoBuild",
    "LibraryReport",
    "Rules",
    "Signature",
    "audit_files",
    "check",
    "concerns",
    "inspect",
    "inspect_slices",
    "render",
    "warmup_rules",
]
