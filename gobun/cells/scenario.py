"""Reads the TOML files that define a matrix, rejects unknown keys, and plans the cells."""

from __future__ import annotations

import functools
import hashlib
import itertools
from typing import TYPE_CHECKING

import msgspec

from gobun import build, paths
from gobun.cells.records import LOADS, Cell, Load
from gobun.errors import UsageError
from gobun.toml_config import read_toml
from gobun.treatments import TREATMENTS, TreatmentName, expand_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


class Axes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values of each axis, and the time limit of a cell."""

    versions: tuple[str, ...]
    treatments: tuple[TreatmentName, ...]
    modules: tuple[str, ...]
    loads: tuple[Load, ...]
    stresses: tuple[str, ...]
    limit_s: float
    """Seconds after which a cell that still progresses is stopped."""


class Stress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The activity of the process after the load."""

    asks: str
    """The question that it answers."""
    apart: bool = False
    """Excluded from ``all``: it takes minutes, or applies to one module alone."""
    environment: dict[str, str] = {}
    """Variables that it adds to the environment of the runtime."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A matrix, and every stress that a run of it may name."""

    matrix: Axes
    stress: dict[str, Stress]


def read_scenario(path: Path | None = None) -> Scenario:
    """Read a matrix, by default the one in ``scenarios/default.toml``.

    Raises:
        UsageError: the file has the wrong form, or names something that does not exist.
    """
    path = path or paths.SCENARIOS / "default.toml"
    scenario = read_toml(path, Scenario)
    stress_names = tuple(scenario.stress)
    check_names("stress", scenario.matrix.stresses, stress_names)
    check_names("module", scenario.matrix.modules, build.MODULES)
    for name in stress_names:
        if not stress_script(name).is_file():
            raise UsageError(
                f"{path}: [stress.{name}] has no script {stress_script(name)}",
                hint="add the script, or remove the table",
            )
    return scenario


@functools.cache
def stress_environment(name: str) -> Mapping[str, str]:
    """Return the variables that a stress adds to the environment of the runtime.

    Raises:
        UsageError: as `read_scenario`.
    """
    stress = read_scenario().stress.get(name)
    return {} if stress is None else stress.environment


def stress_script(name: str) -> Path:
    """Return the script of a stress."""
    return paths.SCENARIOS / "stress" / f"{name}.cjs"


def narrow_axes(
    scenario: Scenario,
    *,
    treatments: Sequence[str] = (),
    modules: Sequence[str] = (),
    loads: Sequence[str] = (),
    stresses: Sequence[str] = (),
    limit_s: float | None = None,
) -> Axes:
    """Return the axes of ``scenario``. An argument that is not empty replaces its axis.

    Raises:
        UsageError: a name is unknown, with the near matches; or the limit is not positive.
    """
    axes = scenario.matrix
    treatments = expand_names(treatments)
    if tuple(stresses) == ("all",):
        stresses = [name for name, stress in scenario.stress.items() if not stress.apart]
    check_names("treatment", treatments, tuple(TREATMENTS))
    check_names("module", modules, build.MODULES)
    check_names("load", loads, LOADS)
    check_names("stress", stresses, tuple(scenario.stress))
    if limit_s is not None and not 0 < limit_s < float("inf"):
        raise UsageError(f"the limit is {limit_s:g} seconds", hint="give a positive number")
    chosen_axes = {
        "treatments": tuple(treatments) or axes.treatments,
        "modules": tuple(modules) or axes.modules,
        "loads": tuple(loads) or axes.loads,
        "stresses": tuple(stresses) or axes.stresses,
        "limit_s": limit_s or axes.limit_s,
    }
    return msgspec.convert(msgspec.to_builtins(axes) | chosen_axes, Axes)


def check_names(kind: str, names: Sequence[str], known_names: Sequence[str]) -> None:
    """Reject a name that is not in a closed set, and a name that occurs twice.

    Raises:
        UsageError: a name is unknown (with the near matches), or occurs twice.
    """
    for i, name in enumerate(names):
        if name not in known_names:
            raise UsageError.unknown(kind, name, known_names)
        if name in names[:i]:
            raise UsageError(f"the {kind} {name!r} is given twice", hint="name each once")


def plan_cells(runtimes: Iterable[tuple[str, str]], axes: Axes) -> list[Cell]:
    """Return every combination of ``runtimes`` (name, version) and ``axes``, versions outermost."""
    return [
        Cell(name, version, treatment, module, load, stress)
        for (name, version), treatment, module, load, stress in itertools.product(
            runtimes, axes.treatments, axes.modules, axes.loads, axes.stresses
        )
    ]


def plan_hash(cells: Sequence[Cell]) -> str:
    """Return the hash of a plan, independent of the order of its cells."""
    return hashlib.sha256(msgspec.json.encode(sorted(cells))).hexdigest()[:16]
