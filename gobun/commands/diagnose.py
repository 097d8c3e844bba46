"""The task that explains a process that is stuck."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from gobun import diagnose as forensics
from gobun.commands.cli import command, optional_integer
from gobun.printable import printable_json

if TYPE_CHECKING:
    from invoke.context import Context

_LARGEST_PID = 2**31 - 1
"""What the kernel's ``pid_t`` holds."""


def show(found: forensics.Diagnosis, *, as_json: bool) -> None:
    """Print a diagnosis for a person or for a program."""
    document = printable_json(msgspec.json.encode(found).decode()) if as_json else ""
    print(document or forensics.render(found), flush=True)


if "--" in sys.argv:

    @command
    def diagnose(
        _: Context, json: bool = False, backtrace: bool = False, end: bool = False
    ) -> None:
        """Start the command after --, and say why it hangs if it does; --end also ends it then."""

        def tell(found: forensics.Diagnosis) -> None:
            show(found, as_json=json)

        found = forensics.diagnose_command(
            sys.argv[sys.argv.index("--") + 1 :],
            inspector=forensics.find_inspector(),
            backtrace=backtrace,
            end=end,
            tell=tell,
        )
        if not found.stuck:  # that was told when it was found
            tell(found)

else:

    @command
    def diagnose(_: Context, pid: str, json: bool = False, backtrace: bool = False) -> None:
        """Say why process PID hangs and what helps; or start one: diagnose -- COMMAND…."""
        number_of = optional_integer(pid, "the process", most=_LARGEST_PID)
        show(
            forensics.diagnose(
                number_of or 0, inspector=forensics.find_inspector(), backtrace=backtrace
            ),
            as_json=json,
        )
