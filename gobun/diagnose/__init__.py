"""Forensics of a stuck process: what hangs it, and the smallest thing that helps.

The door of this room. It reads ``/proc`` and asks the process through the inspector; the process
need not cooperate, and goes on unharmed.
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
