"""A snapshot as text, for a person who debugs a hung process."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from gobun.console import pluralize
from gobun.observe.signals import flag_names, mask_text, signal_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gobun.observe.snapshot import Handler, Snapshot, Stack, ThreadView

_LIBC_OWN = {32, 33}


def render_snapshot(snapshot: Snapshot) -> str:
    """Return threads and signal handlers, one per line, and the details of each thread."""
    lines = [f"process {snapshot.pid}, {pluralize(len(snapshot.threads), 'thread')}"]
    if snapshot.problem:
        lines.append(f"not asked for its handlers and stacks: {snapshot.problem}")
    lines += ["", *_table(snapshot), "", *_details(snapshot)]
    if snapshot.handlers:
        lines += ["", "signals not at their default:", *_handlers(snapshot)]
    return "\n".join(lines) + "\n"


def handler_text(handler: Handler) -> str:
    """Return the handling of a signal: ``handler in bun (0x2b1f40), SA_ONSTACK SA_RESTART``."""
    if handler.ignored:
        return "ignored"
    where = PurePath(handler.owner).name or "memory of no file"
    return f"handler in {where} ({handler.address:#x}), {' '.join(flag_names(handler.flags))}"


def stack_text(stack: Stack) -> str:
    """Return a stack's size and lowest address: ``8 MiB at 0x7ffd3c00``."""
    unit, size = ("MiB", stack.size / 2**20) if stack.size >= 2**20 else ("KiB", stack.size / 2**10)
    return f"{size:.4g} {unit} at {stack.start:#x}"


def _table(snapshot: Snapshot) -> Iterator[str]:
    head = f"{'tid':>8} {'state':5} {'cpu ticks':>9} {'switches':>9}"
    yield f"{head} {'system call':16} {'waits in':24} {'stack':>9} {'alternate':>9} name"
    for thread in snapshot.threads:
        seen = thread.seen
        yield (
            f"{seen.tid:>8} {seen.state:5} {seen.cpu_ticks:>9} {seen.switches:>9} "
            f"{thread.syscall:16} {seen.waits_in:24} {_size(thread.stack, thread):>9} "
            f"{_size(thread.alternate, thread):>9} {seen.name}"
        )


def _size(stack: Stack | None, thread: ThreadView) -> str:
    if stack is None:
        return "none" if thread.asked else "?"
    return f"{stack.size / 2**10:.0f}K"


def _details(snapshot: Snapshot) -> Iterator[str]:
    for thread in snapshot.threads:
        seen = thread.seen
        parts = [f"blocked: {mask_text(seen.blocked)}"] if seen.blocked else []
        if seen.pending:
            parts.append(f"pending: {mask_text(seen.pending)}")
        if thread.pc:
            where = PurePath(thread.pc_in).name or "memory of no file"
            parts.append(f"runs {where} at {thread.pc:#x}, stack pointer {thread.sp:#x}")
        if thread.stack is not None:
            parts.append(f"stack: {stack_text(thread.stack)}")
        if thread.alternate is not None:
            now = ", running on it now" if thread.on_alternate else ""
            parts.append(f"alternate stack: {stack_text(thread.alternate)}{now}")
        if thread.problem:
            parts.append(f"not asked: {thread.problem}")
        yield f"{seen.tid} {seen.name}: {'; '.join(parts) or 'nothing to add'}"
    if snapshot.threads and snapshot.threads[0].seen.shared:
        yield f"pending for the process: {mask_text(snapshot.threads[0].seen.shared)}"


def _handlers(snapshot: Snapshot) -> Iterator[str]:
    for handler in snapshot.handlers:
        if handler.number not in _LIBC_OWN:
            yield f"  {signal_name(handler.number):14} {handler_text(handler)}"
