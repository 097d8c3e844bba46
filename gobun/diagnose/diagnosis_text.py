"""A diagnosis as text: the verdict, the cause, the remedies, then the observations."""

from __future__ import annotations

import textwrap
from pathlib import PurePath
from typing import TYPE_CHECKING

from gobun.diagnose.wait_texts import wait_line
from gobun.observe import flag_names, signal_name, stack_text
from gobun.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gobun.diagnose.records import Diagnosis, Kind
    from gobun.observe import Handler, Snapshot, ThreadView

_WIDTH = 96
_LIBC_OWN = {32, 33}
_MOST_LISTED = 8
"""Most signals with the same handler that are listed individually."""
_TITLES: dict[Kind, str] = {
    "storm": "it hangs: a signal storm, because of Go's SA_ONSTACK",
    "other-storm": "it hangs: a signal storm, not because of Go",
    "taken": "it hangs: a library took the suspend signal",
    "deadlock": "it hangs: a deadlock",
    "waits": "it waits in a native call",
    "busy": "it computes without a pause",
    "starved": "no verdict: the machine is too busy",
    "healthy": "it works, with Go in it",
    "no-go": "it works, without Go in it",
    "ended": "it ended",
}


def render(diagnosis: Diagnosis) -> str:
    """Return the whole text of a diagnosis."""
    lines = [
        f"process {diagnosis.pid}: {title(diagnosis)}",
        "",
        *textwrap.wrap(diagnosis.cause, _WIDTH),
    ]
    if diagnosis.help:
        lines += ["", "what helps:"]
        for entry in diagnosis.help:
            lines += _item(entry.do)
            if entry.costs:
                lines += _item(entry.costs, "    ")
    if diagnosis.kind != "ended":
        lines += ["", "observations:", *_fact_lines(diagnosis)]
    for note in diagnosis.notes:
        lines += _item(f"note: {note}")
    if diagnosis.backtrace:
        lines += ["", diagnosis.backtrace.rstrip()]
    return "\n".join(printable(line) for text in lines for line in text.split("\n"))


def title(diagnosis: Diagnosis) -> str:
    """Return the verdict in one phrase."""
    if diagnosis.taken is not None and diagnosis.kind in {"healthy", "no-go"}:
        return "it works, but the next suspension will hang it"
    wait = diagnosis.motion.wait
    if diagnosis.kind == "waits" and wait is not None and wait.in_runtime:
        return "it waits in a call of the runtime"
    return _TITLES[diagnosis.kind]


def _item(text: str, indent: str = "  - ") -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent="    ")


def _fact_lines(diagnosis: Diagnosis) -> Iterator[str]:
    runtime = diagnosis.runtime
    yield f"  runtime: {runtime.label} ({runtime.program})"
    for library in diagnosis.libraries:
        yield f"  Go library: {library.path}, {library.summary}"
    if not diagnosis.libraries:
        yield "  Go library: none"
    yield from _item(f"{diagnosis.motion.detail}", "  watched: ")
    if diagnosis.motion.wait is not None:
        yield from _item(wait_line(diagnosis.motion.wait), "  waits: ")
    storm = diagnosis.motion.storm
    if storm is not None:
        sender = f", by {storm.sender}" if storm.sender else ""
        yield f"  storm: {signal_name(storm.signal)} to {storm.thread} ({storm.tid}){sender}"
    if diagnosis.snapshot is not None:
        yield from _answers(diagnosis, diagnosis.snapshot)


def _answers(diagnosis: Diagnosis, snapshot: Snapshot) -> Iterator[str]:
    same: dict[str, list[str]] = {}
    for handler in snapshot.handlers:
        if handler.number in _LIBC_OWN:
            continue
        suspends = handler.number == diagnosis.suspend_signal
        if handler.on_stack or suspends:
            same.setdefault(_handler(handler, suspends=suspends), []).append(
                signal_name(handler.number)
            )
    for text, names in same.items():
        is_long = len(names) > _MOST_LISTED  # Go may handle all 60 of them
        for name in [f"{names[0]} and {len(names) - 1} more"] if is_long else names:
            yield f"  {name}: {text}"
    groups: dict[str, list[ThreadView]] = {}
    for thread in snapshot.threads:
        if thread.alternate is not None:
            yield from _thread(thread, diagnosis.pid, groups)
    for text, threads in groups.items():
        yield f"  alternate stack: {text}, in {len(threads)} other threads"


def _handler(handler: Handler, *, suspends: bool) -> str:
    note = "; JavaScriptCore's suspend signal" if suspends else ""
    if handler.ignored:
        return f"ignored{note}"
    where = PurePath(handler.owner).name or "memory of no file"
    flag = (
        "SA_ONSTACK"
        if handler.on_stack
        else f"no SA_ONSTACK ({' '.join(flag_names(handler.flags))})"
    )
    return f"{flag}, handler in {where}{note}"


def _thread(
    thread: ThreadView, pid: int, similar_threads: dict[str, list[ThreadView]]
) -> Iterator[str]:
    if thread.alternate is None:
        return
    if thread.seen.tid != pid and not thread.on_alternate:
        similar_threads.setdefault(f"{thread.alternate.size // 1024} KiB", []).append(thread)
        return
    label = "the main thread" if thread.seen.tid == pid else f"{thread.seen.name}"
    now = ", running on it now" if thread.on_alternate else ""
    yield f"  alternate stack: {stack_text(thread.alternate)}, in {label}{now}"
