"""The inputs that all cells of a run share, prepared before the first cell starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import build
from gobun.build import Fixture
from gobun.expectations import Expectations
from gobun.matrix.evidence import EvidenceTools
from gobun.matrix.module_variants import module_variants
from gobun.runtimes import LacksError, Runtime
from gobun.targets import Target, host_target
from gobun.treatments import TREATMENTS, Treatment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.cells.records import Cell


def _as_usual() -> float:
    return 1.0


class RunContext(msgspec.Struct, frozen=True):
    """The inputs that all cells of a run share."""

    supervise: Path
    warmup: Path
    guard: Path
    probe: Path
    """A library without Go, through which a cell examines its own process."""
    modules: Mapping[str, Fixture]
    target: Target
    """The platform of the runtimes and modules."""
    out: Path
    """Folder of the results; evidence goes into subfolders."""
    limit_s: float
    """Time limit of a cell, in seconds of a usual machine."""
    runtimes: Mapping[tuple[str, str], Runtime] = msgspec.field(default_factory=dict)
    expectations: Expectations = Expectations()
    repeat: int = 1
    """The number of attempts for each cell."""
    package: Path | None = None
    """Folder of the npm package of the loader, on systems for which it has a guard."""
    preload: Path | None = None
    """The library for LD_PRELOAD, on systems that have it."""
    means: EvidenceTools = msgspec.field(default_factory=EvidenceTools)
    """The tools to examine a hung or crashed process with."""
    variants: Mapping[tuple[str, str], Fixture] = msgspec.field(default_factory=dict)
    """The other forms of the modules, by variant and name."""
    smoke: Path | None = None
    """The script that loads and checks a custom addon."""
    slowness: Callable[[], float] = _as_usual
    """The factor by which this machine is slower than the machines for which the limits were
    chosen."""

    @property
    def foreign_libc(self) -> str:
        """The C library of the runtimes, if it is not this machine's own; else ``""``."""
        return "" if self.target == host_target() else self.target.libc

    def module_for(self, cell: Cell) -> Fixture:
        """Return the module that a cell loads.

        Raises:
            LacksError: the module lacks the form that the cell's treatment loads.
        """
        variant = TREATMENTS[cell.treatment].variant
        if not variant:
            return self.modules[cell.module]
        fixture = self.variants.get((variant, cell.module))
        if fixture is None:
            raise LacksError(f"there is no {variant} form of {cell.module} for {self.target.name}")
        return fixture

    def helper_for(self, treatment: Treatment) -> Path:
        """Return the library or package that the scenario loads and calls for a treatment.

        Raises:
            LacksError: there is none for this platform.
        """
        helpers = {"warmup": self.warmup, "guard": self.guard, "package": self.package}
        helper = helpers[treatment.calls]
        if helper is None:
            raise LacksError(f"there is no {treatment.calls} for {self.target.name}")
        return helper


def build_run_context(
    modules: Sequence[str],
    target: Target,
    *,
    out: Path,
    limit_s: float,
    gdb: bool = False,
    cores: bool = False,
    treatments: Sequence[str] = (),
    host: Target | None = None,
) -> RunContext:
    """Build everything that cells of ``modules`` need, except the runtimes.

    ``host`` is the platform of the machine that runs them, by default this one. A glibc machine can
    run musl targets. The reverse is not true.

    Raises:
        UsageError: there is no such module, or the guard cannot be embedded into one.
        PrerequisiteError: Go or Zig is missing, or a module is not for ``target``.
        BuildError: a build failed.
        FetchError: a package could not be fetched.
    """
    linux = target.os == "linux"
    built = {name: build.provide_module(name, target) for name in modules}
    host = host or host_target()
    inspector = build.build_inspector(host) if linux else None
    return RunContext(
        supervise=build.build_supervise(host),
        warmup=build.build_warmup([target])[0].library,
        guard=build.build_guard([target])[0].library,
        probe=build.build_fixture(build.CONTROL, target).library,
        modules=built,
        target=target,
        variants=module_variants(built, treatments, target),
        out=out,
        limit_s=limit_s,
        package=build.build_loader(target) if linux else None,
        preload=build.build_preload([target])[0].library if linux else None,
        means=EvidenceTools(inspector, gdb=gdb, cores=cores),
    )
