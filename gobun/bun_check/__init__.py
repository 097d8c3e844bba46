"""What can be proven about a patched Bun in minutes, without building it."""

from gobun.bun_check.records import Finding, Report, Verdict
from gobun.bun_check.run import Depth, check_series, render

__all__ = ["Depth", "Finding", "Report", "Verdict", "check_series", "render"]
