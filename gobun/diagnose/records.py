"""The records of a diagnosis."""

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
"""The kind of a diagnosis.

- ``storm``: a signal storm that Go's SA_ONSTACK causes.
- ``other-storm``: a signal storm with another cause.
- ``taken``: a library replaced the handler that suspends threads.
- ``waits``: the main thread waits outside of the event loop, in a call that may return.
- ``starved``: the machine is too busy to judge the process.
- ``healthy``: Go is loaded and the process works.
- ``no-go``: the process works, and there is no Go in it."""

Movement = Literal["storm", "deadlock", "waits", "busy", "starved", "works", "ended"]


class RuntimeSeen(msgspec.Struct, frozen=True):
    """The runtime of a process, according to its executable."""

    name: str
    """``bun``, ``node``, ``deno``, or ``""`` for none of them."""
    version: str
    """The version; ``""`` if the executable does not contain it."""
    program: str
    compiled: bool = False
    """Whether ``bun build --compile`` made it: the application is inside the executable."""
    libc: str = ""
    """``glibc`` or ``musl``; ``""`` if neither is mapped."""

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
    """The Go version, such as ``go1.27.3``."""
    summary: str


class Storm(msgspec.Struct, frozen=True):
    """A signal that one thread gets all the time."""

    signal: int
    tid: int
    thread: str
    is_main: bool
    share: float
    """The share of the looks in which it was pending or being handled, from 0 to 1."""
    switches_a_second: int
    sender: str = ""
    """The thread that sends it, or seems to, as ``name (tid)``; ``""`` if unknown."""


class NativeWait(msgspec.Struct, frozen=True):
    """A call in which the main thread waits outside of the event loop."""

    library: str
    """The file whose code made the call, as far as the stack shows."""
    function: str
    """As in ``observe.Caller``; ``""`` if unknown."""
    call: str
    """The system call."""
    why: str
    """The object of the wait, in one phrase."""
    seconds: float
    """The shortest possible duration of the wait, in seconds."""
    can_return: Answer
    """As in ``observe.Blocked``."""
    wakes: Wakes
    in_runtime: bool
    """Whether the runtime's own code made the call, and not a library."""


class Activity(msgspec.Struct, frozen=True):
    """The activity of a process while it was watched."""

    kind: Movement
    detail: str
    seconds: float
    storm: Storm | None = None
    suspect: Storm | None = None
    """A signal that was seen in one thread repeatedly, which may be a storm."""
    wait: NativeWait | None = None
    able: float = 1.0
    """The share of the time in which the process could run, from 0 to 1."""


class LostHandler(msgspec.Struct, frozen=True):
    """A suspend signal that no longer reaches the runtime's handler."""

    signal: int
    how: Literal["handled", "ignored"]
    libraries: tuple[str, ...]
    """The file that contains the handler. An ignored signal has no handler: if Go ignores it, these
    are the Go libraries, of which one most likely did it."""
    is_go: bool
    """Whether Go did it, as the handler's file or flags show."""


class Remedy(msgspec.Struct, frozen=True):
    """A change that may help, as an instruction for the user."""

    do: str
    costs: str = ""
    """Its risk or limitation."""


class Diagnosis(msgspec.Struct, frozen=True):
    """The diagnosis of a process, with its remedies."""

    pid: int
    kind: Kind
    runtime: RuntimeSeen
    libraries: tuple[GoLibrary, ...]
    motion: Activity
    snapshot: Snapshot | None
    suspend_signal: int | None
    """The signal with which JavaScriptCore suspends threads here; None for other engines."""
    armed: bool
    """Whether the suspend handler has SA_ONSTACK, without the guard, and the main thread has an
    alternate stack. A release that does not support this hangs once something suspends the main
    thread."""
    cause: str
    taken: LostHandler | None = None
    """The loss of the suspend handler. The next suspension then never ends, on any release."""
    help: tuple[Remedy, ...] = ()
    notes: tuple[str, ...] = ()
    backtrace: str = ""

    @property
    def is_stuck(self) -> bool:
        """Whether the process fails to do its work."""
        return self.kind in {"storm", "other-storm", "taken", "deadlock", "busy"}

    @property
    def worth_telling(self) -> bool:
        """Whether to interrupt a user who only runs an application."""
        return self.is_stuck or self.kind == "waits" or self.taken is not None

    @property
    def verdict(self) -> tuple[Kind, bool]:
        """The fields by which two diagnoses of a process differ."""
        return self.kind, self.taken is not None
