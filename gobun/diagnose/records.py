"""What a diagnosis consists of."""

from __future__ import annotations

from typing import Literal

import msgspec

from gobun.observe import Answer, Snapshot, Wakes

Kind = Literal[
    "storm",
    "other-storm",
    "taken",
    "deadlock",
    "waits",
    "busy",
    "starved",
    "healthy",
    "no-go",
    "ended",
]
"""``storm``: a signal storm that Go's SA_ONSTACK makes. ``other-storm``: one it does not.
``taken``: a library has put its own handler in the place of the one that suspends threads.
``waits``: the main thread waits in a call that may return, outside of the event loop.
``starved``: the machine is too busy to tell.
``healthy``: Go is loaded and the process works. ``no-go``: it works, and there is no Go in it."""

Movement = Literal["storm", "deadlock", "waits", "busy", "starved", "works", "ended"]


class RuntimeSeen(msgspec.Struct, frozen=True):
    """Which runtime a process is, by what its executable says of itself."""

    name: str
    """``bun``, ``node``, ``deno``, or ``""`` for none of them."""
    version: str
    """``""`` where the executable does not say."""
    program: str
    compiled: bool = False
    """Made by ``bun build --compile``: the application is inside the executable."""
    libc: str = ""
    """``glibc`` or ``musl``; ``""`` where neither is mapped."""

    @property
    def label(self) -> str:
        """The runtime as people write it."""
        if not self.name:
            return "no JavaScript runtime known here"
        label = f"{self.name}@{self.version}" if self.version else self.name
        label += " for musl" if self.libc == "musl" else ""
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


class NativeWait(msgspec.Struct, frozen=True):
    """A call in which the main thread waits, outside of the event loop."""

    library: str
    """The file whose code made the call, as far as the stack tells."""
    function: str
    """By which that file was entered; ``""`` where its symbols do not tell."""
    call: str
    """The system call."""
    why: str
    """What it waits for, in one phrase."""
    seconds: float
    """For how long at least."""
    can_return: Answer
    """``yes``: it ends by itself or from outside. ``unknown``: another thread has to end it."""
    wakes: Wakes
    in_runtime: bool
    """It is the runtime's own code that waits, and no library's."""


class Activity(msgspec.Struct, frozen=True):
    """How a process moved while it was watched."""

    kind: Movement
    detail: str
    seconds: float
    storm: Storm | None = None
    suspect: Storm | None = None
    """A signal that was seen in one thread again and again, which may be a storm or none."""
    wait: NativeWait | None = None
    able: float = 1.0
    """The share of the time in which the process could run, from 0 to 1."""


class Taken(msgspec.Struct, frozen=True):
    """The suspend signal no longer reaches the runtime's handler."""

    signal: int
    how: Literal["handled", "ignored"]
    libraries: tuple[str, ...]
    """The file that the handler is in. An ignored signal has none: the Go libraries, of which one
    most likely did it."""
    is_go: bool
    """Whether Go did it, by the handler's file or by the flags that Go sets."""


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
    taken: Taken | None = None
    """The next suspension never ends, on every release."""
    help: tuple[Remedy, ...] = ()
    notes: tuple[str, ...] = ()
    backtrace: str = ""

    @property
    def stuck(self) -> bool:
        """Whether the process does no work that it should."""
        return self.kind in {"storm", "other-storm", "taken", "deadlock", "busy"}

    @property
    def worth_telling(self) -> bool:
        """Whether a person who only runs an application wants to be interrupted by this."""
        return self.stuck or self.kind == "waits" or self.taken is not None

    @property
    def verdict(self) -> tuple[Kind, bool]:
        """What tells one diagnosis of a process from another."""
        return self.kind, self.taken is not None
