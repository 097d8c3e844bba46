"""The tasks that ``invoke --list`` shows; they stand in ``gobun/commands/``."""

from gobun.commands.forensics import diagnose
from gobun.commands.libraries import audit, build_guard, build_warmup
from gobun.commands.matrix import matrix, plan
from gobun.commands.results import bisect, claims, expect, merge, report, repro
from gobun.commands.upkeep import benchmark, cache, doctor, lock, test

__all__ = [
    "audit",
    "benchmark",
    "bisect",
    "build_guard",
    "build_warmup",
    "cache",
    "claims",
    "diagnose",
    "doctor",
    "expect",
    "lock",
    "matrix",
    "merge",
    "plan",
    "report",
    "repro",
    "test",
]
