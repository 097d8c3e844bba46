"""Compares a runtime's signal handlers before and after it loads a Go library."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import msgspec

from gobun import observe
from gobun.errors import PrerequisiteError
from gobun.process import tool_environment
from gobun.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gobun.build import Fixture
    from gobun.observe import Handler, Snapshot
    from gobun.runtimes import Runtime

_SCRIPT = Path(__file__).with_name("load.cjs")
_LIBC_OWN = {32, 33}
_SETTLES_S = 0.3
_LIMIT_S = 120.0
"""Generous, because it only has to stop a load that never ends."""
DEFAULT = "default"


class SignalChange(msgspec.Struct, frozen=True):
    """A signal whose handling differs before and after the load."""

    signal: int
    before: str
    after: str

    @property
    def text(self) -> str:
        """The change in short: ``bun → bun+SA_ONSTACK``."""
        return f"{self.before} → {self.after}"


def signal_changes(
    runtime: Runtime, module: Fixture, inspector: Path, *, limit_s: float = _LIMIT_S
) -> tuple[SignalChange, ...]:
    """Start a runtime, let it load and call a module's library, and return the changed signals.

    Raises:
        PrerequisiteError: the runtime could not be started or inspected, or did not load the
            library within ``limit_s`` wall seconds.
    """
    with scratch_folder("signals") as folder:
        go = Path(folder) / "go"
        argument = {**runtime.settings(module), "go": str(go)}
        command = runtime.command(_SCRIPT, msgspec.json.encode(argument).decode())
        try:
            child = subprocess.Popen(
                command, env=tool_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise PrerequisiteError(f"cannot start {command[0]}: {error.strerror}") from error
        watchdog = threading.Timer(limit_s, child.kill)
        watchdog.start()
        try:
            _wait_for(child, b"ready\n", command[0])
            before = _require_snapshot(child.pid, inspector)
            go.touch()
            _wait_for(child, b"called 0\n", command[0])
            time.sleep(_SETTLES_S)
            after = _require_snapshot(child.pid, inspector)
        finally:
            watchdog.cancel()
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
    return tuple(compare(before, after))


def compare(before: Snapshot, after: Snapshot) -> Iterator[SignalChange]:
    """Yield the signals whose handling differs between two snapshots of one process."""
    for number in range(1, 65):
        if number in _LIBC_OWN:
            continue
        old, new = _text(before.handler(number)), _text(after.handler(number))
        if old != new:
            yield SignalChange(number, old, new)


def render_changes(changes_by_runtime: Mapping[str, Sequence[SignalChange]]) -> str:
    """Return a Markdown table with a row for each signal and a column for each runtime."""
    numbers = sorted(
        {change.signal for changes in changes_by_runtime.values() for change in changes}
    )
    head = ["signal", *changes_by_runtime]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for number in numbers:
        texts = [
            next((change.text for change in changes if change.signal == number), "as it was")
            for changes in changes_by_runtime.values()
        ]
        lines.append(f"| {' | '.join([observe.signal_name(number), *texts])} |")
    return "\n".join(lines)


def _text(handler: Handler | None) -> str:
    if handler is None:
        return DEFAULT
    if handler.ignored:
        return "ignored"
    where = PurePath(handler.owner).name or "memory"
    return f"{where}+SA_ONSTACK" if handler.on_stack else where


def _require_snapshot(pid: int, inspector: Path) -> Snapshot:
    snapshot = observe.take_snapshot(pid, inspector)
    if snapshot.problem:
        raise PrerequisiteError(
            f"cannot read the signal handlers: {snapshot.problem}",
            hint="run `invoke doctor`; a container needs the capability SYS_PTRACE",
        )
    return snapshot


def _wait_for(child: subprocess.Popen[bytes], line: bytes, program: str) -> None:
    answer = child.stdout.readline() if child.stdout is not None else b""
    if answer != line:
        expected, actual = (
            line.decode().strip(),
            answer.decode(errors="replace").strip() or "nothing",
        )
        raise PrerequisiteError(
            f"{program} printed {actual!r} instead of {expected!r}",
            hint="run the program by itself to see its error",
        )
