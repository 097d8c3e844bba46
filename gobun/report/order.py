"""The sort order of reports, independent of the order in which cells ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import build
from gobun.cells.records import LOADS, Load
from gobun.treatments import TREATMENTS, TreatmentName
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gobun.cells import Result
    from gobun.version_ranges import Rank


def runtime_label(result: Result) -> str:
    """Return the runtime, after its platform in a run that joins several: ``arm64 bun``."""
    return f"{result.platform} {result.runtime}".lstrip()


def release_label(result: Result) -> str:
    """Return the runtime and version in the usual notation: ``bun@1.2.19``."""
    return f"{result.runtime}@{result.version}"


def version_label(result: Result) -> str:
    """Return runtime and version, after the platform in a joined run: ``arm64 bun@1.2.19``."""
    return f"{runtime_label(result)}@{result.version}"


def version_key(version: str) -> tuple[Rank, str]:
    """Order versions by release, and builds of the same version by name."""
    return rank(version), version


def module_key(module: str) -> tuple[int, str]:
    """Order modules as in the suite, with unknown ones after them."""
    module_rank = build.MODULES.index(module) if module in build.MODULES else len(build.MODULES)
    return module_rank, module


def treatment_key(treatment: TreatmentName) -> int:
    """Order treatments as in the suite."""
    return list(TREATMENTS).index(treatment)


def load_key(load: Load) -> int:
    """Order loads as in the suite."""
    return LOADS.index(load)


def column_key(column: tuple[TreatmentName, str]) -> tuple[int, tuple[int, str]]:
    """Order the columns of a table, each a treatment and a module."""
    treatment, module = column
    return treatment_key(treatment), module_key(module)


def in_order(results: Iterable[Result]) -> list[Result]:
    """Sort results by platform, runtime and version, then by treatment, module, load and stress."""
    return sorted(
        results,
        key=lambda result: (
            result.platform,
            result.runtime,
            version_key(result.version),
            column_key((result.treatment, result.module)),
            load_key(result.load),
            result.stress,
        ),
    )
