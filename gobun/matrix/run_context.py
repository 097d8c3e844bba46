"""What cells run with: everything built, found and decided before the first one starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import build
from gobun.build import Fixture
from gobun.expectations import Expectations
from gobun.matrix.evidence import EvidenceTools
from gobun.matrix.guarded_modules import guarded_modules
from gobun.runtimes import LacksError, Runtime
from gobun.targets import host_target
from gobun.treatments import TREATMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.cells.records import Cell
    from gobun.targets import Target


class RunContext(msgspec.Struct, frozen=True):
    """Everything that cells run with."""

    supervise: Path
    warmup: Path
    guard: Path
    probe: Path
    """A library without Go, by which a cell asks about its own process."""
    modules: Mapping[str, Fixture]
    out: Path
    """Folder of the results; evidence goes below it."""
    limit_s: float
    runtimes: Mapping[tuple[str, str], Runtime] = msgspec.field(default_factory=dict)
    expectations: Expectations = Expectations()
    repeat: int = 1
    """How often each cell is run."""
    preload: Path | None = None
    """The library for LD_PRELOAD, where there is such a thing."""
    means: EvidenceTools = msgspec.field(default_factory=EvidenceTools)
    """What a process that hangs is looked at with."""
    guarded: Mapping[tuple[str, str], Fixture] = msgspec.field(default_factory=dict)
    """The modules with the guard inside, by variant and name."""
    smoke: Path | None = None
    """The script that loads and checks a person's own addon."""

    def module_for(self, cell: Cell) -> Fixture:
        """Return the module that a cell loads.

        Raises:
            LacksError: there is none with the guard inside, as its treatment has it.
        """
        variant = TREATMENTS[cell.treatment].variant
        if not variant:
            return self.modules[cell.module]
        found = self.guarded.get((variant, cell.module))
        if found is None:
            raise LacksError(f"there is no {cell.module} with the guard inside")
        return found


def build_run_context(
    modules: Sequence[str],
    target: Target,
    *,
    out: Path,
    limit_s: float,
    gdb: bool = False,
    cores: bool = False,
    treatments: Sequence[str] = (),
) -> RunContext:
    """Build what cells of ``modules`` and ``treatments`` need; the runtimes are still to be added.

    Raises:
        UsageError: there is no such module.
        PrerequisiteError: Go or Zig is missing.
        BuildError: a build failed.
        FetchError: Node's headers could not be fetched.
    """
    linux = target.os == "linux"
    built = {name: build.build_fixture(name, target) for name in modules}
    host = host_target()  # which may run what is for another C library, and not the reverse
    inspector = build.build_inspector(host) if linux else None
    return RunContext(
        supervise=build.build_supervise(host),
        warmup=build.build_warmup([target])[0].library,
        guard=build.build_guard([target])[0].library,
        probe=build.build_fixture(build.CONTROL, target).library,
        modules=built,
        guarded=guarded_modules(built, treatments, target),
        out=out,
        limit_s=limit_s,
        preload=build.build_preload([target])[0].library if linux else None,
        means=EvidenceTools(inspector, gdb=gdb, cores=cores),
    )
