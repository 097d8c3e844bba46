"""Runs tools with a command list and a scrubbed environment, and captures their output."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import subprocess
import threading
from typing import IO, TYPE_CHECKING

import msgspec

from gobun.errors import PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_KEPT_VARIABLES = {
    "HOME",
    "LANG",
    "LC_ALL",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "TMPDIR",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
}
_KEPT_PREFIXES = ("npm_config_", "pip_")
_KEPT_SUFFIXES = ("_proxy",)
_ADDED_VARIABLES = {"NODE_DISABLE_COMPILE_CACHE": "1"}
"""npm turns Node's compile cache on, and Node would leave it in the folder for temporary files."""

_WAIT_S = 5.0

_running: set[subprocess.Popen[bytes]] = set()
_start_lock = threading.Lock()
interrupted = threading.Event()
"""Set by ``interrupt_tools``. Afterwards no command starts."""


class ToolTimeoutError(PrerequisiteError):
    """A tool ran longer than its limit."""


class Finished(msgspec.Struct, frozen=True):
    """A tool's output as text and its exit code, which is negative for a signal."""

    code: int
    out: str
    err: str

    @property
    def tail(self) -> str:
        """The last lines of its output, for an error message."""
        return "\n".join((self.err.strip() or self.out.strip()).splitlines()[-25:])


def tool_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a tool's environment: the variables it needs to run and to reach registries."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES
        or name.lower().startswith(_KEPT_PREFIXES)
        or name.lower().endswith(_KEPT_SUFFIXES)
    }
    return variables | _ADDED_VARIABLES | dict(extra or {})


def path_before(*folders: Path) -> dict[str, str]:
    """Return the environment variable that makes a tool look for programs in ``folders`` first."""
    return {"PATH": os.pathsep.join((*map(str, folders), os.environ.get("PATH", os.defpath)))}


class FinishedBytes(msgspec.Struct, frozen=True):
    """A tool's output as bytes, and its exit code."""

    code: int
    out: bytes
    err: bytes


def run_tool(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> Finished:
    """Run a tool to its end in a new process group, and return its output.

    ``env`` is added to the scrubbed environment. Nothing of the tool's process group
    survives an interruption.

    Raises:
        PrerequisiteError: the program cannot be started.
        ToolTimeoutError: it ran longer than ``timeout_s``.
        KeyboardInterrupt: the run is interrupted; after ``interrupt_tools``, in any thread.
    """
    completed = run_bytes(command, cwd=cwd, env=env, timeout_s=timeout_s)
    return Finished(completed.code, as_text(completed.out), as_text(completed.err))


def as_text(data: bytes) -> str:
    """Decode the output of a tool. Every kind of line end becomes a newline."""
    return data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def run_bytes(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    stdin: bytes | None = None,
    keep: Sequence[int] = (),
) -> FinishedBytes:
    """Run a tool as ``run_tool`` does, and return its output as bytes.

    ``stdin`` is its standard input. The tool inherits the file descriptors in ``keep``. So it holds
    a lock among them until it ends, even if this process is killed first.

    Raises:
        PrerequisiteError: the program cannot be started.
        ToolTimeoutError: it ran longer than ``timeout_s``.
        KeyboardInterrupt: the run is interrupted; after ``interrupt_tools``, in any thread.
    """
    child = start_command(
        command,
        cwd=cwd,
        env=env,
        keep=keep,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
    )
    try:
        out, err = child.communicate(stdin, timeout=timeout_s)
    except BaseException as error:
        _kill(child)
        # ``communicate`` would not return: a process that left the group may hold the pipes open
        # forever.
        child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ToolTimeoutError(
                f"{shlex.join(map(str, command))} did not end within {timeout_s:g} seconds",
                hint="check the tools with `invoke doctor`",
            ) from error
        raise
    finally:
        _running.discard(child)
    return FinishedBytes(child.returncode, out, err)


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    keep: Sequence[int] = (),
    on_wait: Callable[[], None] = lambda: None,
) -> int:
    """Run a long tool, append its output to the file ``log``, and return its exit code.

    No process of its group survives the tool. ``on_wait`` is called every few seconds. ``keep`` is
    as in ``run_bytes``.

    Raises:
        PrerequisiteError: the program cannot be started.
        KeyboardInterrupt: the run is interrupted; after ``interrupt_tools``, in any thread.
    """
    with log.open("ab") as stream:
        child = start_command(command, cwd=cwd, env=env, keep=keep, stdout=stream, stderr=stream)
    try:
        while True:
            try:
                return child.wait(_WAIT_S)
            except subprocess.TimeoutExpired:
                on_wait()
    finally:
        _kill(child)  # also the rest of its group, if it has ended by itself
        child.wait()
        _running.discard(child)


def start_command(
    command: Sequence[str | Path],
    *,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    keep: Sequence[int],
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a command that ``interrupt_tools`` can end.

    Raises:
        PrerequisiteError: it cannot be started.
        KeyboardInterrupt: the run is being interrupted.
    """
    words = [str(word) for word in command]
    try:
        with _start_lock:
            if interrupted.is_set():
                raise KeyboardInterrupt
            child = subprocess.Popen(
                words,
                cwd=cwd,
                env=tool_environment(env),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                pass_fds=keep,
            )
            _running.add(child)
            return child
    except OSError as error:
        reason = "not found" if error.errno == errno.ENOENT else error.strerror
        raise PrerequisiteError(
            f"cannot run {words[0]}: {reason}", hint="`invoke doctor` lists what is missing"
        ) from error


def interrupt_tools() -> None:
    """Kill the tools of all threads, and let no thread start another.

    Python raises an interruption in the main thread only.
    """
    with _start_lock:
        interrupted.set()
        for child in tuple(_running):
            _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
