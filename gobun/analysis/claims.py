"""Reads the claims that this project started from, and the checks that decide them."""

from __future__ import annotations

import fnmatch
import itertools
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun import build, bun_source, paths
from gobun.cells.records import LOADS, Load, Outcome
from gobun.cells.scenario import read_scenario
from gobun.errors import UsageError
from gobun.runtimes import RUNTIMES, version_with
from gobun.toml_config import read_toml
from gobun.treatments import TREATMENTS
from gobun.version_ranges import in_range, parse_range

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gobun.cells.records import Cell

CLAIMS = paths.ROOT / "claims" / "claims.toml"

Rule = Literal["always", "mostly", "somewhere"]
"""How many cells or numbers must support a statement. ``always``: all. ``somewhere``: one.
``mostly``: all, but if only some do, the judgement is ``partly`` and not ``refuted``."""


class CounterpartCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The counterpart of a cell, which differs only in these fields, and its required outcomes."""

    outcomes: tuple[Outcome, ...]
    treatment: str | None = None
    module: str | None = None
    load: Load | None = None
    stress: str | None = None

    def counterpart(self, cell: Cell) -> Cell:
        """Return the counterpart of ``cell``. Another treatment may need another build."""
        named = {
            axis: getattr(self, axis)
            for axis in ("treatment", "module", "load", "stress")
            if getattr(self, axis) is not None
        }
        if self.treatment is not None:
            named["version"] = version_with(cell.version, self.treatment)
        return msgspec.structs.replace(cell, **named)


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of a claim: cells and the outcomes that support it, or a fact and its bounds."""

    says: str
    """The statement that this part tests."""
    rule: Rule
    supports: tuple[Outcome, ...] = ()
    fact: str | None = None
    """The name of the measured fact to check instead of cells."""
    between: tuple[float, float] | None = None
    """The smallest and the largest number of ``fact`` that support the statement."""
    given: CounterpartCheck | None = None
    """Only cells whose counterpart fulfils this count."""
    os: Literal["linux", "darwin"] | None = None
    """The system on which this part can be tested; None for all."""
    runtime: str | None = None
    versions: str | None = None
    treatments: tuple[str, ...] | None = None
    modules: tuple[str, ...] | None = None
    loads: tuple[Load, ...] | None = None
    stresses: tuple[str, ...] | None = None
    patch: str | None = None
    """A patch that the builds of this part have; None for all executables."""
    without_patch: str | None = None
    """A patch that the builds of this part lack."""

    def selects(self, cell: Cell, patches: Mapping[str, Sequence[str]]) -> bool:
        """Return whether this part selects ``cell``; ``patches`` holds those of each version."""
        return (
            (self.patch is None or self.patch in patches.get(cell.version, ()))
            and self.without_patch not in patches.get(cell.version, ())
            and self.runtime in {None, cell.runtime}
            and _named(cell.treatment, self.treatments)
            and _named(cell.module, self.modules)
            and (self.loads is None or cell.load in self.loads)
            and _named(cell.stress, self.stresses)
            and (self.versions is None or in_range(cell.version, self.versions))
        )


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement to test, and the checks that decide it."""

    text: str
    applies: str = ""
    note: str = ""
    """Further information for readers of the verdict."""
    untestable: str = ""
    """The reason why no check here can decide it."""
    check: tuple[Check, ...] = ()


class _PlannedNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    treatments: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    stresses: tuple[str, ...] = ()


class _ClaimsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    claim: dict[str, Claim]
    planned: _PlannedNames = _PlannedNames()


def read_claims(path: Path | None = None) -> dict[str, Claim]:
    """Read the claims in file order, by default the suite's own.

    Raises:
        UsageError: the file has the wrong form. The error names the file, the table and the key.
    """
    path = path or CLAIMS
    content = read_toml(path, _ClaimsFile)
    known_names = {
        "treatments": (*TREATMENTS, *content.planned.treatments),
        "modules": (*build.MODULES, *content.planned.modules),
        "loads": LOADS,
        "stresses": (*read_scenario().stress, *content.planned.stresses),
    }
    patches = sorted(
        {patch.id for line in bun_source.lines() for patch in bun_source.series_named(line).patches}
    )
    for name, claim in content.claim.items():
        if bool(claim.untestable) == bool(claim.check):
            raise UsageError(
                f"{path}: [claim.{name}] needs either checks or a reason why it is untestable",
                hint=f"add [[claim.{name}.check]], or the key `untestable`",
            )
        for number, check in enumerate(claim.check, start=1):
            where = f"{path}: row {number} of [[claim.{name}.check]]"
            _validate(check, where, known_names)
            for patch in (check.patch, check.without_patch):
                if patch is not None and patch not in patches:
                    raise UsageError.unknown(f"patch in {where}:", patch, patches)
    return content.claim


def _validate(check: Check, key_path: str, known_names: dict[str, tuple[str, ...]]) -> None:
    _validate_kind(check, key_path)
    if check.runtime is not None and check.runtime not in RUNTIMES:
        raise UsageError.unknown(f"runtime in {key_path}:", check.runtime, RUNTIMES)
    for key, names in known_names.items():
        selectors: Sequence[str] | None = getattr(check, key)
        if selectors is not None and not selectors:
            raise UsageError(f"{key_path}: {key} = [] selects no cell", hint="leave it out")
        for name in selectors or ():
            if not _is_known(name, names):
                raise UsageError.unknown(f"name of `{key}` in {key_path}:", name, names)
    if check.given is not None:
        _validate_given(check.given, key_path, known_names)
    try:
        parse_range(check.versions or ">=0.0.0")
    except ValueError as error:
        raise UsageError(
            f"{key_path}: versions = {check.versions!r} is not a range: {error}",
            hint='write it like ">=1.2.2 <=1.2.19"',
        ) from error


def _validate_kind(check: Check, key_path: str) -> None:
    if check.fact is None:
        if not check.supports:
            raise UsageError(
                f"{key_path}: `supports` is missing or empty",
                hint="list the outcomes that support the statement",
            )
        if check.between is not None:
            raise UsageError(
                f"{key_path}: `between` is only for `fact`",
                hint="add `fact`, or leave `between` out",
            )
        return
    if check.between is None:
        raise UsageError(f"{key_path}: `fact` needs `between`", hint="add between = [LEAST, MOST]")
    if check.supports or _selects_cells(check):
        raise UsageError(
            f"{key_path}: `fact` is not a cell, so it takes no `supports` and no selectors",
            hint="leave them out, or make a check of its own for them",
        )
    if check.between[0] > check.between[1]:
        raise UsageError(
            f"{key_path}: between = {list(check.between)} holds nothing",
            hint="give the smaller number first",
        )


def _validate_given(
    counterpart: CounterpartCheck, key_path: str, known_names: dict[str, tuple[str, ...]]
) -> None:
    plural = {"treatment": "treatments", "module": "modules", "stress": "stresses"}
    if counterpart.load is None and all(getattr(counterpart, axis) is None for axis in plural):
        raise UsageError(
            f"{key_path}: `given` has the same value as the cells, so it compares nothing",
            hint="give it another treatment, module, load or stress",
        )
    if not counterpart.outcomes:
        raise UsageError(
            f"{key_path}: `given.outcomes` is empty",
            hint="list the outcomes that the counterpart must have",
        )
    for axis, key in plural.items():
        name = getattr(counterpart, axis)
        if name is not None and name not in known_names[key]:
            raise UsageError.unknown(f"`given.{axis}` in {key_path}:", name, known_names[key])


def _selects_cells(check: Check) -> bool:
    keys = ("runtime", "versions", "treatments", "modules", "loads", "stresses", "patch")
    return any(getattr(check, key) is not None for key in (*keys, "without_patch", "given"))


def _named(value: str, names: Sequence[str] | None) -> bool:
    return names is None or any(fnmatch.fnmatchcase(value, name) for name in names)


def _is_known(name: str, known_names: Sequence[str]) -> bool:
    """Return whether a name or pattern matches something that is known or planned."""
    pairs = itertools.product([name], known_names)
    return any(fnmatch.fnmatchcase(k, n) or fnmatch.fnmatchcase(n, k) for n, k in pairs)
