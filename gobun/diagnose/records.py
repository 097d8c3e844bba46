"""What a diagnosis consists of."""

from __future__ import annotations

from typing import Literal

import msgspec

from gobun.observe import Snapshot

Kind = Literal["storm", "other-storm", "deadlock", "busy", "healthy", "no-go", "ended"]
"""``storm``: a signal storm that Go's SA_ONSTACK makes. ``other-storm``: one it does not.
``healthy``: Go is loaded and the process works. ``no-go``: it works, and there is no Go in it."""

Movement = Literal["storm", "deadlock", "busy", "works", "ended"]


class RuntimeSeen(msgspec.Struct, frozen=True):
    """Which runtime a process is, by what its executable says of itself."""

    name: str
    """``bun``, ``node``, ``deno``, or ``""`` for none of them."""
    version: str
    """``""`` where the executable does not say."""
    program: str
    compiled: bool = False
    """Made by ``bun build --compile``: the application is inside the executable."""

    @property
    def label(self) -> str:
        """The runtime as people write it."""
        if not self.name:
            return "no JavaScript runtime known here"
        label = f"{self.name}@{self.version}" if self.version else self.name
        return f"{label}, inside a compiled executable" if self.compiled else label


class GoLibrary(msgspec.Struct, frozen=True):
    """A mapped file with a Go runtime in it."""

    path: str
    version: str
    """Like ``go1.27.3``."""
    summary: str


class Storm(msgspec.Struct, frozen=True):
    """A signal that is forever sent to one thread."""

    signal: int
    tid: int
    thread: str
    is_main: bool
    share: float
    """In how many of the looks it was pending or being handled."""
    switches_a_second: int
    sender: str = ""
    """The thread that takes turns with it, ``name (tid)``; ``""`` where none stands out."""


class Activity(msgspec.Struct, frozen=True):
    """How a process moved while it was watched."""

    kind: Movement
    detail: str
    seconds: float
    storm: Storm | None = None


class Remedy(msgspec.Struct, frozen=True):
    """One thing that helps."""

    do: str
    costs: str = ""
    """Its risk, or what it does not do."""


class Diagnosis(msgspec.Struct, frozen=True):
    """What a process has, and what helps."""

    pid: int
    kind: Kind
    runtime: RuntimeSeen
    libraries: tuple[GoLibrary, ...]
    motion: Activity
    snapshot: Snapshot | None
    suspend_signal: int | None
    """By which JavaScriptCore suspends a thread here; None for other engines."""
    armed: bool
    """Its handler has SA_ONSTACK and the main thread has an alternate stack: a release that does
    not cope with that hangs once something suspends the main thread."""
    cause: str
    help: tuple[Remedy, ...] = ()
    notes: tuple[str, ...] = ()
    backtrace: str = ""

    @property
    def stuck(self) -> bool:
        """Whether the process does no work that it should."""
        return self.kind in {"storm", "other-storm", "deadlock", "busy"}
