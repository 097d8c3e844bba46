"""From what was seen to a verdict and one paragraph of cause: pure."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import msgspec

from gobun.diagnose.records import Activity, Diagnosis, GoLibrary, Kind, RuntimeSeen
from gobun.diagnose.remedies import is_fixed_in, remedies_for
from gobun.diagnose.takeover import find_taken, taken_text
from gobun.diagnose.wait_texts import place_text, starved_text, wait_text
from gobun.observe import Handler, Snapshot, signal_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gobun.diagnose.records import Taken


_BUSY = 0.8


class Facts(msgspec.Struct, frozen=True):
    """Everything that was seen of a process."""

    pid: int
    runtime: RuntimeSeen
    libraries: tuple[GoLibrary, ...]
    motion: Activity
    snapshot: Snapshot | None
    suspend_signal: int | None
    unread: tuple[str, ...] = ()
    """Mapped files that could not be searched for Go."""
    container: str = ""
    """A note on the process being in another container, or ``""``."""


def judge(facts: Facts) -> Diagnosis:
    """Return the diagnosis of what was seen."""
    if facts.motion.kind == "starved" and _suspension_fails(facts):
        # What is sent to a handler that cannot answer is sent for ever, however seldom that is.
        motion = msgspec.structs.replace(facts.motion, kind="storm", storm=facts.motion.suspect)
        facts = msgspec.structs.replace(facts, motion=motion)
    taken = find_taken(facts.snapshot, facts.suspend_signal, facts.runtime, facts.libraries)
    kind, armed = _kind(facts, taken), _armed(facts)
    return Diagnosis(
        pid=facts.pid,
        kind=kind,
        runtime=facts.runtime,
        libraries=facts.libraries,
        motion=facts.motion,
        snapshot=facts.snapshot,
        suspend_signal=facts.suspend_signal,
        armed=armed,
        cause=_cause(facts, kind, taken, armed=armed),
        taken=taken,
        help=remedies_for(
            kind,
            facts.runtime.name,
            facts.runtime.version,
            armed=armed and not is_fixed_in(facts.runtime.version),
            taken=taken is not None,
        ),
        notes=tuple(_notes(facts)),
    )


def _kind(facts: Facts, taken: Taken | None) -> Kind:
    motion = facts.motion
    if taken is not None and _is_suspended(motion):
        return "taken"
    if motion.kind == "storm":
        return "storm" if _by_go(facts) else "other-storm"
    if motion.kind == "works":
        return "healthy" if facts.libraries else "no-go"
    return motion.kind


def _is_suspended(motion: Activity) -> bool:
    """Whether the main thread waits for another one, in the runtime's own code."""
    if motion.kind not in {"deadlock", "waits"}:
        return False
    wait = motion.wait
    return motion.kind == "deadlock" if wait is None else wait.in_runtime and wait.wakes == "thread"


def _suspension_fails(facts: Facts) -> bool:
    """Whether a thread is sent the suspend signal, and has a handler that never takes it."""
    suspect, snapshot = facts.motion.suspect, facts.snapshot
    if suspect is None or snapshot is None or suspect.signal != facts.suspend_signal:
        return False
    if not facts.libraries or is_fixed_in(facts.runtime.version):
        return False
    return _flagged(snapshot.handler(suspect.signal)) and _alternate_of(snapshot, suspect.tid)


def _by_go(facts: Facts) -> bool:
    """Whether a storm is one that Go's flag makes.

    Where the process could not be asked for the flag, its suspend signal and a Go runtime have to
    do.
    """
    storm, snapshot = facts.motion.storm, facts.snapshot
    if storm is None or not facts.libraries:
        return False
    if snapshot is None or not snapshot.handlers:
        return storm.signal == facts.suspend_signal
    handler = snapshot.handler(storm.signal)
    return _flagged(handler) and _alternate_of(snapshot, storm.tid)


def _flagged(handler: Handler | None) -> bool:
    """Whether a handler has Go's flag, and no guard that makes up for it."""
    return handler is not None and handler.on_stack and not handler.guarded


def _alternate_of(snapshot: Snapshot, tid: int) -> bool:
    return any(t.seen.tid == tid and t.alternate is not None for t in snapshot.threads)


def _armed(facts: Facts) -> bool:
    snapshot = facts.snapshot
    if snapshot is None or facts.suspend_signal is None or not facts.libraries:
        return False
    handler = snapshot.handler(facts.suspend_signal)
    return _flagged(handler) and _alternate_of(snapshot, facts.pid)


def _cause(facts: Facts, kind: Kind, taken: Taken | None, *, armed: bool) -> str:
    if taken is not None and kind in {"taken", "healthy", "no-go"}:
        return taken_text(taken, hangs=kind == "taken")
    if kind == "storm":
        return _storm_cause(facts)
    if kind == "ended":
        return f"There is nothing to look at any more: {facts.motion.detail}."
    if kind == "no-go":
        return (
            "It works, and there is no Go library in it, so the hang this tool is for cannot come."
        )
    if kind == "healthy":
        return f"It works. {_go_text(facts)} {_why_healthy(facts, armed=armed)}"
    return _other_cause(facts, kind)


def _other_cause(facts: Facts, kind: Kind) -> str:
    go = _go_text(facts)
    if kind == "starved":
        return starved_text(facts.motion)
    if kind == "waits" and facts.motion.wait is not None:
        return f"{wait_text(facts.motion.wait)} {go}"
    if kind == "deadlock":
        where = f" {place_text(facts.motion.wait)}" if facts.motion.wait is not None else ""
        return (
            "The main thread waits for another thread, and none of them works. No signal takes "
            f"part in it.{where} {go} The backtraces say which lock: gdb -p {facts.pid} -batch -ex "
            "'thread apply all bt'."
        )
    if kind == "busy":
        return (
            "The main thread computes all the time, and no signal interrupts it more than it "
            f"should: an endless loop, or a long computation. {go}"
        )
    storm = facts.motion.storm
    name = signal_name(storm.signal) if storm is not None else "a signal"
    return (
        f"{name} is sent to one thread without end, and keeps it from everything else. That "
        f"is not what Go does to a handler: {_why_not_go(facts)}."
    )


def _why_healthy(facts: Facts, *, armed: bool) -> str:
    if facts.suspend_signal is None:
        return "This runtime does not suspend its threads by a signal."
    suspends = signal_name(facts.suspend_signal)
    if armed:
        return (
            f"Go has put SA_ONSTACK on the handler of {suspends}, by which JavaScriptCore suspends "
            f"a thread, and the main thread has an alternate stack. {_what_then(facts)}"
        )
    return _unarmed(facts, suspends)


def _what_then(facts: Facts) -> str:
    if is_fixed_in(facts.runtime.version):
        return "This release copes with that."
    return (
        "This release does not cope with that: it hangs once something suspends the main thread, "
        "as a profiler does (and on 1.2.2 to 1.2.19 the collector, while idle)."
    )


def _unarmed(facts: Facts, suspends: str) -> str:
    if facts.snapshot is None or not facts.snapshot.handlers:
        return f"Whether the handler of {suspends} has SA_ONSTACK could not be asked."
    handler = facts.snapshot.handler(facts.suspend_signal or 0)
    if handler is not None and handler.guarded:
        return (
            f"The signal guard ({PurePath(handler.owner).name}) is before the handler of "
            f"{suspends}, by which JavaScriptCore suspends a thread: it runs on the thread's own "
            "stack, whatever flag Go has put on it."
        )
    return f"The handler of {suspends}, by which JavaScriptCore suspends a thread, is as it was."


def _storm_cause(facts: Facts) -> str:
    storm = facts.motion.storm
    if storm is None:  # a storm without one is none
        return ""
    name = signal_name(storm.signal)
    whom = "the main thread" if storm.is_main else f"thread {storm.thread} ({storm.tid})"
    sender = storm.sender or "another thread"
    size = next(
        (
            f", {thread.alternate.size // 1024} KiB,"
            for thread in (facts.snapshot.threads if facts.snapshot else ())
            if thread.seen.tid == storm.tid and thread.alternate is not None
        ),
        "",
    )
    return (
        f"{_go_text(facts)} When its runtime started, it put SA_ONSTACK on the handler of {name}, "
        "by which JavaScriptCore suspends a thread. Since then that handler runs on the alternate "
        f"stack{size} of {whom}; it looks there whether it has interrupted JavaScript on the "
        "thread's own stack, finds that it has not, and asks to be sent again, for ever. "
        f"{sender} does so {storm.switches_a_second:,} times a second{_busy_text(facts)}, and the "
        "event loop does not turn any more."
    )


def _busy_text(facts: Facts) -> str:
    able = facts.motion.able
    return f" on a machine that lets it run for {able:.0%} of the time" if able < _BUSY else ""


def _why_not_go(facts: Facts) -> str:
    if not facts.libraries:
        return "there is no Go in the process"
    storm, snapshot = facts.motion.storm, facts.snapshot
    handler = snapshot.handler(storm.signal) if snapshot is not None and storm is not None else None
    if handler is not None and handler.guarded:
        return f"the signal guard ({PurePath(handler.owner).name}) is before the handler"
    return "the handler does not have SA_ONSTACK, or the thread has no alternate stack"


def _go_text(facts: Facts) -> str:
    names = [f"{PurePath(library.path).name} ({library.version})" for library in facts.libraries]
    if not names:
        return "There is no Go in the process."
    if len(names) == 1:
        return f"{names[0]} brings a Go runtime into the process."
    return f"{len(names)} Go runtimes are in the process: {', '.join(names)}."


def _notes(facts: Facts) -> Iterator[str]:
    if facts.container:
        yield facts.container
    if facts.runtime.libc == "musl":
        yield (
            "the process runs on musl, so what it loads has to be built or converted for musl: the "
            "guard is go-guard-linux-x64-musl.so (invoke build-guard --target linux-x64-musl), or "
            "linux-arm64-musl, and invoke convert-musl converts Go libraries (docs/alpine.md)"
        )
    if facts.snapshot is not None and facts.snapshot.problem:
        yield f"handlers and alternate stacks are not known: {facts.snapshot.problem}"
    if facts.unread:
        names = ", ".join(PurePath(path).name for path in facts.unread[:3])
        more = f" and {len(facts.unread) - 3} more" if len(facts.unread) > 3 else ""
        yield f"these mapped files could not be searched for Go: {names}{more}"
    if facts.runtime.name == "bun" and not facts.runtime.version:
        yield "the executable does not say which Bun it is, so the help may be for another one"
