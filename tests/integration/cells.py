"""Makes a context in which a program with known behaviour replaces the runtime."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import build, matrix
from gobun.build import Fixture
from gobun.build import compile as compiling
from gobun.cells import Cell, Result
from gobun.expectations import Expectations
from gobun.matrix.evidence import EvidenceTools
from gobun.targets import host_target

if TYPE_CHECKING:
    from gobun.runtimes import Runtime

SOURCE = Path(__file__).parent / "native" / "child.c"


class KnownChild(msgspec.Struct, frozen=True):
    """A runtime that runs ``child MODE NOTE CHANNEL`` for every command."""

    program: Path
    mode: str
    note: Path
    name: str = "bun"
    version: str = "0.0.1"
    engine: str = "JavaScriptCore"
    lack: str = ""

    def command(self, script: Path, argument: str) -> list[str]:
        channel = msgspec.json.decode(argument)["channel"]
        return [str(self.program), self.mode, str(self.note), channel]

    def settings(self, module: Fixture) -> dict[str, str]:
        return {}


CELL = Cell("bun", "0.0.1", "stock", "simple", "ffi", "idle")


def build_child(folder: Path) -> Path:
    """Compile the program."""
    program = folder / "child"
    compiling.c_program(SOURCE, target=host_target(), output=program, libraries=["pthread"])
    return program


def context(
    runtime: Runtime, out: Path, limit_s: float = 20.0, means: EvidenceTools | None = None
) -> matrix.RunContext:
    """Return a context with one runtime and a module that nobody reads."""
    nothing = Path("unused")
    return matrix.RunContext(
        supervise=build.build_supervise(host_target()),
        warmup=nothing,
        guard=nothing,
        probe=nothing,
        runtimes={(runtime.name, runtime.version): runtime},
        modules={CELL.module: Fixture(CELL.module, nothing, nothing)},
        target=host_target(),
        expectations=Expectations(),
        out=out,
        limit_s=limit_s,
        means=means or EvidenceTools(),
    )


def run_known(
    program: Path,
    mode: str,
    folder: Path,
    limit_s: float = 20.0,
    means: EvidenceTools | None = None,
) -> tuple[Result, Path]:
    """Run ``child MODE``. Return its result, and its note if it wrote one."""
    note = folder / "note"
    runtime = KnownChild(program, mode, note)
    ready = context(runtime, folder / "out", limit_s, means)
    return matrix.run_cell(ready, CELL, threading.Event()), note
