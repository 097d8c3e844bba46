"""Applies a treatment to a runtime: the variables it adds, and whether the runtime supports it."""

from __future__ import annotations

import functools
import mmap
from typing import TYPE_CHECKING

from gobun.process import run_tool
from gobun.runtimes.base import LacksError
from gobun.runtimes.registered import own_treatment
from gobun.treatments import TREATMENTS

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.runtimes.base import Runtime
    from gobun.treatments import Treatment

_LONGEST_START_S = 30.0


def treated_environment(
    runtime: Runtime, treatment: str, preload: Path | None = None
) -> dict[str, str]:
    """Return the variables that ``treatment`` adds to the environment of ``runtime``.

    ``preload`` is the library for ``LD_PRELOAD``; None if this system has none.

    Raises:
        LacksError: this runtime does not support the treatment.
        PrerequisiteError: the runtime could not be started for a trial with ``preload``.
    """
    if runtime.lack:
        raise LacksError(runtime.lack)
    treated = TREATMENTS[treatment]
    _check_executable(runtime, treated)
    added_variables = dict(treated.environment)
    if treated.emulates:
        _check_preload(runtime.program, preload)
        added_variables |= {
            "LD_PRELOAD": str(preload),
            "GO_GUARD_PRELOAD": ",".join(treated.emulates),
        }
    return added_variables


def _check_executable(runtime: Runtime, treatment: Treatment) -> None:
    own = own_treatment(runtime.version)
    if treatment.origin and treatment.origin != (own or "stock"):
        raise LacksError(
            f"this {runtime.name.capitalize()} was built from sources: its treatment is `{own}`"
            if own
            else f"the stock executable is not {treatment.origin}"
        )
    if treatment.engine not in {"", runtime.engine}:
        raise LacksError(
            f"{treatment.setting} is a setting of {treatment.engine}, and this is {runtime.engine}"
        )
    if treatment.setting and not _contains(runtime.program, treatment.setting.encode()):
        raise LacksError(
            f"this release of {runtime.name.capitalize()} does not know {treatment.setting}"
        )


def _check_preload(program: Path, library: Path | None) -> None:
    if library is None:
        raise LacksError("LD_PRELOAD is a feature of Linux, and this is another system")
    if lack := _preload_lack(program, library):
        raise LacksError(f"this executable cannot preload a library: {lack}")


@functools.cache
def _contains(program: Path, text: bytes) -> bool:
    with program.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as data:
        return data.find(text) >= 0


@functools.cache
def _preload_lack(program: Path, library: Path) -> str:
    """Start a program once, and return why it does not load ``library``; ``""`` if it does."""
    variables = {"LD_PRELOAD": str(library), "GO_GUARD_PRELOAD": "", "GO_GUARD_DEBUG": "1"}
    completed = run_tool([program, "--version"], env=variables, timeout_s=_LONGEST_START_S)
    if "go-guard-preload[" in completed.err:
        return ""
    lines = completed.err.strip().splitlines()
    return lines[0] if lines else "it is linked statically, or ignores LD_PRELOAD"
