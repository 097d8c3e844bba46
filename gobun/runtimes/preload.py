"""The treatments ``preload:WORD[+WORD]``: a runtime started with the guard's preload library."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from gobun.process import run_tool
from gobun.runtimes.base import LacksError

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_START_S = 30.0


def preload_environment(treatment: str, program: Path, library: Path | None) -> dict[str, str]:
    """Return what has ``program`` preload ``library``; nothing for any other treatment.

    ``library`` is None where there is no such library for this system.

    Raises:
        LacksError: nothing can be preloaded into this program.
    """
    kind, _, words = treatment.partition(":")
    if kind != "preload":
        return {}
    if library is None:
        raise LacksError("LD_PRELOAD is of Linux, and this is another system")
    if lack := _lack(program, library):
        raise LacksError(f"nothing can be preloaded into this executable: {lack}")
    return {"LD_PRELOAD": str(library), "GO_GUARD_PRELOAD": words.replace("+", ",")}


@functools.cache
def _lack(program: Path, library: Path) -> str:
    """Return why a program does not load a library, or nothing; asked by starting it once."""
    asked = {"LD_PRELOAD": str(library), "GO_GUARD_PRELOAD": "", "GO_GUARD_DEBUG": "1"}
    done = run_tool([program, "--version"], env=asked, timeout_s=_LONGEST_START_S)
    if "go-guard-preload[" in done.err:
        return ""
    said = done.err.strip().splitlines()
    return said[0] if said else "it is linked statically, or ignores LD_PRELOAD"
