"""Computes verdicts on claims from a results file and from measured facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from gobun import files
from gobun.analysis.claims import Check, Claim, read_claims
from gobun.cells.records import WORST_FIRST, Cell, Header, Outcome, telling_outcomes
from gobun.errors import UsageError
from gobun.version_ranges import Rank, rank

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.matrix.results import Run

Judgement = Literal["reproduced", "refuted", "partly", "not testable here", "no data"]

Facts = Mapping[str, Mapping[str, float]]
"""For the name of each fact, a number for each label, such as a platform or a thread."""


class ClaimCheckResult(msgspec.Struct, frozen=True):
    """The result of one check."""

    judgement: Judgement
    reason: str
    supporting: tuple[str, ...] = ()
    """Names of cells, or numbers of a fact as ``label: number``."""
    opposing: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """The result of a claim."""

    id: str
    text: str
    applies: str
    verdict: Judgement
    reason: str
    supporting: tuple[str, ...]
    """The cells and numbers that support it, as text."""
    opposing: tuple[str, ...]
    """The cells and numbers that contradict it, as text."""


def verdicts(
    run: Run, *, facts: Facts | None = None, claims: Mapping[str, Claim] | None = None
) -> list[Verdict]:
    """Return a verdict on every claim; skips, starved cells and harness errors are no evidence.

    Raises:
        UsageError: the file of claims has the wrong form.
    """
    observed: dict[Cell, frozenset[Outcome]] = {}
    for result in run.results:
        telling = telling_outcomes(result)
        if telling:
            observed[result.cell] = telling | observed.get(result.cell, frozenset())
    return [
        _verdict(
            name, claim, [_look(check, observed, facts or {}, run.header) for check in claim.check]
        )
        for name, claim in (claims if claims is not None else read_claims()).items()
    ]


def library_sizes(manifest: Path) -> dict[str, dict[str, float]]:
    """Return the sizes in bytes of built warm-up libraries, from a build's ``manifest.json``.

    Raises:
        UsageError: the file is missing or is no manifest.
    """
    builds = _read_record(
        manifest, _LibrariesManifest, "is no manifest of warm-up libraries", "build-warmup"
    )
    entries = builds.libraries
    return {"library-bytes": {entry.target: float(entry.size) for entry in entries if entry.go}}


def read_facts(path: Path) -> dict[str, dict[str, float]]:
    """Return the measured numbers of benchmarks, as stored by ``write_facts``.

    Raises:
        UsageError: the file is missing, or holds no such numbers.
    """
    return _read_record(
        path, dict[str, dict[str, float]], "holds no measured numbers", "benchmark warmup"
    )


def write_facts(path: Path, facts: Facts) -> None:
    """Write measured numbers for ``invoke claims``.

    Raises:
        PrerequisiteError: the file cannot be written.
    """
    files.write_whole(path, files.readable_json(facts))


_T = TypeVar("_T")


def _read_record(path: Path, kind: type[_T], consequence: str, task: str) -> _T:
    """Return the content of a file that a task wrote; ``consequence`` ends the error message."""
    data = files.read_input(path, hint=f"run invoke {task}")
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} {consequence}: {error}") from error


class _Size(msgspec.Struct, frozen=True):
    target: str
    size: int
    go: str
    """The Go version; empty for a library without Go that was published with the others."""


class _LibrariesManifest(msgspec.Struct, frozen=True):
    libraries: tuple[_Size, ...]


def _look(
    check: Check, outcomes_by_cell: Mapping[Cell, frozenset[Outcome]], facts: Facts, header: Header
) -> ClaimCheckResult:
    system = header.host.os
    if check.os is not None and check.os != system:
        reason = f"{check.says}: asked of {check.os}, and this is {system}"
        return ClaimCheckResult("not testable here", reason)
    if check.fact is not None:
        return _look_at_fact(check, facts.get(check.fact, {}))
    supporting: list[Cell] = []
    opposing: list[Cell] = []
    outcome_counts: Counter[str] = Counter()
    for cell in sorted(outcomes_by_cell, key=_by_version):
        if not check.selects(cell, header.patches) or not _is_given(check, cell, outcomes_by_cell):
            continue
        outcomes = outcomes_by_cell[cell]
        outcome_counts["/".join(o for o in WORST_FIRST if o in outcomes)] += 1
        fits = outcomes & set(check.supports) if check.rule == "somewhere" else None
        supported = bool(fits) if fits is not None else outcomes <= set(check.supports)
        (supporting if supported else opposing).append(cell)
    if not outcome_counts:
        return ClaimCheckResult("no data", f"{check.says}: no such cell in these results")
    counts = ", ".join(f"{number} {name}" for name, number in outcome_counts.most_common())
    judgement = _judge(check, len(supporting), len(opposing))
    telling, side = (supporting, "so on") if check.rule == "somewhere" else (opposing, "not on")
    where = f"; {side} {_versions(telling)}" if telling else ""
    return ClaimCheckResult(
        judgement,
        f"{check.says}: {len(supporting)} of {outcome_counts.total()} cells ({counts}{where})",
        tuple(cell.name for cell in supporting),
        _opposing(check, judgement, [cell.name for cell in opposing]),
    )


def _is_given(
    check: Check, cell: Cell, outcomes_by_cell: Mapping[Cell, frozenset[Outcome]]
) -> bool:
    if check.given is None:
        return True
    counterpart = outcomes_by_cell.get(check.given.counterpart(cell), frozenset())
    return bool(counterpart & set(check.given.outcomes))


def _look_at_fact(check: Check, numbers: Mapping[str, float]) -> ClaimCheckResult:
    if not numbers or check.between is None:
        return ClaimCheckResult("no data", f"{check.says}: {check.fact} was not measured")
    low, high = check.between
    texts = {label: f"{label}: {number:,.10g}" for label, number in sorted(numbers.items())}
    within_bounds = [texts[label] for label in texts if low <= numbers[label] <= high]
    outside = [text for text in texts.values() if text not in within_bounds]
    judgement = _judge(check, len(within_bounds), len(outside))
    return ClaimCheckResult(
        judgement,
        f"{check.says}: {len(within_bounds)} of {len(texts)} ({', '.join(texts.values())})",
        tuple(within_bounds),
        _opposing(check, judgement, outside),
    )


def _opposing(check: Check, judgement: Judgement, names: Sequence[str]) -> tuple[str, ...]:
    """Return what opposes a check. ``somewhere`` permits any outcome elsewhere."""
    return () if check.rule == "somewhere" and judgement == "reproduced" else tuple(names)


def _judge(check: Check, supporting: int, opposing_count: int) -> Judgement:
    if not supporting:
        return "refuted"
    if not opposing_count or check.rule == "somewhere":
        return "reproduced"
    return "refuted" if check.rule == "always" else "partly"


def _verdict(name: str, claim: Claim, findings: Sequence[ClaimCheckResult]) -> Verdict:
    reasons = [finding.reason for finding in findings] or [claim.untestable]
    return Verdict(
        id=name,
        text=claim.text,
        applies=claim.applies,
        verdict=_combine_judgements([finding.judgement for finding in findings]),
        reason="; ".join([*reasons, *([claim.note] if claim.note else [])]) + ".",
        supporting=tuple(dict.fromkeys(n for finding in findings for n in finding.supporting)),
        opposing=tuple(dict.fromkeys(n for finding in findings for n in finding.opposing)),
    )


def _combine_judgements(judgements: Sequence[Judgement]) -> Judgement:
    """Return the judgement of a claim: ``reproduced`` only if every part has that judgement."""
    decided = {
        judgement for judgement in judgements if judgement in {"reproduced", "refuted", "partly"}
    }
    if not decided:
        return "no data" if "no data" in judgements else "not testable here"
    if decided == {"refuted"}:
        return "refuted"
    return "reproduced" if decided == set(judgements) == {"reproduced"} else "partly"


def _by_version(cell: Cell) -> tuple[str, Rank, Cell]:
    return cell.runtime, rank(cell.version), cell


def _versions(cells: Sequence[Cell]) -> str:
    labels = list(dict.fromkeys(f"{cell.runtime} {cell.version}" for cell in cells))
    if len(labels) == 1:
        return labels[0]
    return f"{len(labels)} versions from {labels[0]} to {labels[-1]}"


def describe_cells(verdict: Verdict, limit: int = 3) -> str:
    """Return some of the cells behind a verdict, on one line; empty if there are none."""
    parts = []
    for label, names in (("for", verdict.supporting), ("against", verdict.opposing)):
        if names:
            more = f" and {len(names) - limit} more" if len(names) > limit else ""
            parts.append(f"{label}: {', '.join(names[:limit])}{more}")
    return "; ".join(parts)
