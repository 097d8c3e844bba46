"""Looks at a process and says what it has; starts an application and looks at it once it hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import observe
from gobun.build.inspector import build_inspector
from gobun.diagnose import activity, verdict
from gobun.diagnose.libraries import go_libraries
from gobun.diagnose.records import Activity, Diagnosis, RuntimeSeen
from gobun.diagnose.runtime import seen_runtime, suspend_signal
from gobun.errors import GobunError, PrerequisiteError, UsageError
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_EVERY_S = 5.0
_SETTLES_S = 1.0


def find_inspector() -> Path | None:
    """Return the inspector for this machine, built if need be; None where there can be none."""
    try:
        return build_inspector(host_target())
    except GobunError:
        return None


def diagnose(pid: int, *, inspector: Path | None = None, backtrace: bool = False) -> Diagnosis:
    """Look at a running process for a few seconds and say what it has; it goes on unharmed.

    ``backtrace`` has gdb look too, where it is installed; the process stands still for that.

    Raises:
        UsageError: there is no such process, or it is no process of programs (a kernel thread).
        PrerequisiteError: this is not Linux, or the process may not be looked at.
    """
    _check(pid)
    watched = activity.watch_process(pid)
    if watched.kind == "ended":
        return _ended(pid, watched.detail, watched.seconds)
    snapshot = observe.take_snapshot(pid, inspector)
    runtime = seen_runtime(pid)
    search = go_libraries(pid, observe.mappings(pid))
    facts = verdict.Facts(
        pid=pid,
        runtime=runtime,
        libraries=search.libraries,
        unread=search.unread,
        motion=watched,
        snapshot=snapshot,
        suspend_signal=suspend_signal(pid, runtime),
        container=_container(pid),
    )
    found = verdict.judge(facts)
    if backtrace:
        found = msgspec.structs.replace(found, backtrace=observe.backtrace(pid))
    return found


def diagnose_command(
    command: Sequence[str], *, inspector: Path | None = None, backtrace: bool = False
) -> Diagnosis:
    """Start an application and look at it until it hangs, it ends, or Ctrl-C asks how it is.

    It keeps this terminal and environment, and is ended when it has been looked at.

    Raises:
        UsageError: there is no command.
        PrerequisiteError: this is not Linux, or the command cannot be started.
    """
    if not command:
        raise UsageError("there is no command", hint="invoke diagnose -- bun app.js")
    _check_system()
    # The inspector makes it traceable first, where only ancestors may trace.
    words = [str(inspector), "--", *command] if inspector is not None else list(command)
    try:
        child = subprocess.Popen(words, start_new_session=True)
    except OSError as error:
        raise PrerequisiteError(f"cannot run {command[0]}: {error.strerror}") from error
    try:
        return _look_until_clear(child, command, inspector, backtrace=backtrace)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _look_until_clear(
    child: subprocess.Popen[bytes],
    command: Sequence[str],
    inspector: Path | None,
    *,
    backtrace: bool,
) -> Diagnosis:
    pause = _SETTLES_S
    started = time.monotonic()
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = child.wait(pause)
                return _command_ended(child.pid, command, code, time.monotonic() - started)
            for pid in _suspects(child.pid):
                if activity.watch_process(pid).kind in {"works", "ended"}:
                    continue
                with contextlib.suppress(UsageError):  # it is gone meanwhile
                    found = diagnose(pid, inspector=inspector, backtrace=backtrace)
                    if found.stuck:
                        return found
            pause = LOOK_EVERY_S if time.monotonic() - started > LOOK_EVERY_S else _SETTLES_S
    except KeyboardInterrupt:
        if child.poll() is None:
            return diagnose(_suspects(child.pid)[0], inspector=inspector, backtrace=backtrace)
        return _command_ended(child.pid, command, child.returncode, time.monotonic() - started)


def _suspects(pid: int) -> list[int]:
    """Return the processes of a command that have Go in them; the command's own if none has.

    ``npm start`` and ``bun run start`` leave the work to a process that they start.
    """
    family = observe.family(pid)
    with_go = [each for each in family if go_libraries(each, observe.mappings(each)).libraries]
    return with_go or [pid]


def _command_ended(pid: int, command: Sequence[str], code: int, seconds: float) -> Diagnosis:
    if code == 127:
        raise PrerequisiteError(f"cannot run {command[0]}: there is no such program")
    how = f"exit code {code}" if code >= 0 else observe.signal_name(-code)
    return _ended(pid, f"{command[0]} ended with {how} after {seconds:.1f} s", seconds)


def _ended(pid: int, detail: str, seconds: float) -> Diagnosis:
    nothing = RuntimeSeen("", "", "")
    facts = verdict.Facts(pid, nothing, (), Activity("ended", detail, seconds), None, None)
    return verdict.judge(facts)


def _check(pid: int) -> None:
    _check_system()
    folder = Path(f"/proc/{pid}")
    if pid <= 0 or not folder.is_dir():
        raise UsageError(
            f"there is no process {pid}",
            hint="pgrep -a 'bun|node' lists candidates; a container has numbers of its own, so "
            "run this inside it, or take the number that the host's ps shows",
        )
    try:
        command = _command_line(folder)
        (folder / "maps").read_bytes()
    except OSError as error:
        owner = folder.stat().st_uid
        raise PrerequisiteError(
            f"process {pid} of user {owner} may not be looked at: {error.strerror}",
            hint="run this as that user or as root; inside a container, with the capability "
            "SYS_PTRACE (docker run --cap-add SYS_PTRACE)",
        ) from error
    if not command:
        raise UsageError(
            f"process {pid} has no program in it: a kernel thread, or one that has ended already",
            hint="pgrep -a 'bun|node' lists candidates",
        )


def _command_line(folder: Path) -> bytes:
    """Read a command line; it is empty for a moment while a process changes its program."""
    for _ in range(20):
        if command := (folder / "cmdline").read_bytes():
            return command
        time.sleep(0.005)
    return b""


def _check_system() -> None:
    if not sys.platform.startswith("linux"):
        raise PrerequisiteError(
            "a process can be diagnosed on Linux only: it needs /proc and ptrace",
            hint="on macOS, `sample PID` shows where its threads are",
        )


def _container(pid: int) -> str:
    """Return a note if the process lives in another container than this program."""
    with contextlib.suppress(OSError):
        here, there = (Path(f"/proc/{who}/ns/pid").readlink() for who in ("self", str(pid)))
        if here != there:
            return (
                "the process is in another container (PID namespace); files are read through "
                f"/proc/{pid}/root, and paths are those inside it"
            )
    return ""
