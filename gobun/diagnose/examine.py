"""Examines a process and returns its diagnosis."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

import msgspec

from gobun import observe
from gobun.build import build_inspector
from gobun.diagnose import activity, verdict
from gobun.diagnose.libraries import go_libraries
from gobun.diagnose.records import Activity, Diagnosis, RuntimeSeen
from gobun.diagnose.runtime import seen_runtime, suspend_signal
from gobun.diagnose.waiting import fragile_threads
from gobun.errors import GobunError, PrerequisiteError, UsageError
from gobun.guarded_read import read_memory_file
from gobun.targets import host_target

_CANDIDATES = "pgrep -a 'bun|node' lists candidates"


def find_inspector() -> Path | None:
    """Return the inspector for this machine, built if necessary; None if it cannot be built."""
    try:
        return build_inspector(host_target())
    except GobunError:
        return None


def diagnose(
    pid: int,
    *,
    inspector: Path | None = None,
    backtrace: bool = False,
    known_activity: Activity | None = None,
) -> Diagnosis:
    """Watch a running process for a few seconds and return its diagnosis. The process continues.

    With ``known_activity``, it does not watch. Without ``inspector``, handlers and alternate stacks
    stay unknown. ``backtrace`` also runs gdb if it is installed, which stops the process meanwhile.

    Raises:
        UsageError: there is no such process, or it is a kernel thread.
        PrerequisiteError: this is not Linux, or the process may not be examined.
    """
    _check(pid)
    known_activity = known_activity or activity.watch_process(pid)
    if known_activity.kind == "ended":
        return ended_diagnosis(pid, known_activity.detail, known_activity.seconds)
    snapshot = observe.take_snapshot(pid, inspector, spared_threads=fragile_threads(pid))
    maps = observe.mappings(pid)
    runtime = seen_runtime(pid, maps)
    search = go_libraries(pid, maps)
    facts = verdict.Facts(
        pid=pid,
        runtime=runtime,
        libraries=search.libraries,
        unread_files=search.unread_files,
        motion=known_activity,
        snapshot=snapshot,
        suspend_signal=suspend_signal(pid, runtime),
        container=_container(pid),
    )
    diagnosis = verdict.judge(facts)
    if backtrace:
        diagnosis = msgspec.structs.replace(diagnosis, backtrace=observe.backtrace(pid))
    return diagnosis


def ended_diagnosis(pid: int, detail: str, seconds: float) -> Diagnosis:
    """Return the diagnosis of a process that has ended."""
    nothing = RuntimeSeen("", "", "")
    facts = verdict.Facts(pid, nothing, (), Activity("ended", detail, seconds), None, None)
    return verdict.judge(facts)


def _check(pid: int) -> None:
    check_system()
    folder = Path(f"/proc/{pid}")
    if pid <= 0 or not folder.is_dir():
        raise UsageError(
            f"there is no process {pid}",
            hint=f"{_CANDIDATES}; a container has its own process ids, "
            "so run this inside it, or use the id that the host's ps shows",
        )
    try:
        command = _command_line(pid)
        maps = (folder / "maps").read_bytes()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise UsageError(f"process {pid} has ended", hint=_CANDIDATES) from error
    except OSError as error:
        raise PrerequisiteError(
            f"process {pid}{_of_user(folder)} may not be examined: {error.strerror}",
            hint="run this as that user or as root; inside a container, with the capability "
            "SYS_PTRACE (docker run --cap-add SYS_PTRACE)",
        ) from error
    if not command and not maps:
        raise UsageError(
            f"process {pid} has no program in it: a kernel thread, or one that has ended already",
            hint=_CANDIDATES,
        )


def _of_user(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return f" of user {folder.stat().st_uid}"
    return ""


def _command_line(pid: int) -> bytes:
    """Return the first byte of a command line, which is empty for a moment during ``execve``."""
    for _ in range(20):
        if command := read_memory_file(pid, "cmdline", 1):
            return command
        time.sleep(0.005)
    return b""


def check_system() -> None:
    """Raise ``PrerequisiteError`` on systems where no process can be diagnosed."""
    if not sys.platform.startswith("linux"):
        raise PrerequisiteError(
            "a process can be diagnosed on Linux only: it needs /proc and ptrace",
            hint="on macOS, `sample PID` shows where its threads are",
        )


def _container(pid: int) -> str:
    """Return a note if the process is in another container than this program, else ``""``."""
    with contextlib.suppress(OSError):
        own_namespace, its_namespace = (
            Path(f"/proc/{process}/ns/pid").readlink() for process in ("self", str(pid))
        )
        if own_namespace != its_namespace:
            return (
                "the process is in another container (PID namespace); files are read through "
                f"/proc/{pid}/root, and paths are those inside it"
            )
    return ""
