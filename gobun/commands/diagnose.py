"""The task that explains a stuck process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun import diagnose as forensics
from gobun.commands.cli import command_with_words, optional_integer
from gobun.errors import UsageError
from gobun.printable import printable_json

if TYPE_CHECKING:
    from invoke.context import Context

_LARGEST_PID = 2**31 - 1
"""The largest value of the kernel's ``pid_t``."""


def print_diagnosis(diagnosis: forensics.Diagnosis, *, as_json: bool) -> None:
    """Print a diagnosis for a person or for a program."""
    document = printable_json(msgspec.json.encode(diagnosis).decode()) if as_json else ""
    print(document or forensics.render(diagnosis), flush=True)


@command_with_words(words_before="pid", remainder="command")
def diagnose(
    _: Context,
    pid: str = "",
    command: list[str] | None = None,
    json: bool = False,
    backtrace: bool = False,
    end: bool = False,
) -> None:
    """Explain why a process hangs and what helps: PID, or -- COMMAND… to start one."""
    if command and pid:
        raise UsageError(
            "give a process or a command, not both",
            hint="leave out the process id, or what follows --",
        )
    if command:
        _diagnose_command(command, json=json, backtrace=backtrace, end=end)
        return
    if not pid:
        raise UsageError(
            "there is no process, and there is no command to start",
            hint="invoke diagnose PID, or invoke diagnose -- bun app.js",
        )
    if end:
        raise UsageError(
            "--end is only for a command after --",
            hint="leave it out, or give a command: invoke diagnose --end -- bun app.js",
        )
    number = optional_integer(pid, "the process", largest=_LARGEST_PID) or 0
    inspector = forensics.find_inspector()
    print_diagnosis(
        forensics.diagnose(number, inspector=inspector, backtrace=backtrace), as_json=json
    )


def _diagnose_command(words: list[str], *, json: bool, backtrace: bool, end: bool) -> None:
    """Start a command and explain it as soon as it hangs, or when it ends."""

    def on_diagnosis(diagnosis: forensics.Diagnosis) -> None:
        print_diagnosis(diagnosis, as_json=json)

    inspector = forensics.find_inspector()
    diagnosis = forensics.diagnose_command(
        words, inspector=inspector, backtrace=backtrace, end=end, on_diagnosis=on_diagnosis
    )
    if not diagnosis.is_stuck:  # a stuck process was reported when it was found
        on_diagnosis(diagnosis)
