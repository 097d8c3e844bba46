"""Diagnoses a stuck process: the cause of the hang, and the smallest remedy.

This is the package's public interface. It reads ``/proc`` and inspects the process with ptrace. The
process need not cooperate, and it continues unharmed.
"""

from gobun.diagnose.changes import SignalChange, render_changes, signal_changes
from gobun.diagnose.command import diagnose_command
from gobun.diagnose.diagnosis_text import render
from gobun.diagnose.examine import diagnose, find_inspector
from gobun.diagnose.records import Activity, Diagnosis, GoLibrary, Kind, Remedy, RuntimeSeen, Storm

__all__ = [
    "Activity",
    "Diagnosis",
    "GoLibrary",
    "Kind",
    "Remedy",
    "RuntimeSeen",
    "SignalChange",
    "Storm",
    "diagnose",
    "diagnose_command",
    "find_inspector",
    "render",
    "render_changes",
    "signal_changes",
]
