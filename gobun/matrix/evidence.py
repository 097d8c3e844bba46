"""What is kept of a cell that did not pass: what it printed, how far it got, its threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

from gobun import files, observe
from gobun.matrix.classify import Event, last_step
from gobun.observe import Snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.matrix.records import Cell, Ending


class Means:
    """What a process can be looked at with, shared by the cells of a run."""

    def __init__(self, inspector: Path | None = None, *, gdb: bool = False) -> None:
        """Look with the program ``inspector``, where there is one, and with gdb, where asked."""
        self.inspector = inspector
        self._gdb = gdb
        self._traced: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def wants_backtrace(self, cell: Cell) -> bool:
        """Return whether to have gdb look: once a version, treatment and stress.

        gdb takes most of a second for a runtime, and cells that differ in module and way of
        loading alone mostly hang in the same place.
        """
        key = (cell.runtime, cell.version, cell.treatment, cell.stress)
        with self._lock:
            if not self._gdb or key in self._traced:
                return False
            self._traced.add(key)
            return True


class Seen(msgspec.Struct):
    """What was seen of a cell while it ran."""

    output: str = ""
    events: tuple[Event, ...] = ()
    snapshot: Snapshot | None = None
    backtrace: str = ""

    def look_at(self, pid: int, cell: Cell | None = None, means: Means | None = None) -> None:
        """Look at a process that is about to be killed."""
        means = means or Means()
        self.snapshot = observe.take_snapshot(pid, means.inspector)
        if cell is not None and means.wants_backtrace(cell):
            self.backtrace = observe.backtrace(pid)


def keep(seen: Seen, cell: Cell, ending: Ending, out: Path) -> tuple[str, ...]:
    """Write what was seen of a cell that needs explaining; return the paths, relative to ``out``.

    ``threads.txt`` is for people, ``process.json`` for programs: a ``Snapshot``.

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
    if seen.snapshot is not None and seen.snapshot.threads:
        written["threads.txt"] = f"{said}\n{observe.render_snapshot(seen.snapshot)}"
        if seen.snapshot.handlers:
            written["process.json"] = msgspec.json.encode(seen.snapshot).decode() + "\n"
    if seen.backtrace:
        written["backtrace.txt"] = f"{said}\n{seen.backtrace}"
    for name, text in written.items():
        files.write_whole(folder / name, text)
    return tuple((folder / name).relative_to(out).as_posix() for name in written)


def read_snapshot(path: Path) -> Snapshot:
    """Return what ``process.json`` holds."""
    return msgspec.json.decode(path.read_bytes(), type=Snapshot)
