"""Joins whole runs of several platforms, such as x64 and arm64, into one, and splits them again.

In a joined run, the same cell may have a row for each platform. A row has the short name of its
platform, and the header has the plan of each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from gobun.cells.records import JoinedPlan, Result
from gobun.matrix.results import Run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gobun.cells.records import Header, Platform

_NAMING = ("arch", "libc", "os", "kernel", "machine")
"""The facts that can name a platform. A name has each fact that makes more names unique."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def join_platforms(runs: Mapping[Platform, Run]) -> Run:
    """Return one run with the rows of all; a single run is returned unchanged."""
    if len(runs) == 1:
        return next(iter(runs.values()))
    headers = [run.header for run in runs.values()]
    named = dict(zip(names_of(list(runs)), runs.values(), strict=True))
    joined = tuple(
        JoinedPlan(name, run.header.host, run.header.plan, run.header.cells)
        for name, run in named.items()
    )
    header = msgspec.structs.replace(
        headers[0],
        started=min(header.started for header in headers),
        **hosts_of(headers),
        plan="+".join(header.plan for header in headers),
        cells=sum(header.cells for header in headers),
        joined=joined,
    )
    results = tuple(_named(result, name) for name, run in named.items() for result in run.results)
    return Run(header, results, is_cut=any(run.is_cut for run in runs.values()))


def split_platforms(run: Run) -> list[Run]:
    """Return the run of each platform in a joined run; any other run is returned alone."""
    if not run.header.joined:
        return [run]
    return [_part_of(run, part) for part in run.header.joined]


def _part_of(run: Run, joined_plan: JoinedPlan) -> Run:
    hosts = tuple(host for host in run.header.hosts if host.platform == joined_plan.host.platform)
    header = msgspec.structs.replace(
        run.header,
        host=joined_plan.host,
        hosts=hosts if len(hosts) > 1 else (),
        plan=joined_plan.plan,
        cells=joined_plan.cells,
        joined=(),
    )
    results = tuple(
        msgspec.structs.replace(result, platform="")
        for result in run.results
        if result.platform == joined_plan.platform
    )
    return Run(header, results, run.is_cut)


def _named(result: Result, platform: str) -> Result:
    evidence = tuple(platform_path(name, platform) for name in result.evidence)
    return msgspec.structs.replace(result, platform=platform, evidence=evidence)


def platform_path(name: str, platform: str) -> str:
    """Return a path below the results of a joined run, where each platform has a folder.

    ``platform`` is empty in any other run.
    """
    folder = _UNSAFE.sub("-", platform)
    return name if not folder or name.startswith(f"{folder}/") else f"{folder}/{name}"


def names_of(platforms: Sequence[Platform]) -> list[str]:
    """Return a short name for each platform, from facts that distinguish it, such as the processor.

    The name of a single platform is empty.
    """
    if len(platforms) == 1:
        return [""]
    names = [""] * len(platforms)
    for fact in _NAMING:
        longer = [
            " ".join(filter(None, (name, getattr(platform, fact))))
            for name, platform in zip(names, platforms, strict=True)
        ]
        if len(set(longer)) > len(set(names)):
            names = longer
    return [
        name or platform.arch or platform.os
        for name, platform in zip(names, platforms, strict=True)
    ]


def hosts_of(headers: Sequence[Header]) -> dict[str, object]:
    """Return the fields ``host`` and ``hosts`` of a header for the rows of all ``headers``."""
    hosts = [host for header in headers for host in (header.hosts or (header.host,))]
    distinct = tuple(dict.fromkeys(hosts))
    return {"host": distinct[0], "hosts": distinct if len(distinct) > 1 else ()}
