"""Starts an application in the foreground, and diagnoses it from outside until it ends."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from gobun import observe
from gobun.diagnose import activity, examine
from gobun.diagnose.diagnosis_text import title
from gobun.diagnose.foreground import Foreground
from gobun.diagnose.libraries import go_libraries
from gobun.errors import GobunError, PrerequisiteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gobun.diagnose.records import Diagnosis

LOOK_EVERY_S = 5.0
_SETTLES_S = 1.0
_JOIN_S = 5.0
_NO_SUCH_PROGRAM = 127
"""The inspector's exit code if it cannot run the command. A command may use the same code."""


def diagnose_command(
    command: Sequence[str],
    *,
    inspector: Path | None = None,
    backtrace: bool = False,
    end: bool = False,
    on_diagnosis: Callable[[Diagnosis], None] = lambda _: None,
) -> Diagnosis:
    """Start an application, watch it until it ends, and return how it ended.

    The application keeps this terminal and environment, and gets the signals that it would get
    without this program. Another thread calls ``on_diagnosis`` with each diagnosis that matters to
    a user: the application hangs, waits in a native call, will hang, or works again. None of them
    ends the application unless ``end`` is set. Then the first diagnosis of a hang ends it with all
    of its descendants, and is returned. Without ``inspector``, diagnoses use only ``/proc``.

    Raises:
        UsageError: there is no command.
        PrerequisiteError: this is not Linux, or the command cannot be started.
    """
    if not command:
        raise UsageError("there is no command", hint="invoke diagnose -- bun app.js")
    examine.check_system()
    started = time.monotonic()
    # If only ancestors may trace, the inspector first makes the command traceable.
    wrapper = [str(inspector), "--"] if inspector is not None else []
    with Foreground(command, wrapper=wrapper) as running:
        lookout = _Lookout(running.pid, inspector, backtrace=backtrace, on_diagnosis=on_diagnosis)
        lookout.start()
        try:
            code = running.wait(lookout.raise_stuck if end else lambda: None)
        except _StuckError as stuck:
            running.end()
            return stuck.diagnosis
        finally:
            lookout.stop()
    if lookout.error is not None:
        raise lookout.error
    if code == _NO_SUCH_PROGRAM and lookout.latest_diagnosis is None:
        raise PrerequisiteError(
            f"cannot run {command[0]}: there is no such program",
            hint="check its name, or give its path",
        )
    seconds = time.monotonic() - started
    ending = f"exit code {code}" if code >= 0 else observe.signal_name(-code)
    detail = f"{command[0]} ended with {ending} after {seconds:.1f} s"
    if lookout.latest_diagnosis is not None:
        detail += f"; when it was last looked at: {title(lookout.latest_diagnosis)}"
    return examine.ended_diagnosis(running.pid, detail, seconds)


class _StuckError(Exception):
    """The application hangs."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__()
        self.diagnosis = diagnosis


class _Lookout(threading.Thread):
    """Diagnoses a command and its descendants, again and again."""

    def __init__(
        self,
        pid: int,
        inspector: Path | None,
        *,
        backtrace: bool,
        on_diagnosis: Callable[[Diagnosis], None],
    ) -> None:
        super().__init__(name="lookout", daemon=True)
        self._pid = pid
        self._inspector = inspector
        self._backtrace = backtrace
        self._on_diagnosis = on_diagnosis
        self._stopping = threading.Event()
        self._reported_diagnoses: dict[int, Diagnosis] = {}
        self._examined: set[int] = set()
        self.latest_diagnosis: Diagnosis | None = None
        self.stuck_diagnosis: Diagnosis | None = None
        self.error: Exception | None = None
        """The error that ended this thread; the application continues."""

    def run(self) -> None:
        """Watch until ``stop`` is called."""
        started = time.monotonic()
        try:
            while not self._stopping.wait(
                LOOK_EVERY_S if time.monotonic() - started > LOOK_EVERY_S else _SETTLES_S
            ):
                for pid in go_processes(self._pid):
                    self._look(pid)
        except Exception as error:  # noqa: BLE001 - raised again once the application has ended
            self.error = error

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()
        self.join(_JOIN_S)

    def raise_stuck(self) -> None:
        """Raise if the application was found to hang."""
        if self.stuck_diagnosis is not None:
            raise _StuckError(self.stuck_diagnosis)

    def _look(self, pid: int) -> None:
        watched = activity.watch_process(pid)
        if self._stopping.is_set() or watched.kind == "ended":
            return
        if (
            watched.kind == "works"
            and pid in self._examined
            and pid not in self._reported_diagnoses
        ):
            return
        try:
            diagnosis = examine.diagnose(
                pid, inspector=self._inspector, backtrace=self._backtrace, known_activity=watched
            )
        except GobunError:  # it has ended, or became another user's
            return
        self._examined.add(pid)
        if diagnosis.kind == "ended" or self._stopping.is_set():
            return
        self.latest_diagnosis = diagnosis
        before = self._reported_diagnoses.pop(pid, None)
        if diagnosis.worth_telling:
            self._reported_diagnoses[pid] = diagnosis
        # After a reported hang, report that it works again too.
        if diagnosis.worth_telling if before is None else diagnosis.verdict != before.verdict:
            self._on_diagnosis(diagnosis)
        if diagnosis.is_stuck:
            self.stuck_diagnosis = diagnosis


def go_processes(pid: int) -> list[int]:
    """Return the ids of a command's processes that contain Go; only the command's own if none does.

    ``npm start`` and ``bun run start`` start another process that does the work.
    """
    family = observe.family(pid)
    with_go = [each for each in family if go_libraries(each, observe.mappings(each)).libraries]
    return with_go or [pid]
