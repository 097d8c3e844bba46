"""Invoke tasks: arguments in, one call into gobun, a line out. ``invoke --list`` shows them."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from invoke.tasks import task

from gobun import audit as auditing
from gobun import build, console, fetch, flow, own, reproduce
from gobun import cache as caching
from gobun import diagnose as forensics
from gobun import doctor as doctoring
from gobun import matrix as measuring
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


def several(function: Callable[..., None]) -> Callable[..., None]:
    """Let a task take ``paths``, as many as follow its name: Invoke fixes the number of words."""
    name = function.__name__
    words = sys.argv[sys.argv.index(name) + 1 :] if name in sys.argv else []
    count = max(1, len(list(itertools.takewhile(lambda word: not word.startswith("-"), words))))
    context, _, *flags = inspect.signature(function).parameters.values()
    names = ["path", *(f"path{number}" for number in range(2, count + 1))]
    given = [context.replace(name=each) for each in names]

    @functools.wraps(function)
    def run(context: Context, **kwargs: Any) -> None:  # noqa: ANN401 - what the flags are
        named = [path for each in names for path in matching(kwargs.pop(each))]
        function(context, named, **kwargs)

    run.__signature__ = inspect.Signature([context, *given, *flags])  # type: ignore[attr-defined]
    return run


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
@several
def audit(_: Context, paths: list[Path]) -> None:
    """Say what is inside libraries: FILE…."""
    print("\n\n".join(auditing.render(report) for report in auditing.audit_files(paths)))


def request(
    *,
    runtime: str,
    versions: str,
    treatment: str,
    module: str,
    load: str,
    stress: str,
    **others: Any,  # noqa: ANN401 - the fields of flow.Request, whose types it checks
) -> flow.Request:
    """Return a request from the lists that several tasks take."""
    return flow.Request(
        runtimes=listed(runtime),
        versions=versions,
        treatments=listed(treatment),
        modules=listed(module),
        loads=listed(load),
        stresses=listed(stress),
        **others,
    )


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
    shard: str = "",
    durations: str = "",
    addon: str = "",
    smoke: str = "",
) -> None:
    """Run the matrix; the first six take comma lists. --addon FILE --smoke SCRIPT: your module."""
    flow.run_matrix(
        request(
            runtime=runtime,
            versions=versions,
            treatment=treatment,
            module=module,
            load=load,
            stress=stress,
            out=Path(out),
            jobs=whole_number(jobs, "--jobs"),
            limit_s=number(limit, "--limit"),
            repeat=whole_number(repeat, "--repeat") or 0,
            resume=resume,
            shard=shard,
            durations=Path(durations) if durations else None,
            addon=own.own_addon(addon, smoke),
        )
    )


@command
def plan(
    _: Context,
    runtime: str = "bun",
    versions: str = "",
    treatment: str = "",
    module: str = "",
    load: str = "",
    stress: str = "",
    shards: str = "1",
    durations: str = "",
) -> None:
    """Print a plan split into --shards N as JSON, for the matrix of a CI system."""
    asked = request(
        runtime=runtime,
        versions=versions,
        treatment=treatment,
        module=module,
        load=load,
        stress=stress,
    )
    past = measuring.read_results(Path(durations)).results if durations else ()
    parts = whole_number(shards, "--shards") or 0
    cells = flow.plan_matrix(asked).cells
    print(measuring.plan_json(cells, parts, measuring.durations_of(past)))


@command
@several
def merge(_: Context, paths: list[Path], out: str = "report") -> None:
    """Join the results of shards, FILE… or folders, into --out, and report."""
    run = measuring.merge_into(paths, Path(out))
    if run.cut:
        console.say("a last line was cut off and is left out")
    flow.write_report(Path(out))


@command
def expect(_: Context, update: str = "") -> None:
    """Check the expectations; --update RESULTS rewrites their ranges, and shows the change."""
    if update:
        done = measuring.update_expectations(measuring.read_results(Path(update)).results)
        print(done.diff or "nothing to change")
        for row in done.unexplained:
            console.say(f"{row} needs a reason")
        return
    scenario = measuring.read_scenario()
    wrong = measuring.lint(
        measuring.read_expectations(),
        claims=measuring.read_claims(),
        stresses=scenario.stress,
        modules=build.FIXTURES,
    )
    print("\n".join(wrong) or "every expectation has its form and a reason")
    if wrong:
        raise SystemExit(2)


@command
def bisect(
    _: Context,
    stress: str,
    load: str = "napi-sync",
    module: str = "simple",
    treatment: str = "stock",
    good: str = "",
    bad: str = "",
    attempts: str = "3",
    out: str = "report/bisect",
) -> None:
    """Find the releases of Bun at which a cell turns; --good and --bad are ends to look between."""
    answer = measuring.bisect_releases(
        measuring.Question(
            stress=stress,
            load=load,
            module=module,
            treatment=treatment,
            attempts=whole_number(attempts, "--attempts") or 0,
            out=Path(out),
        ),
        good=good or None,
        bad=bad or None,
        on_step=lambda step: console.say(step.text),
    )
    print(answer.text)


@command
def claims(_: Context, out: str = "report", manifest: str = "dist/manifest.json") -> None:
    """Say which of the claims this project started from the results in --out bear out."""
    run = measuring.read_results(Path(out) / measuring.FILE_NAME)
    sizes = Path(manifest)
    facts = measuring.library_sizes(sizes) if sizes.is_file() else {}
    measuring.print_claims(measuring.verdicts(run, facts=facts))


def show(found: forensics.Diagnosis, *, as_json: bool) -> None:
    """Print a diagnosis for a person or for a program."""
    print(msgspec.json.encode(found).decode() if as_json else forensics.render(found))


if "--" in sys.argv:

    @command
    def diagnose(_: Context, json: bool = False, backtrace: bool = False) -> None:
        """Start what stands after --, and say why it hangs if it does, and what helps."""
        show(
            forensics.diagnose_command(
                sys.argv[sys.argv.index("--") + 1 :],
                inspector=forensics.find_inspector(),
                backtrace=backtrace,
            ),
            as_json=json,
        )

else:

    @command
    def diagnose(_: Context, pid: str, json: bool = False, backtrace: bool = False) -> None:
        """Say why process PID hangs and what helps; or start one: diagnose -- COMMAND…."""
        number_of = whole_number(pid, "the process")
        show(
            forensics.diagnose(
                number_of or 0, inspector=forensics.find_inspector(), backtrace=backtrace
            ),
            as_json=json,
        )


@command
def report(_: Context, out: str = "report") -> None:
    """Make the reports of a results folder anew, and print the table."""
    flow.write_report(Path(out))


@command
def repro(_: Context, out: str = "report", only: str = "", folders: bool = False) -> None:
    """Print the bare command of what did not pass, or make --folders; --only PART of a name."""
    if folders:
        for folder in reproduce.folders(Path(out), only):
            print(folder)
        return
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


@command
def benchmark(_: Context, name: str) -> None:
    """Run a benchmark of benchmarks/: harness, or warmup."""
    known = sorted(path.stem for path in Path("benchmarks").glob("*.py"))
    if name not in known:
        raise UsageError.unknown("benchmark", name, known)
    runpy.run_path(f"benchmarks/{name}.py", run_name="__main__")


@task
def test(context: Context, only: str = "") -> None:
    """Run the tests; --only takes what pytest takes, between spaces."""
    context.run(f"{sys.executable} -m pytest {only or 'tests'}", pty=False)
