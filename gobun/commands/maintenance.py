"""Tasks that look after the project itself: its tools, its cache, its lock files."""

from __future__ import annotations

import runpy
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from gobun import cache as caching
from gobun import console, fetch, paths, toolchain, wheels
from gobun import doctor as doctoring
from gobun.commands.cli import command, optional_number, split_csv
from gobun.commands.flag_help import benchmark_names
from gobun.console import print_result
from gobun.errors import UsageError

if TYPE_CHECKING:
    from invoke.context import Context


@command
def doctor(_: Context) -> None:
    """List the installed and the missing tools."""
    findings = doctoring.examine()
    print_result(doctoring.render(findings))
    if any(finding.state == "missing" for finding in findings):
        raise SystemExit(3)


@command
def cache(_: Context, evict: bool = False, kind: str = "", older_than: str = "") -> None:
    """List the cache, or remove entries with --evict."""
    if not evict:
        print_result(caching.render(caching.usage()))
        return
    days = optional_number(older_than, "--older-than")
    if days is not None and days < 0:
        raise UsageError(
            f"--older-than {older_than} is in the future", hint="give a positive number of days"
        )
    eviction = caching.evict(kinds=split_csv(kind), older_than_days=days)
    entries = console.pluralize(len(eviction.removed), "entry", "entries")
    print_result(f"removed {entries}, {eviction.freed_bytes / 1e6:,.1f} MB")
    for entry in eviction.used_now:
        print_result(f"in use, left alone: {entry.name}")
    for name in sorted({entry.kind for entry in eviction.other_kinds}):
        print_result(f"may hold work of yours, left alone: {name}; --kind {name} removes it")


@command
def lock(_: Context) -> None:
    """Add new releases of Bun, Node and Deno to the lock files."""
    summary = fetch.update_lock()
    for package in summary.added_packages:
        print_result(f"added {package}")
    console.log(f"{len(summary.added_packages)} added, {summary.kept_count} kept")
    for release in wheels.update_lock(toolchain.pip_pins()):
        print_result(f"added {release.package}@{release.version}")


@command
def benchmark(_: Context, name: str) -> None:
    """Run a benchmark and write its measurements."""
    if name not in (known_names := benchmark_names()):
        raise UsageError.unknown("benchmark", name, known_names)
    runpy.run_path(str(paths.ROOT / "benchmarks" / f"{name}.py"), run_name="__main__")


@command
def test(_: Context, only: str = "") -> None:
    """Run the tests."""
    try:
        words = shlex.split(only)
    except ValueError as error:
        raise UsageError(f"--only {only!r}: {error}", hint="close the quotation") from error
    command = [sys.executable, "-m", "pytest", *words]
    raise SystemExit(subprocess.run(command, cwd=paths.ROOT, check=False).returncode)
