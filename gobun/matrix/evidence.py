"""The evidence of a cell that did not pass: its output, its steps and its threads."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import files, observe
from gobun.matrix.classify import Event, last_step, steps
from gobun.observe import Snapshot

if TYPE_CHECKING:
    from gobun.cells.records import Cell, Ending

CORE_NAME = "core"
CORE_BYTES = 256 << 20
"""Largest core that is kept, in bytes. A core of Bun holds a few megabytes."""
MOST_BACKTRACES = 32
"""Maximum number of times that one run starts gdb."""


class EvidenceTools:
    """The tools to examine a process with, shared by the cells of a run."""

    def __init__(
        self, inspector: Path | None = None, *, gdb: bool = False, cores: bool = False
    ) -> None:
        """Examine processes with the program ``inspector``, if any, and with gdb if requested.

        With ``cores``, a process that crashes leaves its core.
        """
        self.inspector = inspector
        self.cores = cores
        self._gdb = gdb
        self._backtraces_left = MOST_BACKTRACES
        self._collected: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def wants_backtrace(self, cell: Cell) -> bool:
        """Return whether to run gdb: once for each version and treatment, and seldom in all.

        gdb takes most of a second for a runtime. Cells of the same version and treatment mostly
        hang in the same place. A run of every release would spend minutes on backtraces.
        """
        if not self._gdb or not self._is_first("backtrace", cell):
            return False
        with self._lock:
            self._backtraces_left -= 1
            return self._backtraces_left >= 0

    def wants_core(self, cell: Cell) -> bool:
        """Return whether to keep a crash's core: once for each version, treatment and stress."""
        return self._is_first("core", cell, cell.stress)

    def _is_first(self, kind: str, cell: Cell, *more: str) -> bool:
        key = (kind, cell.runtime, cell.version, cell.treatment, *more)
        with self._lock:
            if key in self._collected:
                return False
            self._collected.add(key)
            return True


class Crash(msgspec.Struct, frozen=True):
    """A process that a signal ended."""

    pid: int
    program: str
    folder: Path
    """The folder that it ran in."""
    started_at: float
    """Its start time, in seconds since the epoch."""


class Observation(msgspec.Struct):
    """The observations of a cell while it ran."""

    output: str = ""
    events: tuple[Event, ...] = ()
    """The steps it reported."""
    reported_events: int = 0
    """The number of events it reported, heartbeats included."""
    snapshot: Snapshot | None = None
    backtrace: str = ""
    core: str = ""
    """The result of collecting the core of a crash; empty if no core was requested."""
    core_kept: bool = False
    problem: str = ""
    """The reason why the process could not be examined; empty if it could."""
    mapped: bool = False
    """Whether the harness saw the module mapped in the process."""
    go: bool = False
    """Whether that module has a Go runtime in it."""
    is_starved: bool = False
    """Whether the machine kept the process from running for most of the time."""

    def look_at(
        self, pid: int, cell: Cell | None = None, means: EvidenceTools | None = None
    ) -> None:
        """Stop and examine a process that is about to be killed."""
        means = means or EvidenceTools()
        self.snapshot = observe.take_snapshot(pid, means.inspector, will_be_killed=True)
        if cell is not None and means.wants_backtrace(cell):
            self.backtrace = observe.backtrace(pid)

    def take_core(self, crash: Crash, cell: Cell, means: EvidenceTools, out: Path) -> None:
        """Copy the core of a crash to the evidence, and add its backtraces if gdb was requested."""
        core = observe.find_core(crash.pid, crash.folder, crash.started_at)
        if isinstance(core, str):
            self.core = f"no core: {core}"
            return
        if not means.wants_core(cell):
            self.core = "no core: another cell of this version, treatment and stress has one"
            return
        copy = folder_of(cell, out) / CORE_NAME
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            data_bytes = files.copy_filled(core, copy, most=CORE_BYTES)
        except OSError as error:
            copy.unlink(missing_ok=True)
            self.core = f"no core: {error.strerror}"
            return
        self.core = f"core: {data_bytes / 1e6:.1f} MB, sparse; `gdb {crash.program} {CORE_NAME}`"
        self.core_kept = True
        if means.wants_backtrace(cell):
            self.backtrace = observe.core_backtrace(crash.program, copy)


def folder_of(cell: Cell, out: Path) -> Path:
    """Return the folder of a cell's evidence."""
    # Some artifact stores reject a colon in a name.
    return out / "evidence" / cell.name.replace("/", "_").replace(":", "-")


def write_evidence(
    observation: Observation, cell: Cell, ending: Ending, out: Path
) -> tuple[str, ...]:
    """Write the evidence of a cell, and return the paths, relative to ``out``.

    A cell that passed or was skipped has no evidence.

    ``threads.txt`` is for people. ``process.json`` is for programs and holds a ``Snapshot``.

    Raises:
        PrerequisiteError: ``out`` cannot be written.
    """
    if ending.outcome in {"pass", "skip"}:
        return ()
    folder = folder_of(cell, out)
    lines = (
        f"{cell.name}: {ending.outcome}\n{ending.detail}\n"
        f"last step: {last_step(observation.events)} ({observation.reported_events} events)\n"
        + "".join(f"  {event.text}\n" for event in steps(observation.events))
        + "".join(f"{each}\n" for each in (observation.core, observation.problem) if each)
    )
    contents = {"output.txt": f"{lines}\n{observation.output}"}
    if observation.snapshot is not None and observation.snapshot.threads:
        contents["threads.txt"] = f"{lines}\n{observe.render_snapshot(observation.snapshot)}"
        if observation.snapshot.handlers:
            contents["process.json"] = msgspec.json.encode(observation.snapshot).decode() + "\n"
    if observation.backtrace:
        contents["backtrace.txt"] = f"{lines}\n{observation.backtrace}"
    for name, text in contents.items():
        files.write_whole(folder / name, text)
    names = [*contents, *([CORE_NAME] if observation.core_kept else [])]
    return tuple((folder / name).relative_to(out).as_posix() for name in names)
