"""One attempt at a cell: its process from start to an end, to a verdict, or to the limit."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import paths
from gobun.cells.records import Ending
from gobun.cells.scenario import stress_environment
from gobun.matrix import control_groups, evidence
from gobun.matrix.channel import Channel
from gobun.matrix.classify import ProcessEnd, classify
from gobun.matrix.monitor import Monitor, StoppedError
from gobun.matrix.supervised_process import Launch, SupervisedProcess
from gobun.matrix.witness import Witness
from gobun.runtimes import Bun, LacksError, treated_environment
from gobun.scratch import scratch_folder
from gobun.treatments import GUARD_SWITCH, TREATMENTS

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from gobun.cells.records import Cell
    from gobun.matrix.run_context import RunContext

_WITNESS = "gobun-witness"
"""A cell of a custom addon waits for this file before it exits. The harness creates the file after
it has looked at the process."""


class Attempt(msgspec.Struct, frozen=True):
    """How one attempt ended."""

    ending: Ending
    end: ProcessEnd | None
    """The supervisor's report, or None if the process never started."""
    wall_ms: int
    observation: evidence.Observation


def cell_argument(context: RunContext, cell: Cell) -> dict[str, str]:
    """Return the argument of ``scenarios/cell.cjs`` that describes ``cell``.

    Raises:
        LacksError: the treatment's library or form of the module does not exist for this platform.
    """
    runtime = context.runtimes[cell.runtime, cell.version]
    module = context.module_for(cell)
    argument = {
        "load": cell.load,
        "stress": cell.stress,
        "probe": str(context.probe),
        "second": str(context.warmup),
        **runtime.settings(module),
    }
    if module.published is not None:
        argument["published"] = str(module.published)
    if module.glue:
        argument["glue"] = module.glue
    if context.smoke is not None:
        argument["smoke"] = str(context.smoke)
    treated = TREATMENTS[cell.treatment]
    if treated.calls:
        argument[treated.calls] = str(context.helper_for(treated))
    return argument | treated.argument


def cell_command(
    context: RunContext, cell: Cell, extra: Mapping[str, str] | None = None
) -> list[str]:
    """Return the command that runs ``cell`` on its own, without the harness.

    ``extra`` is added to the argument of the scenario.

    Raises:
        LacksError: as in ``cell_argument``.
    """
    argument = msgspec.json.encode(cell_argument(context, cell) | dict(extra or {})).decode()
    runtime = context.runtimes[cell.runtime, cell.version]
    return runtime.command(paths.SCENARIOS / "cell.cjs", argument)


def treatment_environment(context: RunContext, cell: Cell) -> dict[str, str]:
    """Return the variables that the stress, the treatment and the patches of ``cell`` add.

    Raises:
        LacksError: the runtime does not support the treatment.
    """
    runtime = context.runtimes[cell.runtime, cell.version]
    added_variables = {
        **stress_environment(cell.stress),
        **treated_environment(runtime, cell.treatment, context.preload),
    }
    if isinstance(runtime, Bun) and runtime.warmup_variable:
        added_variables[runtime.warmup_variable] = str(context.warmup)
    return added_variables


def cell_environment(home: Path) -> dict[str, str]:
    """Return the environment of a stock cell that keeps its files in ``home``."""
    return {
        "BUN_DEBUG_QUIET_LOGS": "1",  # stops the logging of a debug build
        "BUN_ENABLE_CRASH_REPORTING": "0",
        "BUN_RUNTIME_TRANSPILER_CACHE_PATH": "0",
        "DENO_NO_UPDATE_CHECK": "1",
        "DO_NOT_TRACK": "1",
        GUARD_SWITCH: "0",  # the guard stays off even if `two-go` loads the warm-up library
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "PATH": os.defpath,
        "TMPDIR": str(home),
    }


def slowness_environment(slowness: float) -> dict[str, str]:
    """Return the variables that lengthen a cell's own deadlines; empty on a usual machine."""
    return {"GOBUN_SLOWNESS": f"{slowness:.2f}"} if slowness > 1 else {}


def attempt_cell(context: RunContext, cell: Cell, stop: threading.Event) -> Attempt:
    """Run a cell once. A failure of the harness becomes an ``error`` of this cell.

    Raises:
        StoppedError: ``stop`` was set meanwhile.
    """
    started = time.monotonic()
    observation = evidence.Observation()
    try:
        with scratch_folder("cell") as home, control_groups.cell_group() as group:
            ending, end = _observe(context, cell, _Place(home, group), stop, observation)
    except StoppedError:
        raise
    except LacksError as lack:
        ending, end = Ending("skip", str(lack)), None
    except Exception as error:  # noqa: BLE001 - a child can provoke any
        ending, end = Ending("error", f"{type(error).__name__}: {error}"), None
    return Attempt(ending, end, round((time.monotonic() - started) * 1000), observation)


class _Place(msgspec.Struct, frozen=True):
    """The private folder of a cell, and its control groups."""

    home: Path
    group: control_groups.CellGroup


def _observe(
    context: RunContext,
    cell: Cell,
    place: _Place,
    stop: threading.Event,
    observation: evidence.Observation,
) -> tuple[Ending, ProcessEnd | None]:
    witness_note = place.home / _WITNESS
    start = time.time()
    slowness = context.slowness()
    with contextlib.closing(Channel(place.home)) as channel:
        extra = {"channel": str(channel.folder)}
        if context.smoke is not None:
            extra["witness"] = str(witness_note)
        launch = Launch(
            command=cell_command(context, cell, extra),
            cwd=place.home,
            env=cell_environment(place.home) | slowness_environment(slowness),
            command_env=treatment_environment(context, cell),
            core_bytes=evidence.CORE_BYTES if context.means.cores else 0,
            group=place.group,
        )
        with SupervisedProcess(context.supervise, launch, channel) as child:
            witness = Witness(_module_file(context, cell), witness_note)
            monitor = Monitor(child, context.limit_s, witness, slowness=slowness)
            verdict = monitor.watch(stop)
            observation.is_starved = monitor.is_starved
            observation.mapped, observation.go = witness.mapped, witness.go
            if verdict is not None and child.pid is not None:
                _look_at(child.pid, cell, context, observation)
            child.finish()
    observation.output, observation.events = child.printed_text, tuple(child.events)
    observation.reported_events = channel.progress.count
    ending = _ending_of(child, verdict, launch)
    if context.smoke is not None and ending.outcome == "pass" and not observation.mapped:
        ending = _never_loaded(context, cell)
    if context.means.cores and child.pid is not None and ending.outcome == "crash":
        if child.end is None or child.end.signal is None:
            observation.core = "no core: it ended with an exit code"
        else:
            crash = evidence.Crash(child.pid, launch.command[0], place.home, start)
            observation.take_core(crash, cell, context.means, context.out)
    return ending, child.end


def _look_at(pid: int, cell: Cell, context: RunContext, observation: evidence.Observation) -> None:
    """Gather evidence of a hung process; a failure here does not change the verdict."""
    try:
        observation.look_at(pid, cell, context.means)
    except Exception as error:  # noqa: BLE001 - names, maps and states are the child's to choose
        observation.problem = f"not looked at: {type(error).__name__}: {error}"


def _ending_of(child: SupervisedProcess, verdict: Ending | None, launch: Launch) -> Ending:
    """Return how a finished child ended. ``verdict`` is set if it did not end by itself."""
    if child.start_error is not None:
        reason = os.strerror(child.start_error)
        return Ending("error", f"{launch.command[0]} could not be started: {reason}")
    if child.fault is not None:
        return Ending("error", f"the cell broke its supervision: {child.fault}")
    if child.crowd is not None:
        return Ending("fail", f"started processes without end: {child.crowd}, all killed")
    if launch.group.memory_kills:
        most = control_groups.memory_limit() / (1 << 30)
        return Ending("fail", f"used more than {most:.1f} GiB of memory, and was killed for it")
    if verdict is not None:
        return verdict
    if child.end is None:
        return Ending("error", "the supervisor ended without a report")
    return classify(child.end, child.events, child.printed_text)


def _module_file(context: RunContext, cell: Cell) -> Path:
    """Return the file that a cell loads its module from."""
    module = context.module_for(cell)
    return module.library if cell.load == "ffi" else module.addon


def _never_loaded(context: RunContext, cell: Cell) -> Ending:
    """Return a failure for a cell whose script passed although its addon was never mapped."""
    addon = context.module_for(cell).addon
    detail = f"{addon} was never mapped in the process: the smoke script loads something else"
    return Ending("fail", detail, "not-loaded")
