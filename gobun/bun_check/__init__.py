"""What can be proven about a patched Bun in minutes, without building it."""

from gobun.bun_check.records import Finding, Report, Verdict
from gobun.bun_check.run import check_series, render

__all__ = ["Finding", "Report", "Verdict", "check_series", "render"]
