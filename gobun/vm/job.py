"""The files that host and guest exchange in one shared folder.

Suite, cache and results are at the same paths in the guest as on the host, so no path is
translated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gobun import files, matrix
from gobun.build import Fixture
from gobun.cells import Cell, Header, Result
from gobun.expectations import Expectations
from gobun.matrix.evidence import EvidenceTools
from gobun.runtimes import Bun, Deno, Node, Runtime
from gobun.targets import target_named

GUEST_FOLDER = Path("/run/gobun-vm")
"""The path of the folder in the guest."""
JOB_NAME = "job.json"
SHARES_NAME = "shares"
START_NAME = "start"
LOG_NAME = "log.txt"
CODE_NAME = "code"
STARTED_NAME = "started.jsonl"
"""A line for each cell that the guest starts, before it does."""
BEAT_NAME = "beat"
"""Its content changes every few seconds for as long as the guest is alive."""


class RuntimeRecord(msgspec.Struct, frozen=True):
    """A runtime under test, as the job's file stores it."""

    name: str
    version: str
    program: Path
    dlcall: Path | None = None

    @classmethod
    def of(cls, runtime: Runtime) -> RuntimeRecord:
        """Return the record of ``runtime``."""
        dlcall = runtime.dlcall if isinstance(runtime, Node) else None
        return cls(runtime.name, runtime.version, runtime.program, dlcall)

    @property
    def runtime(self) -> Runtime:
        """The runtime itself."""
        if self.dlcall is not None:
            return Node(self.version, self.program, self.dlcall)
        if self.name == "deno":
            return Deno(self.version, self.program)
        return Bun(self.version, self.program)


class ModuleVariant(msgspec.Struct, frozen=True):
    """A form of a module that some treatments load instead."""

    variant: str
    fixture: Fixture


class Job(msgspec.Struct, frozen=True):
    """Cells to run, and everything that they run with."""

    header: Header
    """The header of the run. The guest adds its own facts."""
    cells: tuple[Cell, ...]
    kept: tuple[Result, ...]
    """Earlier results, which the results file keeps."""
    jobs: int
    resume: bool
    supervise: Path
    inspector: Path | None
    warmup: Path
    guard: Path
    probe: Path
    package: Path | None
    preload: Path | None
    modules: dict[str, Fixture]
    variants: tuple[ModuleVariant, ...]
    target: str
    """Name of the platform of runtimes and modules."""
    runtimes: tuple[RuntimeRecord, ...]
    expectations: Expectations
    out: Path
    limit_s: float
    repeat: int
    cores: bool
    """Whether crashed processes leave a core file."""
    emulated: bool
    machine: str
    """The emulator of the guest: ``QEMU 7.2.22, emulated``."""
    again: str = ""
    """The beginning of the command line that runs a cell again."""
    reference_s: float = 1.0
    """How long the loop of ``gobun.vm.speed`` took on the host."""

    @property
    def context(self) -> matrix.RunContext:
        """The context of the cells, except for the speed of the machine."""
        # gdb would take minutes for one backtrace where every instruction is emulated.
        tools = EvidenceTools(self.inspector, gdb=not self.emulated, cores=self.cores)
        return matrix.RunContext(
            supervise=self.supervise,
            warmup=self.warmup,
            guard=self.guard,
            probe=self.probe,
            modules=self.modules,
            target=target_named(self.target),
            out=self.out,
            limit_s=self.limit_s,
            runtimes={(each.name, each.version): each.runtime for each in self.runtimes},
            expectations=self.expectations,
            repeat=self.repeat,
            package=self.package,
            preload=self.preload,
            means=tools,
            variants={(each.variant, each.fixture.name): each.fixture for each in self.variants},
        )


def write_job(job: Job, folder: Path) -> None:
    """Write a job into the shared folder.

    Raises:
        PrerequisiteError: the folder cannot be written.
    """
    files.write_whole(folder / JOB_NAME, msgspec.json.encode(job, enc_hook=str))


def read_job(folder: Path) -> Job:
    """Read the job in the shared folder."""
    return msgspec.json.decode((folder / JOB_NAME).read_bytes(), type=Job, dec_hook=_path)


def _path(kind: type, text: Any) -> Path:  # noqa: ANN401 - msgspec's hook
    if kind is not Path:
        raise NotImplementedError(kind)
    return Path(text)


def started_cells(folder: Path) -> tuple[Cell, ...]:
    """Return the cells that the guest has started, up to the first truncated line."""
    try:
        lines = (folder / STARTED_NAME).read_bytes().split(b"\n")
    except OSError:
        return ()
    cells: list[Cell] = []
    for line in lines[:-1]:
        try:
            cells.append(msgspec.json.decode(line, type=Cell))
        except (msgspec.DecodeError, UnicodeDecodeError):
            break
    return tuple(cells)
