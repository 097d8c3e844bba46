"""The records of a matrix: cells, results, and the header of a results file."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from gobun.treatments import TreatmentName

Outcome = Literal["pass", "fail", "crash", "hang", "timeout", "skip", "error"]
"""How a cell ended:

- ``pass``: the module was loaded and called, and the stress got its answer;
- ``fail``: the cell reported that something is wrong, or ended too early;
- ``crash``: a signal or a crash handler ended the process;
- ``hang``: the process made no progress;
- ``timeout``: the process still made progress at the limit, or did not get the processor;
- ``skip``: the runtime lacks something that the cell needs; the detail names it;
- ``error``: the harness failed, not the cell."""

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
"""The kind of an outcome that has several. A ``hang`` is one of these:

- ``livelock``: a signal storm kept a thread from its work;
- ``deadlock``: no thread of the process could wake any other;
- ``busy``: a thread computed until the limit;
- ``waiting``: a thread waited until the limit, in a call that can return;
- ``stopped``: a signal had stopped the process;
- ``reported``: the cell reported that a process it had started hung.

A ``timeout`` is ``progressing`` or ``starved``. ``starved`` means that the process could not run
for long enough to be judged. A ``fail`` is ``not-loaded`` if the module was never in the
process."""

UNJUDGED_KINDS: tuple[Kind, ...] = ("starved",)
"""Kinds that are no evidence about a cell."""

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
"""Every outcome, the most severe first."""


class Cell(msgspec.Struct, frozen=True, order=True):
    """One child process: runtime, treatment, module, load and stress."""

    runtime: str
    """``bun``, ``node`` or ``deno``."""
    version: str
    treatment: TreatmentName
    module: str
    load: Load
    stress: str

    @property
    def name(self) -> str:
        """The cell on one line, as in reports."""
        parts = (self.treatment, self.module, self.load, self.stress)
        return "/".join((f"{self.runtime}@{self.version}", *parts))


class Platform(msgspec.Struct, frozen=True, order=True):
    """The facts that separate the results of hosts, because cells may end differently on them."""

    machine: str
    """As in ``Host``; an empty one sorts first."""
    os: str
    arch: str
    libc: str
    """``Host.libc_name``."""
    kernel: str
    """Empty on a physical machine: shards of one run may run on several kernels."""


class Host(msgspec.Struct, frozen=True):
    """The machine that a matrix ran on."""

    os: str
    """``linux`` or ``darwin``."""
    kernel: str
    """Release of the kernel."""
    cpu: str
    """Name of the processor."""
    cores: int
    """Number of cores."""
    libc: str
    """C library of the runtimes, with its version."""
    arch: str = ""
    """Architecture, as Node names it; empty in results of old versions of the suite."""
    machine: str = ""
    """The virtual machine, and whether it is emulated; empty on a physical machine."""
    emulated: bool = False
    """Whether every instruction was emulated."""

    @property
    def libc_name(self) -> str:
        """``glibc``, ``musl``, or ``""`` for any other."""
        name = self.libc.partition(" ")[0]
        return name if name in {"glibc", "musl"} else ""

    @property
    def system(self) -> str:
        """``linux 6.1, x64``, then the virtual machine if there is one."""
        return ", ".join(
            each for each in (f"{self.os} {self.kernel}", self.arch, self.machine) if each
        )

    @property
    def text(self) -> str:
        """All facts on one line."""
        return f"{self.system}, {self.cpu} ({self.cores} cores), {self.libc}"

    @property
    def platform(self) -> Platform:
        """The facts that keep its results apart from those of other hosts."""
        kernel = self.kernel if self.machine else ""
        return Platform(self.machine, self.os, self.arch, self.libc_name, kernel)


class Ending(msgspec.Struct, frozen=True):
    """An outcome, and one sentence on its cause."""

    outcome: Outcome
    detail: str
    kind: Kind = ""


class Result(msgspec.Struct, frozen=True, omit_defaults=False):
    """A line of ``results.jsonl``: a cell and how it ended."""

    runtime: str
    """``bun``, ``node`` or ``deno``."""
    version: str
    """The release of the runtime, such as ``1.2.19`` or ``1.2.19+patched``."""
    treatment: TreatmentName
    """The change that was made to help the runtime."""
    module: str
    """The native code under test."""
    load: Load
    """The method that loads the module into the process."""
    stress: str
    """The activity of the process after the load."""
    outcome: Outcome
    """How the cell ended; the worst of its attempts."""
    detail: str
    """One sentence on the cause of the outcome; empty for a pass."""
    expected: tuple[Outcome, ...]
    """The outcomes that the expectations list for this cell."""
    unexpected: bool
    """Whether the outcome differs from every expected one."""
    wall_ms: int
    """Duration of the worst attempt, in milliseconds."""
    cpu_ms: int
    """Processor time of the worst attempt, in milliseconds."""
    max_rss_kb: int
    """Largest resident memory of the worst attempt, in KiB."""
    exit_code: int | None
    """Exit code of the runtime; null if a signal or the harness ended it."""
    signal: str | None
    """Name of the signal that ended the runtime; null if it exited or the harness ended it."""
    attempts: int
    """The number of times that the cell was run."""
    evidence: tuple[str, ...]
    """Paths of the evidence, relative to the folder of the results."""
    repro: str
    """One command line that runs this cell alone."""
    outcomes: tuple[Outcome, ...] = ()
    """The outcome of each attempt, in order."""
    why: str = ""
    """The reason for ``expected`` if that is not ``pass``."""
    kind: Kind = ""
    """The kind of the outcome, if it has several."""
    mapped: bool = False
    """Whether the harness, from outside, saw the module's file mapped in the process."""
    go: bool = False
    """Whether the module's file contains a Go runtime."""
    host: Host | None = None
    """The machine that ran the cell; null only before the result is written."""
    platform: str = ""
    """The short name of its platform, in a file that joins several (``Header.joined``)."""

    @property
    def is_judged(self) -> bool:
        """Whether the process could run for long enough to be judged."""
        return self.kind not in UNJUDGED_KINDS

    @property
    def intermittent(self) -> bool:
        """Whether attempts had different outcomes."""
        return len(set(self.outcomes)) > 1

    @property
    def cell(self) -> Cell:
        """The cell that the result belongs to."""
        return Cell(self.runtime, self.version, self.treatment, self.module, self.load, self.stress)

    @property
    def name(self) -> str:
        """The name of the cell, after its platform in a file that joins several."""
        return f"{self.platform} {self.cell.name}".lstrip()

    @property
    def key(self) -> tuple[str, Cell]:
        """The platform and the cell; no two rows of a file have the same."""
        return self.platform, self.cell


def attempts_of(result: Result) -> tuple[Outcome, ...]:
    """Return the outcome of each attempt."""
    return result.outcomes or (result.outcome,)


def telling_outcomes(result: Result) -> frozenset[Outcome]:
    """Return the outcomes that are evidence about a cell.

    Skips, errors of the harness and starved attempts are no evidence.
    """
    if not result.is_judged:
        return frozenset()
    return frozenset(attempts_of(result)) - {"skip", "error"}


class Shard(msgspec.Struct, frozen=True):
    """The part of a plan that a results file covers."""

    number: int
    """Number of the part, from 1."""
    of: int
    """Number of parts."""
    cells: int
    """Number of cells in this part."""
    split: str
    """Identity of the whole split. A split by other durations has another identity."""

    @property
    def name(self) -> str:
        """``2/4``."""
        return f"{self.number}/{self.of}"


class JoinedPlan(msgspec.Struct, frozen=True):
    """One of the whole plans in a file that joins the results of several platforms."""

    platform: str
    """``Result.platform`` of its rows."""
    host: Host
    """A machine of that platform."""
    plan: str
    """Hash of its planned cells."""
    cells: int
    """Number of its cells."""


class Header(msgspec.Struct, frozen=True):
    """The first line of ``results.jsonl``."""

    suite: str
    """Version of this suite."""
    started: str
    """Start of the run in UTC, ISO 8601."""
    host: Host
    """The machine of the run."""
    tools: dict[str, str]
    """The versions of the pinned tools, by name."""
    plan: str
    """Hash of the planned cells; equal plans have equal hashes."""
    cells: int
    """Number of cells in the plan."""
    shard: Shard | None = None
    """The part of the plan in this file; null for the whole plan."""
    hosts: tuple[Host, ...] = ()
    """The machines of the rows, if there were several."""
    patched: dict[str, str] = msgspec.field(default_factory=dict)
    """The patches in each patched Bun and each emulation, by the name that reports use."""
    patches: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """The patches that change each registered Bun, by the version that cells use; the control has
    none."""
    joined: tuple[JoinedPlan, ...] = ()
    """The plan of each platform, if the file joins several."""

    @property
    def made_with(self) -> dict[str, str]:
        """The tools and patches: everything besides the cells that decides the results."""
        return {**dict(sorted(self.tools.items())), **dict(sorted(self.patched.items()))}

    @property
    def hosts_text(self) -> str:
        """The machine on one line, or one machine of each platform, after the platform's name."""
        each = (f"{part.platform}: {part.host.text}" for part in self.joined)
        return "; ".join(each) or self.host.text
