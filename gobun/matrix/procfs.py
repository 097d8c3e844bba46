"""What ``/proc`` says of a process's threads; empty where there is no such thing."""

from __future__ import annotations

from pathlib import Path

import msgspec

_PROC = Path("/proc")


class Thread(msgspec.Struct, frozen=True):
    """A thread at one moment."""

    tid: int
    name: str
    state: str
    """``R`` running, ``S`` sleeping, ``D`` waiting for a device, ``T`` stopped, ``Z`` gone."""
    cpu_ticks: int
    """User and system time in clock ticks (``sysconf(_SC_CLK_TCK)``, 100 a second)."""
    switches: int
    """Context switches, voluntary or not."""
    waits_in: str
    """The kernel function it waits in, where the kernel tells."""
    pending: int
    """Signals sent to this thread and not handled yet, as a bit mask (bit 0 is signal 1)."""
    blocked: int
    """Signals it does not accept now, as a bit mask."""


def threads(pid: int) -> tuple[Thread, ...]:
    """Return the threads of ``pid``; empty when it is gone."""
    try:
        folders = sorted((_PROC / str(pid) / "task").iterdir(), key=lambda path: int(path.name))
    except OSError:
        return ()
    return tuple(found for folder in folders if (found := _thread(folder)) is not None)


def main_signals(pid: int) -> tuple[int, int]:
    """Return the pending and the blocked signals of the main thread, as bit masks.

    A thread blocks a signal while it handles it.
    """
    fields = _status(_PROC / str(pid) / "task" / str(pid))
    return _mask(fields, "SigPnd"), _mask(fields, "SigBlk")


def signal_numbers(mask: int) -> list[int]:
    """Return the numbers of the signals in a mask, ascending."""
    return [bit + 1 for bit in range(64) if mask >> bit & 1]


def _thread(folder: Path) -> Thread | None:
    fields = _status(folder)
    try:
        stat = (folder / "stat").read_text()
        wchan = (folder / "wchan").read_text()
    except OSError:
        return None
    if not fields:
        return None
    # The name stands in parentheses and may itself hold any character.
    after_name = stat.rpartition(")")[2].split()
    return Thread(
        tid=int(folder.name),
        name=fields.get("Name", "?"),
        state=after_name[0],
        cpu_ticks=int(after_name[11]) + int(after_name[12]),
        switches=int(fields.get("voluntary_ctxt_switches", 0))
        + int(fields.get("nonvoluntary_ctxt_switches", 0)),
        waits_in="" if wchan == "0" else wchan,
        pending=_mask(fields, "SigPnd"),
        blocked=_mask(fields, "SigBlk"),
    )


def _status(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / "status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key: value.strip() for key, _, value in pairs}


def _mask(fields: dict[str, str], key: str) -> int:
    return int(fields.get(key, "0"), 16)
