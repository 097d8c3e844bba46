"""Sentences about a wait, and about a machine that is too busy."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from gobun.observe import signal_name

if TYPE_CHECKING:
    from gobun.diagnose.records import Activity, NativeWait


def wait_line(wait: NativeWait) -> str:
    """Return library, function, system call and seconds, for the list of observations."""
    name = PurePath(wait.library).name or "code of no file"
    function = f", function {wait.function}" if wait.function else ""
    return f"{name}{function}, system call {wait.call} ({wait.why}), for {wait.seconds:.1f} s"


def place_text(wait: NativeWait) -> str:
    """Return the place where a thread waits, as a sentence."""
    return f"It waits in {wait_line(wait)}."


def wait_text(wait: NativeWait) -> str:
    """Return the nature of a wait and how it may end, as sentences."""
    owner = "the runtime itself" if wait.in_runtime else "a native library"
    ends = {
        "yes": "It can return, after a time-out or because of another process.",
        "unknown": "Only another thread of the process, or a signal, can end it. Nobody can see "
        "from outside whether one will. If none does, it is a deadlock.",
        "no": "No thread of the process can end it any more.",
    }[wait.can_return]
    return (
        f"The main thread waits in a call of {owner}: {wait_line(wait)}. The event loop does not "
        f"turn until the call returns. {ends}"
    )


def starved_text(motion: Activity) -> str:
    """Return the reason for the missing verdict, as sentences."""
    suspect = motion.suspect
    seen_text = (
        f" {signal_name(suspect.signal)} came to thread {suspect.thread} ({suspect.tid}) again and "
        "again, which may be a signal storm or normal work."
        if suspect is not None
        else ""
    )
    return (
        f"The process could run for {motion.able:.0%} of the time, and waited for a processor "
        f"otherwise. That was too little to see whether it hangs.{seen_text} Run diagnose again "
        "when the machine or the control group of the process is less busy."
    )
