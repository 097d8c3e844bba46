"""Drives upstream's own build of a patched checkout."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console
from gobun.bun_source.apply import PatchedTree
from gobun.bun_source.build_progress import BuildProgress
from gobun.bun_source.build_stages import BuildPlan, Stage
from gobun.bun_source.checkouts import tree_locked
from gobun.bun_source.stage_records import StageRecords
from gobun.errors import BuildError, UsageError
from gobun.files import disk_errors
from gobun.process import run_logged

if TYPE_CHECKING:
    from collections.abc import Iterator

_ERROR = re.compile(
    r"error(\[\w+\])?:|FAILED:|CMake Error|undefined (reference|symbol)|panic:|BuildError|"
    r"cannot find|No space left|\bKilled\b|terminated unexpectedly|[Oo]ut ?[Oo]f ?[Mm]emory"
)
_NO_ERROR = re.compile(r"\b0 errors?\b|-Werror|warning:|--error-limit")
_SHORTAGES = {
    "the disk is full: free some 10 GB": re.compile(r"No space left on device|ENOSPC|NoSpaceLeft"),
    "memory ran out (Zig's release object takes 6 GB): end other programs, or give --jobs 1": (
        re.compile(r"\bKilled\b|[Oo]ut ?[Oo]f ?[Mm]emory|Cannot allocate|terminated unexpectedly")
    ),
}
"""Hints for builds that run out of disk or memory and print no helpful error."""
_SHOWN_LINES = 12
_LONGEST_LINE = 1000
"""Longest printed line, in characters. A linker command alone can take a megabyte."""
_TOLD_EVERY_S = 20.0
_HEADING = "==== stage "


class BuiltBun(msgspec.Struct, frozen=True):
    """The result of a build."""

    program: Path
    log: Path
    seconds: int


@contextlib.contextmanager
def build(patched_tree: PatchedTree, plan: BuildPlan, log: Path) -> Iterator[BuiltBun]:
    """Build a patched checkout. An interrupted build resumes at the stage that it was in.

    The checkout stays locked while the caller uses the executable, because another build
    overwrites it.

    Raises:
        UsageError: the checkout is no longer at the commit with the patches.
        BuildError: the build failed. The message shows the first real error and the log's path.
        PrerequisiteError: the build cannot be started, or the disk is full.
    """
    started = time.monotonic()
    with tree_locked(patched_tree.version) as (head, descriptor):
        if head != patched_tree.head:
            raise UsageError(
                f"{patched_tree.folder} was changed since the patches were applied",
                hint="run one task on a checkout at a time",
            )
        with disk_errors(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.unlink(missing_ok=True)
            console.log(f"building in {patched_tree.folder}, log {log}")
            records = StageRecords(patched_tree)
            records.settle()
            progress = BuildProgress(plan.stages, patched_tree.folder, log)
            run = _Run(patched_tree, plan, log, descriptor, progress, records)
            for position, stage in enumerate(plan.stages):
                _run_stage(run, position, stage)
        program = patched_tree.folder / plan.program
        if not program.is_file():
            raise _build_error(patched_tree, log, f"made no {plan.program}")
        yield BuiltBun(program, log, round(time.monotonic() - started))


class _Run(msgspec.Struct, frozen=True):
    """A running build."""

    applied: PatchedTree
    plan: BuildPlan
    log: Path
    lock: int
    """The descriptor that keeps the checkout locked."""
    progress: BuildProgress
    records: StageRecords


def _run_stage(run: _Run, position: int, stage: Stage) -> None:
    """Run one stage unless it is already finished.

    Raises:
        BuildError: it failed.
    """
    if run.records.is_finished(stage):
        return
    folder = run.applied.folder
    run.progress.begin(position)
    with run.log.open("a") as stream:
        stream.write(f"{_HEADING}{stage.name}: {' '.join(stage.arguments)}\n")
    code = run_logged(
        stage.arguments,
        run.log,
        cwd=folder,
        env=run.plan.env,
        keep=(run.lock,),
        on_wait=console.throttled(_TOLD_EVERY_S, run.progress.print_progress),
    )
    if code != 0:
        raise _build_error(run.applied, run.log, f"ended with {code} in the stage {stage.name}")
    absent = [output for output in stage.outputs if not (folder / output).exists()]
    if absent:
        raise _build_error(run.applied, run.log, f"made no {absent[0]} in the stage {stage.name}")
    run.records.finish(stage)
    run.progress.end()


def _build_error(patched_tree: PatchedTree, log: Path, ending: str) -> BuildError:
    message = first_error(log)
    wanting = "".join(
        f"{shortage}; " for shortage, sign in _SHORTAGES.items() if sign.search(message)
    )
    return BuildError(
        f"the build of Bun {patched_tree.version} {ending}:\n{message}",
        hint=f"{wanting}the log is {log}; the next run continues after the finished stages",
    )


def first_error(log: Path) -> str:
    """Return the first error in the last stage's log and the lines after it, or its last lines."""
    last_stage = log.read_text(errors="replace").rpartition(_HEADING)[2]
    lines = [line[:_LONGEST_LINE] for line in last_stage.splitlines()]
    for at, line in enumerate(lines):
        if _ERROR.search(line) and not _NO_ERROR.search(line):
            return "\n".join(f"  {each}" for each in lines[at : at + _SHOWN_LINES])
    return "\n".join(f"  {each}" for each in lines[-_SHOWN_LINES:])
