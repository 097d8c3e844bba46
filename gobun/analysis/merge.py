"""Merges the results of shards, and rejects results that do not form one whole plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import files
from gobun.cells.plan import plan_hash
from gobun.cells.records import Header, Result, attempts_of
from gobun.errors import UsageError
from gobun.matrix.results import FILE_NAME, Run, Writer, read_results, results_file
from gobun.version_ranges import Rank, rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gobun.cells.records import Cell

_MOST_NAMED = 5


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

    Records that several files share are taken once. Evidence keeps the name from its file.

    Raises:
        UsageError: a file is damaged; they are of different plans, splits, suites or tools; two
            disagree on a cell; or cells are missing.
    """
    return _joined([_read(path) for path in paths])


def _joined(parts: Sequence[_ShardFile]) -> Run:
    if not parts:
        raise UsageError("nothing to merge", hint="name the results files of all shards")
    _check_alike(parts)
    found: dict[Cell, tuple[_ShardFile, Result]] = {}
    disagreeing: list[str] = []
    for part in parts:
        for result in part.results:
            other, before = found.setdefault(result.cell, (part, result))
            if set(attempts_of(before)) != set(attempts_of(result)):
                disagreeing.append(
                    f"{result.cell.name} is {_ends(before)} in {other.path}"
                    f" and {_ends(result)} in {part.path}"
                )
    if disagreeing:
        raise UsageError(
            f"{_some(disagreeing, '; ')}: the files disagree on {len(disagreeing)} cells",
            hint="leave one of the files out, or run these cells again with --repeat",
        )
    _check_whole(parts, found)
    results = tuple(result for _, result in found.values())
    header = _header([part.header for part in parts])
    return Run(header, _in_order(results), cut=any(part.cut for part in parts))


def merge_into(paths: Sequence[Path], out: Path) -> Run:
    """Write the merged results to ``out``, with the evidence that they name.

    Raises:
        UsageError: as in ``merge``, or named evidence is not below its results.
        PrerequisiteError: ``out`` cannot be written.
    """
    parts = [_read(path) for path in paths]
    run = _joined(parts)
    for part in reversed(parts):  # the first file's copy is kept
        for result in part.results:
            for name in result.evidence:
                source, kept = _below(name, part.path), out / name
                if source.is_file() and not (kept.exists() and kept.samefile(source)):
                    files.copy_whole(source, kept)
    with Writer(out / FILE_NAME, run.header, run.results):
        return run


def _below(name: str, path: Path) -> Path:
    source = files.below(path.parent, name)
    if source is None:
        raise UsageError(
            f"{path} names evidence that is not below its folder: {name}",
            hint="somebody changed the file; leave it out",
        )
    return source


def _read(path: Path) -> _ShardFile:
    run = read_results(path)
    return _ShardFile(results_file(path), run.header, run.results, run.cut)


def _check_alike(parts: Sequence[_ShardFile]) -> None:
    first = parts[0]
    # Files of older releases lack the field, so they count as equal to the others.
    arch = next((part.header.host.arch for part in parts if part.header.host.arch), "")
    for part in parts[1:]:
        for what, one, other in (
            ("plan", first.header.plan, part.header.plan),
            ("suite version", first.header.suite, part.header.suite),
            ("tools", _tools(first.header), _tools(part.header)),
            ("system", first.header.host.os, part.header.host.os),
            ("C library", first.header.host.libc_name, part.header.host.libc_name),
            ("processor", arch, part.header.host.arch or arch),
            ("split", _split(first.header), _split(part.header)),
        ):
            if one != other:
                raise UsageError(
                    f"{first.path} and {part.path} are not of one run: {what} {one} and {other}",
                    hint="merge shards of one plan, made by one release of the suite and its tools"
                    " and split by the same durations",
                )


def _tools(header: Header) -> str:
    return ", ".join(f"{name} {version}" for name, version in header.made_with.items())


def _split(header: Header) -> str:
    return f"{header.shard.split} of {header.shard.of}" if header.shard else "none"


def _check_whole(parts: Sequence[_ShardFile], found: Iterable[Cell]) -> None:
    header = parts[0].header
    cells = list(found)
    missing = header.cells - len(cells)
    if missing > 0:
        shards = {part.header.shard.number for part in parts if part.header.shard}
        of = header.shard.of if header.shard else 0
        absent = [f"{number}/{of}" for number in range(1, of + 1) if number not in shards]
        lead = f"; shards {', '.join(absent)} are missing" if absent else ""
        raise UsageError(
            f"{missing} of the {header.cells} cells of the plan are missing from the files{lead}: "
            + "; ".join(part.text for part in parts if _lacks(part)),
            hint="name every shard, and finish those that were interrupted with --resume",
        )
    if missing < 0 or plan_hash(cells) != header.plan:
        raise UsageError(
            f"{', '.join(str(part.path) for part in parts)} hold {len(cells)} cells that are not"
            f" the {header.cells} of the plan {header.plan}",
            hint="somebody changed a file, or it belongs to another run; leave it out",
        )


def _lacks(part: _ShardFile) -> bool:
    shard = part.header.shard
    return part.cut or shard is None or len(part.results) < shard.cells


def _header(headers: Sequence[Header]) -> Header:
    hosts = [host for header in headers for host in (header.hosts or (header.host,))]
    distinct = tuple(dict.fromkeys(hosts))
    return msgspec.structs.replace(
        headers[0],
        started=min(header.started for header in headers),
        host=distinct[0],
        hosts=distinct if len(distinct) > 1 else (),
        shard=None,
    )


def _in_order(results: Iterable[Result]) -> tuple[Result, ...]:
    def key(result: Result) -> tuple[str, Rank, Cell]:
        return result.runtime, rank(result.version), result.cell

    return tuple(sorted(results, key=key))


def _ends(result: Result) -> str:
    return "/".join(sorted(set(attempts_of(result))))


def _some(texts: Sequence[str], between: str) -> str:
    more = f"{between}… {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return between.join(texts[:_MOST_NAMED]) + more
