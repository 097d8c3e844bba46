"""Finds a library that handles or ignores the signal with which JavaScriptCore suspends threads.

Go's ``os/signal`` does this in ``signal.Ignore`` and ``signal.Notify``, if the list of signals is
empty or contains that signal. The suspended thread then never answers, and the thread that suspends
it waits forever. That is a deadlock, on every release.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from gobun.diagnose.records import GoLibrary, LostHandler, RuntimeSeen
from gobun.observe import SA_ONSTACK, signal_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.observe import Snapshot

_SA_SIGINFO, _SA_RESTART = 0x4, 0x10000000
_BY_GO = SA_ONSTACK | _SA_SIGINFO | _SA_RESTART
"""Flags that Go's runtime sets on every signal, even an ignored one (``setsig`` in os_linux.go)."""


def find_taken(
    snapshot: Snapshot | None,
    number: int | None,
    runtime: RuntimeSeen,
    libraries: Sequence[GoLibrary],
) -> LostHandler | None:
    """Return the library that took the suspend signal; None if there is none, or it is unknown.

    ``number`` is the suspend signal. A handler in the runtime's executable is the runtime's own. A
    guarded handler calls the runtime's handler, and a handler in no file may be generated code.
    Every other handler belongs to a library.
    """
    handler = snapshot.handler(number) if snapshot is not None and number is not None else None
    if handler is None or handler.guarded:
        return None
    in_go = tuple(library.path for library in libraries)
    if handler.ignored:
        by_go = bool(in_go) and handler.flags & _BY_GO == _BY_GO
        return LostHandler(handler.number, "ignored", in_go if by_go else (), by_go)
    if handler.owner in {"", runtime.program.removesuffix(" (deleted)")}:
        return None
    return LostHandler(handler.number, "handled", (handler.owner,), handler.owner in in_go)


def taken_text(taken: LostHandler, *, is_hung: bool) -> str:
    """Return sentences about the lost handler and its consequences."""
    name = signal_name(taken.signal)
    names = " or ".join(PurePath(path).name for path in taken.libraries)
    taker = f"{names or 'Something in the process'} {'(Go) ' if taken.is_go else ''}"
    action = "ignores" if taken.how == "ignored" else "has put its own handler on"
    effect = {
        "handled": "signal.Notify does that if its list of signals is empty or has this one",
        "ignored": "signal.Ignore does that",
    }[taken.how]
    by = f" In Go, {effect}." if taken.is_go else ""
    then = (
        "JavaScriptCore has sent it, and waits for an answer forever. So does the main thread."
        if is_hung
        else "The process works until something suspends a thread, such as the garbage collector "
        "or a profiler. Then it hangs forever, on every release of Bun."
    )
    return f"{taker}{action} {name}, with which JavaScriptCore suspends threads.{by} {then}"
