"""Merges the results of shards, and those of several platforms.

It rejects results that do not form one whole plan for each platform.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import files
from gobun.analysis.platforms import (
    hosts_of,
    join_platforms,
    names_of,
    platform_path,
    split_platforms,
)
from gobun.cells.records import Header, Result, attempts_of
from gobun.cells.scenario import plan_hash
from gobun.errors import UsageError
from gobun.matrix.results import FILE_NAME, Run, Writer, read_results, results_file
from gobun.version_ranges import Rank, rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gobun.cells.records import Cell, Platform

_MOST_NAMED = 5
_Facts = tuple[tuple[str, str], ...]
"""Facts of a header, each with its name."""


class _ShardFile(msgspec.Struct, frozen=True):
    path: Path
    header: Header
    results: tuple[Result, ...]
    cut: bool

    @property
    def text(self) -> str:
        which = f" (shard {self.header.shard.name})" if self.header.shard else ""
        cut = ", and its last line is cut off" if self.cut else ""
        return f"{self.path}{which} has {len(self.results)} cells{cut}"


def merge(paths: Sequence[Path]) -> Run:
    """Return the run that results files or their folders form together, in version order.

    The files of each platform must form one whole plan. Files of several platforms, such as x64 and
    arm64, are joined: each row then names its platform. Records that several files share are taken
    once. Evidence keeps its name, below a folder for its platform if there are several platforms.

    Raises:
        UsageError: a file is damaged; files of one platform are of different plans or splits; files
            are of different suites or tools; two disagree on a cell; or cells are missing.
    """
    return _join_groups(_checked_groups(paths))


def _join_groups(groups: Mapping[Platform, Sequence[_ShardFile]]) -> Run:
    return join_platforms({platform: _whole_run(group) for platform, group in groups.items()})


def _checked_groups(paths: Sequence[Path]) -> dict[Platform, list[_ShardFile]]:
    """Return the files of each platform, if they can be of one run."""
    parts = [part for path in paths for part in _read_shard_files(path)]
    if not parts:
        raise UsageError("nothing to merge", hint="name the results files of all shards")
    groups = _by_platform(parts)
    for group in groups.values():
        _check_alike([_plan_facts(part) for part in group])
    _check_alike([_suite_facts(part) for part in parts])
    _check_splits(groups, parts)
    return groups


def _by_platform(parts: Sequence[_ShardFile]) -> dict[Platform, list[_ShardFile]]:
    # Files of older releases lack the processor, so they count as equal to the others.
    arch = next((part.header.host.arch for part in parts if part.header.host.arch), "")
    groups: dict[Platform, list[_ShardFile]] = {}
    for part in parts:
        platform = part.header.host.platform
        with_arch = msgspec.structs.replace(platform, arch=platform.arch or arch)
        groups.setdefault(with_arch, []).append(part)
    return dict(sorted(groups.items()))


def _whole_run(parts: Sequence[_ShardFile]) -> Run:
    """Return the run that files of one platform form together."""
    by_cell: dict[Cell, tuple[_ShardFile, Result]] = {}
    disagreeing: list[str] = []
    for part in parts:
        for result in part.results:
            other, before = by_cell.setdefault(result.cell, (part, result))
            if set(attempts_of(before)) != set(attempts_of(result)):
                disagreeing.append(
                    f"{result.cell.name} is {_outcomes_text(before)} in {other.path}"
                    f" and {_outcomes_text(result)} in {part.path}"
                )
    if disagreeing:
        raise UsageError(
            f"{_abbreviate(disagreeing, '; ')}: the files disagree on {len(disagreeing)} cells",
            hint="leave one of the files out, or run these cells again with --repeat",
        )
    _check_whole(parts, by_cell)
    results = tuple(result for _, result in by_cell.values())
    header = _header([part.header for part in parts])
    return Run(header, _in_order(results), is_cut=any(part.cut for part in parts))


def merge_into(paths: Sequence[Path], out: Path) -> Run:
    """Write the merged results to ``out``, with the evidence that they name.

    Raises:
        UsageError: as in ``merge``, or evidence is outside the folder of its results.
        PrerequisiteError: ``out`` cannot be written.
    """
    groups = _checked_groups(paths)
    run = _join_groups(groups)
    for platform, group in zip(names_of(list(groups)), groups.values(), strict=True):
        for part in reversed(group):  # the first file's copy is kept
            _copy_evidence(part, out, platform)
    with Writer(out / FILE_NAME, run.header, run.results):
        return run


def _copy_evidence(part: _ShardFile, out: Path, platform: str) -> None:
    for result in part.results:
        for name in result.evidence:
            source, copy = _source_below(name, part.path), out / platform_path(name, platform)
            if source.is_file() and not (copy.exists() and copy.samefile(source)):
                files.copy_whole(source, copy)


def _source_below(name: str, path: Path) -> Path:
    source = files.path_below(path.parent, name)
    if source is None:
        raise UsageError(
            f"{path} names evidence that is not below its folder: {name}",
            hint="somebody changed the file; leave it out",
        )
    return source


def _read_shard_files(path: Path) -> list[_ShardFile]:
    run, path = read_results(path), results_file(path)
    parts = split_platforms(run)
    return [_ShardFile(path, part.header, part.results, part.is_cut) for part in parts]


def _check_alike(facts: Sequence[tuple[Path, _Facts]]) -> None:
    """Reject files that differ in one of their facts."""
    path, first = facts[0]
    for other_path, others in facts[1:]:
        for (kind, expected), (_, actual) in zip(first, others, strict=True):
            if expected != actual:
                raise UsageError(
                    f"{path} and {other_path} belong to different runs: {kind} {expected} "
                    f"and {actual}",
                    hint="merge shards of one plan, made by one release of the suite and its tools"
                    " and split by the same durations",
                )


def _plan_facts(part: _ShardFile) -> tuple[Path, _Facts]:
    """Return the facts that all files of one platform share."""
    shard = part.header.shard
    split = f"{shard.split} of {shard.of}" if shard else "none"
    return part.path, (("plan", part.header.plan), ("split", split))


def _suite_facts(part: _ShardFile) -> tuple[Path, _Facts]:
    """Return the facts that all files share."""
    tools = ", ".join(f"{name} {version}" for name, version in part.header.made_with.items())
    return part.path, (("suite version", part.header.suite), ("tools", tools))


def _platform_facts(part: _ShardFile, platform: Platform) -> tuple[Path, _Facts]:
    """Return the facts that all shards of a split share."""
    return part.path, (
        ("system", platform.os),
        ("C library", platform.libc),
        ("processor", platform.arch),
        ("virtual machine", platform.machine),
        ("kernel", platform.kernel),
    )


def _check_splits(
    groups: Mapping[Platform, Sequence[_ShardFile]], parts: Sequence[_ShardFile]
) -> None:
    """Reject a split whose shards ran on several platforms, unless each platform ran all shards."""
    of_split: dict[str, list[tuple[Path, _Facts]]] = {}
    partial = {platform: group for platform, group in groups.items() if not _has_all_shards(group)}
    for part in parts:
        for platform, group in partial.items():
            if part.header.shard and part in group:
                facts = _platform_facts(part, platform)
                of_split.setdefault(part.header.shard.split, []).append(facts)
    for shards in of_split.values():
        _check_alike(shards)


def _has_all_shards(parts: Sequence[_ShardFile]) -> bool:
    shards = [part.header.shard for part in parts if part.header.shard]
    return len({shard.number for shard in shards}) == max((shard.of for shard in shards), default=0)


def _check_whole(parts: Sequence[_ShardFile], found_cells: Iterable[Cell]) -> None:
    header = parts[0].header
    cells = list(found_cells)
    missing = header.cells - len(cells)
    if missing > 0:
        shards = {part.header.shard.number for part in parts if part.header.shard}
        of = header.shard.of if header.shard else 0
        absent = [f"{number}/{of}" for number in range(1, of + 1) if number not in shards]
        lead = f"; shards {', '.join(absent)} are missing" if absent else ""
        raise UsageError(
            f"{missing} of the {header.cells} cells of the plan are missing from the files{lead}: "
            + "; ".join(part.text for part in parts if _lacks_cells(part)),
            hint="name every shard, and finish those that were interrupted with --resume",
        )
    if missing < 0 or plan_hash(cells) != header.plan:
        raise UsageError(
            f"{', '.join(str(part.path) for part in parts)} hold {len(cells)} cells that are not"
            f" the {header.cells} of the plan {header.plan}",
            hint="somebody changed a file, or it belongs to another run; leave it out",
        )


def _lacks_cells(part: _ShardFile) -> bool:
    shard = part.header.shard
    return part.cut or shard is None or len(part.results) < shard.cells


def _header(headers: Sequence[Header]) -> Header:
    return msgspec.structs.replace(
        headers[0],
        started=min(header.started for header in headers),
        **hosts_of(headers),
        shard=None,
    )


def _in_order(results: Iterable[Result]) -> tuple[Result, ...]:
    def key(result: Result) -> tuple[str, Rank, Cell]:
        return result.runtime, rank(result.version), result.cell

    return tuple(sorted(results, key=key))


def _outcomes_text(result: Result) -> str:
    return "/".join(sorted(set(attempts_of(result))))


def _abbreviate(texts: Sequence[str], separator: str) -> str:
    more = f"{separator}… {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return separator.join(texts[:_MOST_NAMED]) + more
