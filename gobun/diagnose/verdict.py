"""Turns facts about a process into a verdict and one paragraph on the cause; pure functions."""

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

    from gobun.diagnose.records import LostHandler


_BUSY_SHARE = 0.8


class Facts(msgspec.Struct, frozen=True):
    """All known facts about a process."""

    pid: int
    runtime: RuntimeSeen
    libraries: tuple[GoLibrary, ...]
    motion: Activity
    snapshot: Snapshot | None
    suspend_signal: int | None
    unread_files: tuple[str, ...] = ()
    """Mapped files that could not be searched for Go."""
    container: str = ""
    """A note if the process is in another container, else ``""``."""


def judge(facts: Facts) -> Diagnosis:
    """Return the diagnosis that follows from ``facts``."""
    if facts.motion.kind == "starved" and _suspension_fails(facts):
        # This handler can never accept the signal, so JavaScriptCore sends it forever, even if a
        # busy machine makes that seldom.
        motion = msgspec.structs.replace(facts.motion, kind="storm", storm=facts.motion.suspect)
        facts = msgspec.structs.replace(facts, motion=motion)
    lost_handler = find_taken(facts.snapshot, facts.suspend_signal, facts.runtime, facts.libraries)
    kind, armed = _kind(facts, lost_handler), _armed(facts)
    return Diagnosis(
        pid=facts.pid,
        kind=kind,
        runtime=facts.runtime,
        libraries=facts.libraries,
        motion=facts.motion,
        snapshot=facts.snapshot,
        suspend_signal=facts.suspend_signal,
        armed=armed,
        cause=_cause(facts, kind, lost_handler, armed=armed),
        taken=lost_handler,
        help=remedies_for(
            kind,
            facts.runtime.name,
            facts.runtime.version,
            armed=armed and not is_fixed_in(facts.runtime.version),
            handler_is_lost=lost_handler is not None,
        ),
        notes=tuple(_notes(facts)),
    )


def _kind(facts: Facts, taken: LostHandler | None) -> Kind:
    motion = facts.motion
    if taken is not None and _is_suspended(motion):
        return "taken"
    if motion.kind == "storm":
        return "storm" if _by_go(facts) else "other-storm"
    if motion.kind == "works":
        return "healthy" if facts.libraries else "no-go"
    return motion.kind


def _is_suspended(motion: Activity) -> bool:
    """Whether the main thread waits for another thread, in the runtime's own code."""
    if motion.kind not in {"deadlock", "waits"}:
        return False
    wait = motion.wait
    return motion.kind == "deadlock" if wait is None else wait.in_runtime and wait.wakes == "thread"


def _suspension_fails(facts: Facts) -> bool:
    """Whether a thread gets the suspend signal and its handler can never accept it."""
    suspect, snapshot = facts.motion.suspect, facts.snapshot
    if suspect is None or snapshot is None or suspect.signal != facts.suspend_signal:
        return False
    if not facts.libraries or is_fixed_in(facts.runtime.version):
        return False
    return _has_unguarded_flag(snapshot.handler(suspect.signal)) and _alternate_of(
        snapshot, suspect.tid
    )


def _by_go(facts: Facts) -> bool:
    """Whether Go's flag causes a storm.

    If the handlers could not be read, the suspend signal and a Go runtime are enough.
    """
    storm, snapshot = facts.motion.storm, facts.snapshot
    if storm is None or not facts.libraries:
        return False
    if snapshot is None or not snapshot.handlers:
        return storm.signal == facts.suspend_signal
    handler = snapshot.handler(storm.signal)
    return _has_unguarded_flag(handler) and _alternate_of(snapshot, storm.tid)


def _has_unguarded_flag(handler: Handler | None) -> bool:
    """Whether a handler has Go's flag and no guard that corrects it."""
    return handler is not None and handler.on_stack and not handler.guarded


def _alternate_of(snapshot: Snapshot, tid: int) -> bool:
    return any(t.seen.tid == tid and t.alternate is not None for t in snapshot.threads)


def _armed(facts: Facts) -> bool:
    snapshot = facts.snapshot
    if snapshot is None or facts.suspend_signal is None or not facts.libraries:
        return False
    handler = snapshot.handler(facts.suspend_signal)
    return _has_unguarded_flag(handler) and _alternate_of(snapshot, facts.pid)


def _cause(facts: Facts, kind: Kind, taken: LostHandler | None, *, armed: bool) -> str:
    if taken is not None and kind in {"taken", "healthy", "no-go"}:
        return taken_text(taken, is_hung=kind == "taken")
    if kind == "storm":
        return _storm_cause(facts)
    if kind == "ended":
        return f"The process has ended: {facts.motion.detail}."
    if kind == "no-go":
        return "It works. There is no Go library in it, so it cannot get the hang that Go causes."
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
            "The main thread waits for another thread, and no thread runs. No signal is involved."
            f"{where} {go} To see which lock it is, run: gdb -p {facts.pid} -batch -ex "
            "'thread apply all bt'."
        )
    if kind == "busy":
        return (
            "The main thread computes all the time, in an endless loop or a long computation. No "
            f"storm of signals interrupts it. {go}"
        )
    storm = facts.motion.storm
    name = signal_name(storm.signal) if storm is not None else "a signal"
    return (
        f"{name} arrives at one thread again and again, and keeps it from all other work. Go is "
        f"not the cause: {_why_not_go(facts)}."
    )


def _why_healthy(facts: Facts, *, armed: bool) -> str:
    if facts.suspend_signal is None:
        return "This runtime does not suspend its threads with a signal."
    suspends = signal_name(facts.suspend_signal)
    if armed:
        return (
            f"JavaScriptCore suspends threads with {suspends}. Go has put SA_ONSTACK on its "
            f"handler, and the main thread has an alternate stack. {_what_then(facts)}"
        )
    return _missing_handler_text(facts, suspends)


def _what_then(facts: Facts) -> str:
    if is_fixed_in(facts.runtime.version):
        return "The handler of this release copes with that."
    return (
        "The handler of this release does not cope with that. The process hangs once something "
        "suspends the main thread, such as a profiler, or on 1.2.2 to 1.2.19 the garbage collector "
        "of an idle process."
    )


def _missing_handler_text(facts: Facts, suspends: str) -> str:
    if facts.snapshot is None or not facts.snapshot.handlers:
        return f"It is not known whether the handler of {suspends} has SA_ONSTACK."
    handler = facts.snapshot.handler(facts.suspend_signal or 0)
    if handler is not None and handler.guarded:
        return (
            f"JavaScriptCore suspends threads with {suspends}. The signal guard "
            f"({PurePath(handler.owner).name}) runs its handler on the thread's own stack, "
            "whatever flag Go has put on it."
        )
    return f"JavaScriptCore suspends threads with {suspends}. Go has not changed its handler."


def _storm_cause(facts: Facts) -> str:
    storm = facts.motion.storm
    if storm is None:  # a storm always has one
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
        f"{_go_text(facts)} When that runtime started, it put SA_ONSTACK on the handler of "
        f"{name}, the signal with which JavaScriptCore suspends a thread. Since then the handler "
        f"runs on the alternate stack{size} of {whom}. There it finds that it is not on the "
        "thread's own stack, takes this for a bad moment, and asks for the signal again, forever. "
        f"{sender} sends it {storm.switches_a_second:,} times a second{_busy_text(facts)}, so the "
        "event loop does not turn any more."
    )


def _busy_text(facts: Facts) -> str:
    able = facts.motion.able
    return (
        f" on a machine that lets it run for {able:.0%} of the time" if able < _BUSY_SHARE else ""
    )


def _why_not_go(facts: Facts) -> str:
    if not facts.libraries:
        return "there is no Go in the process"
    storm, snapshot = facts.motion.storm, facts.snapshot
    handler = snapshot.handler(storm.signal) if snapshot is not None and storm is not None else None
    if handler is not None and handler.guarded:
        return (
            f"the signal guard ({PurePath(handler.owner).name}) runs the handler on the right stack"
        )
    return "the handler does not have SA_ONSTACK, or the thread has no alternate stack"


def _go_text(facts: Facts) -> str:
    names = [f"{PurePath(library.path).name} ({library.version})" for library in facts.libraries]
    if not names:
        return "There is no Go in the process."
    if len(names) == 1:
        return f"{names[0]} has a Go runtime in it."
    return f"There are {len(names)} Go runtimes in the process: {', '.join(names)}."


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
    if facts.unread_files:
        names = ", ".join(PurePath(path).name for path in facts.unread_files[:3])
        more = f" and {len(facts.unread_files) - 3} more" if len(facts.unread_files) > 3 else ""
        yield f"diagnose could not search these mapped files for Go: {names}{more}"
    if facts.runtime.name == "bun" and not facts.runtime.version:
        yield "the executable does not contain its version, so some advice may be for another Bun"
