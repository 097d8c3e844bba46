"""Invoke tasks: arguments in, one call into gobun, a line out. ``invoke --list`` shows them."""

from __future__ import annotations

import functools
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.tasks import task

from gobun import audit as auditing
from gobun import build, console, fetch, flow, reproduce
from gobun import cache as caching
from gobun import doctor as doctoring
from gobun.errors import GobunError, UsageError
from gobun.targets import TARGETS, target_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.context import Context


def command(function: Callable[..., None]) -> Any:  # noqa: ANN401 - Invoke's tasks are untyped
    """Make a task whose errors are one readable message and the exit code of their class."""

    @functools.wraps(function)
    def run(*args: object, **kwargs: object) -> None:
        try:
            function(*args, **kwargs)
        except GobunError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(error.exit_code) from None
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise SystemExit(130) from None

    return task(run)


def listed(text: str) -> tuple[str, ...]:
    """Split a comma list; empty means none given."""
    return tuple(part.strip() for part in text.split(",")) if text else ()


def matching(pattern: str) -> list[Path]:
    """Return the files a pattern names, or what it says itself where it names none."""
    path = Path(pattern)
    return (sorted(path.parent.glob(path.name)) if path.name else []) or [path]


def number(text: str, flag: str) -> float | None:
    """Read a number that may be left out."""
    try:
        found = float(text) if text else None
    except ValueError:
        found = math.nan
    if found is not None and not math.isfinite(found):
        raise UsageError(f"{flag} {text!r} is not a number")
    return found


def whole_number(text: str, flag: str) -> int | None:
    """Read a whole number that may be left out."""
    found = number(text, flag)
    if found is not None and not found.is_integer():
        raise UsageError(f"{flag} {text!r} is not a whole number")
    return None if found is None else int(found)


@command
def doctor(_: Context) -> None:
    """Say which tools are there, what is missing, and what to do."""
    findings = doctoring.examine()
    print(doctoring.render(findings))
    if any(finding.state == "missing" for finding in findings):
        raise SystemExit(3)


@command
def build_warmup(
    _: Context, target: str = "", out: str = "dist", go: str = "", name: str = build.DEFAULT_NAME
) -> None:
    """Build the warm-up libraries: --target linux-x64,… --out DIR --go VERSION --name NAME."""
    targets = [target_named(part) for part in listed(target) or tuple(TARGETS)]
    built = build.build_warmup(targets, name=name, go_version=go or None)
    for entry in build.publish_warmup(built, Path(out)):
        print(f"{entry.sha256}  {Path(out) / entry.file}  {entry.size:,} bytes, Go {entry.go}")


@command
def audit(_: Context, files: str) -> None:
    """Say what is inside libraries: one file, a comma list, or a pattern in quotes."""
    named = [path for part in listed(files) or ("",) for path in matching(part)]
    print("\n\n".join(auditing.render(report) for report in auditing.audit_files(named)))


@command
def matrix(
    _: Context,
    runtime: str = "bun",
    versions: str = "",
    treatment: str = "",
    module: str = "",
    load: str = "",
    stress: str = "",
    out: str = "report",
    jobs: str = "",
    limit: str = "",
    repeat: str = "1",
    resume: bool = False,
) -> None:
    """Run the matrix; each of the first six takes a comma list, --limit is seconds a cell."""
    flow.run_matrix(
        flow.Request(
            runtimes=listed(runtime),
            versions=versions,
            treatments=listed(treatment),
            modules=listed(module),
            loads=listed(load),
            stresses=listed(stress),
            out=Path(out),
            jobs=whole_number(jobs, "--jobs"),
            limit_s=number(limit, "--limit"),
            repeat=whole_number(repeat, "--repeat") or 0,
            resume=resume,
        )
    )


@command
def report(_: Context, out: str = "report") -> None:
    """Make the reports of a results folder anew, and print the table."""
    flow.write_report(Path(out))


@command
def repro(_: Context, out: str = "report", only: str = "") -> None:
    """Print the bare command of each cell that did not pass; --only PART of a cell's name."""
    for line in reproduce.commands(Path(out), only):
        print(line)


@command
def cache(_: Context, evict: bool = False, kind: str = "", older_than: str = "") -> None:
    """Show the cache; --evict empties it, or a --kind a,b of it, or what is --older-than DAYS."""
    if not evict:
        print(caching.render(caching.usage()))
        return
    days = number(older_than, "--older-than")
    if days is not None and days < 0:
        raise UsageError(f"--older-than {older_than} is in the future")
    done = caching.evict(kinds=listed(kind), older_than_days=days)
    print(f"removed {len(done.removed)} entries, {done.freed / 1e6:,.1f} MB")
    for entry in done.busy:
        print(f"in use, left alone: {entry.name}")


@command
def lock(_: Context) -> None:
    """Add new releases of Bun to the lock file; no entry is ever changed."""
    summary = fetch.update_lock()
    for package in summary.added:
        print(f"added {package}")
    console.say(f"{len(summary.added)} added, {summary.kept} kept")


@task
def test(context: Context, only: str = "") -> None:
    """Run the tests; --only takes what pytest takes, between spaces."""
    context.run(f"{sys.executable} -m pytest {only or 'tests'}", pty=False)
