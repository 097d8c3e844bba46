"""Checks a patched Bun in minutes, without building it."""

from gobun.bun_check.records import CheckReport, CheckResult, Verdict
from gobun.bun_check.run import Depth, check_series, render

__all__ = ["CheckReport", "CheckResult", "Depth", "Verdict", "check_series", "render"]
