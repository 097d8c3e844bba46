"""Checks the requirements of a build of Bun before it starts, and lists all that are missing."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console, fetch
from gobun.bun_source.build_programs import BuildPrerequisite, State, examine_programs
from gobun.bun_source.layout import is_built
from gobun.errors import GobunError, PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gobun.bun_source.layout import BuildLayout

_GIB = 1 << 30
_LEAST_MEMORY_GIB = 8
_MEMORY_A_JOB_GIB = 2
_LEAST_DISK_GIB = 10


class OfflineSources(msgspec.Struct, frozen=True):
    """Upstream's own ways of building without downloads."""

    webkit: Path | None = None
    """A built WebKit (CMake), or a checkout of its sources (build.ts)."""
    prefetch: Path | None = None
    """A folder with every file that build.ts downloads, each named after its address."""
    cache: Path | None = None
    """The download cache, which is searched first."""

    @property
    def holds_downloads(self) -> bool:
        """Whether all downloads may be available locally. A WebKit is only one of many."""
        return bool(self.prefetch or self.cache)


def examine(
    layout: BuildLayout,
    tree: Path,
    *,
    missing_paths: Sequence[str],
    submodules: Sequence[str],
    bun: Callable[[], str],
    zig: Callable[[], str],
    webkit: Callable[[], str],
    offline: OfflineSources,
    version: str,
) -> list[BuildPrerequisite]:
    """Check every requirement of a build of ``tree``.

    ``missing_paths`` lists files without content in the store, and ``submodules`` the folders of
    missing submodules. ``bun`` provides the Bun that runs the build scripts, and returns its
    version. ``zig`` and ``webkit`` provide replacements for upstream's own, and return the path,
    or an empty text if there is none. ``version`` is the release that the checkout must be.
    """
    rows = [BuildPrerequisite("layout", "", layout.era)]
    same = layout.version == version
    rows.append(
        BuildPrerequisite(
            "sources", version, layout.version or "no version", "ok" if same else "missing"
        )
    )
    rows += [
        BuildPrerequisite(name, "pinned", pin)
        for name, pin in layout.pins.items()
        if name != "llvm"
    ]
    by_hand = [path for path in missing_paths if (tree / path).is_file()]
    if by_hand:
        remark = f"put in by hand, not compared with upstream: {', '.join(by_hand[:3])}"
        rows.append(BuildPrerequisite("files", "upstream's", remark, "note"))
    missing = [path for path in missing_paths if path not in by_hand]
    if missing:
        built = [path for path in missing if is_built(path)]
        state = f"{len(built or missing)} without content: {', '.join((built or missing)[:3])}"
        fetch_again = f"invoke fetch-bun --version {version} --discard --source …"
        rows.append(
            BuildPrerequisite(
                "files", "all", state, "missing" if built else "note", fetch_again, fetch_again
            )
        )
    if submodules:
        lacking = f"{len(submodules)} not fetched: {', '.join(submodules[:3])}"
        fetch_them = f"invoke fetch-bun --version {version} --submodules …"
        rows.append(
            BuildPrerequisite("submodules", "all", lacking, "missing", fetch_them, fetch_them)
        )
    rows.append(_provided("bun", "to run the build scripts", bun, "fetched by this suite"))
    rows.append(_provided("zig", "in the place of the pinned one", zig))
    rows.append(_provided("webkit", "in the place of upstream's download", webkit))
    rows = [row for row in rows if row.found]
    rows += [*examine_programs(layout), _memory(), _disk(tree)]
    rows += _downloads(layout, offline)
    return rows


def is_missing_any(rows: Sequence[BuildPrerequisite]) -> bool:
    """Return whether a required item is missing."""
    return any(row.state == "missing" for row in rows)


def check(rows: Sequence[BuildPrerequisite]) -> None:
    """Reject the build if a required item is missing.

    Raises:
        PrerequisiteError: an item is missing. The message names all of them, and the commands that
            install them on Debian and macOS.
    """
    if not is_missing_any(rows):
        return
    missing_rows = [row for row in rows if row.state == "missing"]
    problem_lines = "".join(
        f"\n  {row.name}: {f'{row.wanted} wanted, ' if row.wanted else ''}{row.found}"
        for row in missing_rows
    )
    raise PrerequisiteError(
        f"this machine cannot build Bun yet, {console.pluralize(len(missing_rows), 'thing')} "
        f"{'is' if len(missing_rows) == 1 else 'are'} missing:{problem_lines}",
        hint="\n  ".join(
            part
            for part in (_commands(missing_rows, "debian"), _commands(missing_rows, "macos"))
            if part
        )
        or "see the table",
    )


def _commands(rows: Sequence[BuildPrerequisite], system: str) -> str:
    """Return the commands to run, with the packages of all rows in one command."""
    commands = [getattr(row, system) for row in rows if getattr(row, system)]
    start = {"debian": "apt-get install ", "macos": "brew install "}[system]
    packages = sorted(
        {word for each in commands if each.startswith(start) for word in each.split()[2:]}
    )
    others = list(dict.fromkeys(each for each in commands if not each.startswith(start)))
    joined = [start + " ".join(packages)] if packages else []
    name = {"debian": "Debian", "macos": "macOS"}[system]
    return f"{name}: {'; '.join((*joined, *others))}" if commands else ""


def render(rows: Sequence[BuildPrerequisite]) -> str:
    """Return the rows as a table for people."""
    marks = {"ok": "ok", "missing": "MISSING", "note": "-"}
    names = max(len(row.name) for row in rows)
    width = max(len(row.wanted) for row in rows)
    return "\n".join(
        f"{row.name:<{names}}  {row.wanted:<{width}}  {marks[row.state]:<7}  {row.found}".rstrip()
        for row in rows
    )


def jobs_by_memory() -> int:
    """Return the number of compilers that can run at once without swapping."""
    by_memory = int(memory_gib() // _MEMORY_A_JOB_GIB)
    return max(1, min(os.cpu_count() or 1, by_memory))


def _provided(
    name: str, requirement: str, provide: Callable[[], str], remark: str = ""
) -> BuildPrerequisite:
    try:
        provided = provide()
    except GobunError as error:
        return BuildPrerequisite(
            name, requirement, error.what, "missing", error.hint or "", error.hint or ""
        )
    return BuildPrerequisite(
        name, requirement, f"{provided}, {remark}" if remark and provided else provided
    )


@functools.cache
def memory_gib() -> float:
    """Return the size of this machine's memory in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB


def _memory() -> BuildPrerequisite:
    gib = memory_gib()
    # The kernel keeps some memory, so a machine with 8 GiB reports a little less.
    state: State = "ok" if gib >= _LEAST_MEMORY_GIB * 0.95 else "missing"
    jobs = f"{gib:.0f} GiB: {jobs_by_memory()} jobs at once"
    return BuildPrerequisite("memory", f">= {_LEAST_MEMORY_GIB} GiB", jobs, state)


def _disk(tree: Path) -> BuildPrerequisite:
    free = shutil.disk_usage(tree).free / _GIB
    state: State = "ok" if free >= _LEAST_DISK_GIB else "missing"
    return BuildPrerequisite("disk", f">= {_LEAST_DISK_GIB} GiB", f"{int(free)} GiB free", state)


def _downloads(layout: BuildLayout, offline: OfflineSources) -> list[BuildPrerequisite]:
    silent = fetch.unreachable_hosts([f"https://{host}/" for host in layout.hosts])
    # Print names only: an address may contain a password.
    proxies = sorted(name for name in os.environ if name.lower().endswith("_proxy"))
    rows = (
        [BuildPrerequisite("proxies", "of the environment", ", ".join(proxies))] if proxies else []
    )
    for host in layout.hosts:
        problem = silent.get(f"https://{host}/")
        if not problem:
            rows.append(BuildPrerequisite(host, "answers", "it does"))
        elif offline.holds_downloads:
            rows.append(
                BuildPrerequisite(
                    host, "answers", f"{problem}; a folder of downloads is given", "note"
                )
            )
        else:
            rows.append(
                BuildPrerequisite(
                    host,
                    "answers",
                    problem,
                    "missing",
                    *(("a proxy in https_proxy, or --prefetch or --downloads",) * 2),
                )
            )
    rows += [
        BuildPrerequisite(name, "offline", str(path))
        for name, path in (
            ("webkit", offline.webkit),
            ("prefetch", offline.prefetch),
            ("downloads", offline.cache),
        )
        if path
    ]
    return rows
