"""What is kept of a cell that did not pass: what it printed, how far it got, its threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun import files
from gobun.matrix import procfs
from gobun.matrix.classify import Event, last_step
from gobun.matrix.procfs import Thread
from gobun.matrix.watch import signal_name

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.matrix.records import Cell, Ending


class Seen(msgspec.Struct):
    """What was seen of a cell while it ran."""

    output: str = ""
    events: tuple[Event, ...] = ()
    threads: tuple[Thread, ...] = ()

    def look_at(self, pid: int) -> None:
        """Note the threads of a process that is about to be killed."""
        self.threads = procfs.threads(pid)


def keep(seen: Seen, cell: Cell, ending: Ending, out: Path) -> tuple[str, ...]:
    """Write what was seen of a cell that needs explaining; return the paths, relative to ``out``.

    Raises:
        PrerequisiteError: ``out`` cannot be written.
    """
    if ending.outcome in {"pass", "skip"}:
        return ()
    folder = out / "evidence" / cell.name.replace("/", "_")
    said = (
        f"{cell.name}: {ending.outcome}\n{ending.detail}\n"
        f"last step: {last_step(seen.events)} ({len(seen.events)} events)\n"
    )
    written = {"output.txt": f"{said}\n{seen.output}"}
    if seen.threads:
        written["threads.txt"] = f"{said}\n{thread_table(seen.threads)}"
    for name, text in written.items():
        files.write_whole(folder / name, text)
    return tuple((folder / name).relative_to(out).as_posix() for name in written)


def thread_table(threads: tuple[Thread, ...]) -> str:
    """Return threads as a table, one a line."""
    head = f"{'tid':>8} {'state':5} {'cpu ticks':>9} {'switches':>9} {'waits in':20} name"
    lines = [head]
    for thread in threads:
        signals = procfs.signal_numbers(thread.pending | thread.blocked)
        held = " ".join(signal_name(number) for number in signals[:4])
        more = f" … {len(signals)} in all" if len(signals) > 4 else ""
        note = f"  (pending or blocked: {held}{more})" if held else ""
        lines.append(
            f"{thread.tid:>8} {thread.state:5} {thread.cpu_ticks:>9} {thread.switches:>9} "
            f"{thread.waits_in:20} {thread.name}{note}"
        )
    return "\n".join(lines) + "\n"
