"""Reads facts about a process that ``/proc`` lacks, with the program ``native/inspector``."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun.decoding import decoder_of
from gobun.errors import PrerequisiteError
from gobun.observe import proc_files
from gobun.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WITHIN_MS = 6000
LIMIT_S = 120.0
"""Seconds. The inspector gives up earlier: after 90 s it stops no further thread. Until then it
counts only the time in which a thread was able to run, so a busy machine only delays it."""
_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")


class SignalReply(msgspec.Struct, frozen=True, tag_field="at", tag="signal"):
    """The handling of a signal that is not at its default."""

    number: int
    handler: int
    """The handler's address; 1 if the signal is ignored."""
    flags: int
    mask: int
    """The signals that are blocked while the handler runs, as a bit mask."""


class ThreadReply(msgspec.Struct, frozen=True, tag_field="at", tag="thread"):
    """The inspector's reply about a thread."""

    tid: int
    pc: int = 0
    sp: int = 0
    tls: int = 0
    """The thread pointer. glibc and musl put it at the upper end of the thread's stack."""
    alt_base: int = 0
    alt_size: int = 0
    """Size of the alternate stack in bytes; 0 if the thread has none."""
    alt_flags: int = 0
    stopped_us: int = 0
    """How long the thread was stopped, in microseconds."""
    problem: str = ""
    """The reason why the thread could not be inspected; ``""`` if it was."""


class _RefusedReply(msgspec.Struct, frozen=True, tag_field="at", tag="refused"):
    errno: int
    why: str


class _EndReply(msgspec.Struct, frozen=True, tag_field="at", tag="end"):
    """The last line of the program's output."""


class Inspection(msgspec.Struct, frozen=True):
    """The inspector's replies about a process."""

    signals: tuple[SignalReply, ...] = ()
    threads: tuple[ThreadReply, ...] = ()
    problem: str = ""
    """The reason why the inspection failed; ``""`` if it did not. The replies are then empty or
    incomplete."""


_Line = SignalReply | ThreadReply | _RefusedReply | _EndReply


def inspect_process(
    pid: int, program: Path, spared_threads: Sequence[int] = (), *, within_ms: int = WITHIN_MS
) -> Inspection:
    """Inspect a process; each of its threads stops for a fraction of a millisecond.

    Threads in ``spared_threads`` are not stopped. A thread may take ``within_ms`` milliseconds of
    runnable time to stop.

    The process continues unharmed, but some calls return EINTR, such as ``epoll_wait``, as under
    ``strace``. No state of the process raises an exception: ``problem`` has the reason for an empty
    or incomplete result.
    """
    try:
        words = ["--within", str(within_ms), str(pid), *map(str, spared_threads)]
        completed = run_tool([program, *words], timeout_s=LIMIT_S)
    except PrerequisiteError as error:
        return Inspection(problem=error.what)
    return read_lines(completed.out, pid)


def read_lines(text: str, pid: int) -> Inspection:
    """Return the inspector's output about ``pid`` as a record."""
    try:
        lines = list(_decode_lines(text))
    except msgspec.DecodeError as error:
        return Inspection(problem=f"the inspector's words are not understood: {error}")
    for line in lines:
        if isinstance(line, _RefusedReply):
            return Inspection(problem=_refusal(line, pid))
    threads = tuple(line for line in lines if isinstance(line, ThreadReply))
    problem = ""
    if not any(isinstance(line, _EndReply) for line in lines):
        problem = "the inspector ended before it was done"
    elif threads and all(thread.problem for thread in threads):
        problem = _all_refused(threads[0].problem, pid)
    return Inspection(
        tuple(line for line in lines if isinstance(line, SignalReply)), threads, problem=problem
    )


def _decode_lines(text: str) -> Iterator[_Line]:
    for line in text.splitlines():
        yield decoder_of(_Line).decode(line)


def _all_refused(problem: str, pid: int) -> str:
    if problem == os.strerror(errno.EPERM):
        return f"process {pid} may not be traced: {_why_not(pid)}"
    return f"no thread of process {pid} could be asked: {problem}"


def _refusal(line: _RefusedReply, pid: int) -> str:
    if line.errno in {errno.EPERM, errno.EACCES}:
        return f"process {pid} may not be traced: {_why_not(pid)}"
    if line.errno in {errno.ENOENT, errno.ESRCH}:
        return f"process {pid} is gone"
    return f"process {pid} cannot be inspected: {line.why} ({os.strerror(line.errno)})"


def _why_not(pid: int) -> str:
    try:
        owner = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return "it is gone"
    if owner != os.geteuid() and os.geteuid() != 0:
        return f"it belongs to user {owner}"
    if (tracer := _tracer(pid)) not in {"", "0"}:
        return f"process {tracer} (a debugger, strace) traces it already"
    try:
        scope = _SCOPE.read_text().strip()
    except OSError:
        scope = "0"
    if scope == "3":
        return "kernel.yama.ptrace_scope is 3, which forbids tracing until the next boot"
    if scope in {"1", "2"} and os.geteuid() != 0:
        return (
            f"kernel.yama.ptrace_scope is {scope}; run as root, or "
            "`sudo sysctl kernel.yama.ptrace_scope=0`"
        )
    return "a container's or a security module's rule (docker: --cap-add SYS_PTRACE)"


def _tracer(pid: int) -> str:
    lines = proc_files.read_lines(Path(f"/proc/{pid}/status"))
    return next((line.split()[1] for line in lines if line.startswith("TracerPid:")), "")
