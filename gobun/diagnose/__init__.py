"""Forensics of a stuck process: what hangs it, and the smallest thing that helps.

The door of this room. It reads ``/proc`` and asks the process through the inspector; the process
need not cooperate, and goes on unharmed.
"""

from gobun.diagnose.changes import Change, render_changes, signal_changes
from gobun.diagnose.examine import diagnose, diagnose_command, find_inspector
from gobun.diagnose.records import Diagnosis, GoLibrary, Help, Kind, Motion, RuntimeSeen, Storm
from gobun.diagnose.rendering import render

__all__ = [
    "Change",
    "Diagnosis",
    "GoLibrary",
    "Help",
    "Kind",
    "Motion",
    "RuntimeSeen",
    "Storm",
    "diagnose",
    "diagnose_command",
    "find_inspector",
    "render",
    "render_changes",
    "signal_changes",
]
