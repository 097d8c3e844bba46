"""Running tools: a command is a list, its environment is scrubbed, its output is kept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import msgspec

from gobun.errors import PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_KEPT = {
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


class Finished(msgspec.Struct, frozen=True):
    """What a tool said and how it ended; ``code`` is negative for a signal."""

    code: int
    out: str
    err: str

    @property
    def tail(self) -> str:
        """The last lines of what it said, for an error message."""
        return "\n".join((self.err.strip() or self.out.strip()).splitlines()[-25:])


def tool_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment a tool runs in: what it needs to reach its registry, no more."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT
        or name.lower().startswith(_KEPT_PREFIXES)
        or name.lower().endswith(_KEPT_SUFFIXES)
    }
    return kept | dict(extra or {})


def run_tool(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> Finished:
    """Run a tool to its end in a process group of its own, and return what it said.

    ``env`` is added to the scrubbed environment. Nothing of the tool's process group
    survives an interruption.

    Raises:
        PrerequisiteError: the program is not there.
        subprocess.TimeoutExpired: it ran longer than ``timeout_s``.
    """
    words = [str(word) for word in command]
    try:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env=tool_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise PrerequisiteError(
            f"cannot run {words[0]}: not found", hint="`invoke doctor` says what is missing"
        ) from error
    try:
        out, err = child.communicate(timeout=timeout_s)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise
    return Finished(child.returncode, out, err)
