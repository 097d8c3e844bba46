"""Takes a snapshot of a process from ``/proc`` and the inspector, for evidence and diagnosis."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun.observe import memory, procfs
from gobun.observe.inspector import Inspection, inspect_process
from gobun.observe.signals import IGNORE_ACTION, SA_ONSTACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.observe.inspector import SignalReply, ThreadReply
    from gobun.observe.memory import Mapping

_PAGE = 4096
_THREAD_RECORD = 0x900
"""Approximate size in bytes of glibc's record of a thread, above its thread pointer at the upper
end of its stack."""

_MARK, _MARK_AT = b"GoGuard1", 8
"""The marker of the guard's entries, and its offset (``native/guard/entry.h``)."""


class Handler(msgspec.Struct, frozen=True):
    """The handling of a signal that is not at its default."""

    number: int
    ignored: bool
    on_stack: bool
    """Whether its handler runs on the alternate stack of a thread that has one (``SA_ONSTACK``)."""
    flags: int
    address: int
    owner: str
    """The file that contains the handler; ``""`` for code generated at run time."""
    blocks: int
    """Signals that are blocked while the handler runs, as a bit mask."""
    guarded: bool = False
    """Whether the handler is an entry of the guard (``native/guard``), which calls the real
    handler."""


class Stack(msgspec.Struct, frozen=True):
    """A thread's stack, as a range of memory."""

    start: int
    """The lowest address."""
    size: int
    """The size in bytes."""

    def holds(self, address: int) -> bool:
        """Whether a stack pointer is in the stack. An empty stack has it at the upper end."""
        return self.start < address <= self.start + self.size


class ThreadView(msgspec.Struct, frozen=True):
    """A thread: its data in ``/proc``, then the inspector's reply about it."""

    seen: procfs.Thread
    syscall: str
    asked: bool
    """Whether the inspector replied. If not, only ``problem`` of the fields below may be set."""
    pc: int = 0
    pc_in: str = ""
    """The file that contains the code at ``pc``."""
    sp: int = 0
    stack: Stack | None = None
    """Accurate to some KiB, because the kernel may have merged it with a neighbouring mapping."""
    alternate: Stack | None = None
    on_alternate: bool = False
    """Whether it runs on its alternate stack now: inside a handler that has ``SA_ONSTACK``."""
    problem: str = ""


class Snapshot(msgspec.Struct, frozen=True):
    """A process at one moment."""

    pid: int
    threads: tuple[ThreadView, ...]
    handlers: tuple[Handler, ...]
    problem: str = ""
    """The reason why the handlers and alternate stacks are unknown."""

    def handler(self, number: int) -> Handler | None:
        """Return the handling of a signal; None if it is the default or unknown."""
        return next((each for each in self.handlers if each.number == number), None)


def take_snapshot(
    pid: int,
    inspector: Path | None,
    *,
    will_be_killed: bool = False,
    spared_threads: Sequence[int] = (),
) -> Snapshot:
    """Take a snapshot of a process; without the program ``inspector``, only from ``/proc``.

    Threads in ``spared_threads`` are not stopped, so their stacks are unknown.

    With ``will_be_killed``, the process is stopped once ``/proc`` has been read, and stays stopped.
    Otherwise a process in an endless loop would take processor time from the inspector.
    """
    threads = procfs.threads(pid)
    calls = {thread.tid: procfs.syscall_of(pid, thread.tid) for thread in threads}
    maps = memory.mappings(pid)
    if will_be_killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    if inspector is None:
        inspection = Inspection(problem="there is no inspector for this platform")
    else:
        inspection = inspect_process(pid, inspector, spared_threads)
    answers = {answer.tid: answer for answer in inspection.threads}
    limit = stack_limit(pid)
    return Snapshot(
        pid,
        tuple(
            _thread(
                ThreadView(thread, calls[thread.tid], asked=False),
                answers.get(thread.tid),
                maps,
                main_limit=limit if thread.tid == pid else None,
            )
            for thread in threads
        ),
        tuple(_handler(pid, answer, maps) for answer in inspection.signals),
        inspection.problem,
    )


def stack_limit(pid: int) -> int:
    """Return the size limit of the main thread's stack in bytes; 0 for no limit or unknown."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max stack size"):
                return int(line.split()[3])
    return 0


def _handler(pid: int, answer: SignalReply, maps: Sequence[Mapping]) -> Handler:
    ignored = answer.handler == IGNORE_ACTION
    return Handler(
        number=answer.number,
        ignored=ignored,
        on_stack=bool(answer.flags & SA_ONSTACK) and not ignored,
        flags=answer.flags,
        address=answer.handler,
        owner="" if ignored else memory.owner(maps, answer.handler),
        blocks=answer.mask,
        guarded=memory.read_memory(pid, answer.handler + _MARK_AT, len(_MARK)) == _MARK,
    )


def _thread(
    view: ThreadView,
    answer: ThreadReply | None,
    maps: Sequence[Mapping],
    *,
    main_limit: int | None,
) -> ThreadView:
    if answer is None:
        return view
    if answer.problem:
        return msgspec.structs.replace(view, problem=answer.problem)
    alternate = Stack(answer.alt_base, answer.alt_size) if answer.alt_size else None
    on_alternate = alternate is not None and alternate.holds(answer.sp)
    return msgspec.structs.replace(
        view,
        asked=True,
        pc=answer.pc,
        pc_in=memory.owner(maps, answer.pc),
        sp=answer.sp,
        stack=_main_stack(maps, main_limit) if main_limit is not None else _own_stack(answer, maps),
        alternate=alternate,
        on_alternate=on_alternate,
    )


def _main_stack(maps: Sequence[Mapping], limit: int) -> Stack | None:
    for mapping in maps:
        if mapping.path == "[stack]":
            size = max(limit, mapping.size)
            return Stack(mapping.end - size, size)
    return None


def _own_stack(answer: ThreadReply, maps: Sequence[Mapping]) -> Stack | None:
    # libc puts its record of a thread at the upper end of the thread's stack, and a guard page
    # below the stack. So the thread pointer finds the stack even of a thread that now runs on
    # another one.
    mapping = memory.at_address(maps, answer.tls)
    if mapping is None or "w" not in mapping.rights or mapping.path.startswith("/"):
        return None
    top = -(-(answer.tls + _THREAD_RECORD) // _PAGE) * _PAGE
    end = min(mapping.end, top)
    return Stack(mapping.start, end - mapping.start)
