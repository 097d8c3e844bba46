"""The records of a matrix: cells, results, and the file they are kept in."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from gobun.treatments import TreatmentName

Outcome = Literal["pass", "fail", "crash", "hang", "timeout", "skip", "error"]
"""How a cell ended. ``hang``: no progress. ``timeout``: still progressing at the limit.
``error``: the harness's own, never the runtime's."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

Kind = Literal[
    "",
    "livelock",
    "deadlock",
    "busy",
    "waiting",
    "stopped",
    "reported",
    "progressing",
    "starved",
    "not-loaded",
]
"""What an outcome was like. Of a ``hang``:

- ``livelock``: a storm of signals kept a thread from its work;
- ``deadlock``: no thread alive could wake the one that waited;
- ``busy``: a thread computed until the limit;
- ``waiting``: a thread waited until the limit, in a wait that could have ended;
- ``stopped``: a signal had stopped the process;
- ``reported``: the cell itself said that a process it started hung.

Of a ``timeout``: ``progressing``, or ``starved``, which says that the machine gave the cell too
little time to judge it. Of a ``fail``: ``not-loaded``, the module was never in the process."""

UNJUDGED: tuple[Kind, ...] = ("starved",)
"""Kinds that say nothing about a cell."""

Load = Literal["ffi", "napi-sync", "napi-async", "worker"]
LOADS: tuple[Load, ...] = get_args(Load)

WORST_FIRST: tuple[Outcome, ...] = (
    "error",
    "crash",
    "hang",
    "timeout",
    "fail",
    "skip",
    "pass",
)
"""Every outcome, in the order in which it matters."""


class Cell(msgspec.Struct, frozen=True, order=True):
    """One child process: a runtime, how it is helped, and what is loaded, how, and then done."""

    runtime: str
    """``bun``, ``node`` or ``deno``."""
    version: str
    treatment: TreatmentName
    module: str
    load: Load
    stress: str

    @property
    def name(self) -> str:
        """The cell on one line, for people and as part of file names' stems."""
        parts = (self.treatment, self.module, self.load, self.stress)
        return "/".join((f"{self.runtime}@{self.version}", *parts))


class Ending(msgspec.Struct, frozen=True):
    """An outcome and what led to it, in one sentence."""

    outcome: Outcome
    detail: str
    kind: Kind = ""


class Result(msgspec.Struct, frozen=True, omit_defaults=False):
    """A line of ``results.jsonl``: a cell and how it ended."""

    runtime: str
    version: str
    treatment: TreatmentName
    module: str
    load: Load
    stress: str
    outcome: Outcome
    detail: str
    expected: tuple[Outcome, ...]
    unexpected: bool
    wall_ms: int
    cpu_ms: int
    max_rss_kb: int
    exit_code: int | None
    signal: str | None
    attempts: int
    """How often the cell was run."""
    evidence: tuple[str, ...]
    """Paths relative to the folder of the results."""
    repro: str
    """One command line that runs this cell alone."""
    outcomes: tuple[Outcome, ...] = ()
    """What each attempt came to, in order; ``outcome`` is the worst of them."""
    why: str = ""
    """Why ``expected`` is expected, where it is not ``pass``."""
    kind: Kind = ""
    """What the outcome was like, where there are several sorts of it."""
    mapped: bool = False
    """Whether the file of the module was seen mapped in the process, from outside."""
    go: bool = False
    """Whether that file has a Go runtime in it."""

    @property
    def judged(self) -> bool:
        """Whether the cell was given the time that it takes to tell how it ends."""
        return self.kind not in UNJUDGED

    @property
    def intermittent(self) -> bool:
        """Whether the attempts came to different ends."""
        return len(set(self.outcomes)) > 1

    @property
    def cell(self) -> Cell:
        """The cell this is the result of."""
        return Cell(self.runtime, self.version, self.treatment, self.module, self.load, self.stress)


def attempts_of(result: Result) -> tuple[Outcome, ...]:
    """Return what each attempt of a result came to."""
    return result.outcomes or (result.outcome,)


def telling_outcomes(result: Result) -> frozenset[Outcome]:
    """Return the outcomes that say something about a cell.

    Skips and our own errors do not, nor does a cell that the machine was too busy to judge.
    """
    if not result.judged:
        return frozenset()
    return frozenset(attempts_of(result)) - {"skip", "error"}


class Host(msgspec.Struct, frozen=True):
    """The machine a matrix ran on."""

    os: str
    kernel: str
    cpu: str
    cores: int
    libc: str
    arch: str = ""
    """As Node names processors; empty in results of releases that did not say."""

    @property
    def system(self) -> str:
        """``linux 6.1, x64``."""
        return f"{self.os} {self.kernel}" + (f", {self.arch}" if self.arch else "")


class Shard(msgspec.Struct, frozen=True):
    """Which part of a plan a results file is of."""

    number: int
    """From 1."""
    of: int
    cells: int
    """How many cells of the plan it has."""
    split: str
    """Identity of the whole split: it differs where other durations made another one."""

    @property
    def name(self) -> str:
        """``2/4``."""
        return f"{self.number}/{self.of}"


class Header(msgspec.Struct, frozen=True):
    """The first line of ``results.jsonl``."""

    suite: str
    """Version of this suite."""
    started: str
    """When, in UTC, ISO 8601."""
    host: Host
    tools: dict[str, str]
    plan: str
    """Hash of the planned cells; equal plans have equal hashes."""
    cells: int
    """How many cells were planned."""
    shard: Shard | None = None
    """The part that this file is of; None for the whole."""
    hosts: tuple[Host, ...] = ()
    """The machines of the parts, where there were several."""
    patched: dict[str, str] = msgspec.field(default_factory=dict)
    """The patches in each patched Bun and each emulation, by its name in reports."""

    @property
    def made_with(self) -> dict[str, str]:
        """Everything that decides the results beside the cells: the tools, then the patches."""
        return {**dict(sorted(self.tools.items())), **dict(sorted(self.patched.items()))}
