"""Tasks that evaluate results, or search releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun import analysis, console, expectations, pipeline, reproduce
from gobun import matrix as measuring
from gobun import report as reporting
from gobun.analysis import (
    BisectRequest,
    bisect_releases,
    claims_markdown,
    library_sizes,
    merge_into,
    print_claims,
    read_claims,
    read_facts,
    split_platforms,
)
from gobun.commands.cli import (
    command,
    command_with_words,
    given_path,
    optional_integer,
    variadic_paths,
)
from gobun.console import print_result
from gobun.errors import UsageError
from gobun.expectations import known_names, lint, place_of, read_expectations, update_expectations

if TYPE_CHECKING:
    from pathlib import Path

    from invoke.context import Context

    from gobun.matrix import Run


@command_with_words(words_before="path")
@variadic_paths
def merge(_: Context, paths: list[Path], out: str = "report") -> None:
    """Join the results of shards or platforms and write the report: FILE or FOLDER…."""
    merge_into(paths, given_path(out))
    pipeline.write_report(given_path(out))


@command
def expect(_: Context, update: str = "", review: str = "") -> None:
    """Check the expectations, or review or update them from results."""
    if update and review:
        raise UsageError("--update and --review exclude each other", hint="give one of them")
    if review:
        lines = [line for run in _runs(review) for line in _review_rows(run)]
        print_result("\n".join(lines) or "every row has a cell and holds")
        return
    if update:
        for run in _runs(update):
            range_update = update_expectations(run.results, place=place_of(run.header.host))
            print_result(range_update.diff or "nothing to change")
            for row in range_update.unexplained_rows:
                console.log(f"{row} needs a reason")
        return
    problems = lint(
        read_expectations(),
        claims=read_claims(),
        catalogue=known_names(),
    )
    print_result("\n".join(problems) or "every expectation has its form and a reason")
    if problems:
        raise SystemExit(2)


def _runs(path: str) -> list[Run]:
    """Return the run of each platform in a file or folder."""
    return split_platforms(measuring.read_results(given_path(path)))


def _review_rows(run: Run) -> list[str]:
    rows = read_expectations(place=place_of(run.header.host))
    return expectations.review(rows, run.results)


@command
def bisect(
    _: Context,
    stress: str,
    load: str = "napi-sync",
    module: str = "simple",
    treatment: str = "stock",
    runtime: str = "bun",
    good: str = "",
    bad: str = "",
    attempts: str = "3",
    out: str = "report/bisect",
    libc: str = "",
) -> None:
    """Find the releases at which a cell breaks or starts to pass."""
    answer = bisect_releases(
        BisectRequest(
            stress=stress,
            load=load,
            module=module,
            treatment=treatment,
            runtime=runtime,
            libc=libc,
            attempts=optional_integer(attempts, "--attempts") or 0,
            out=given_path(out),
        ),
        good=good or None,
        bad=bad or None,
        on_step=lambda step: console.log(step.text),
    )
    print_result(answer.text)


@command
def claims(
    _: Context,
    out: str = "report",
    manifest: str = "dist/manifest.json",
    facts: str = "report/facts.json",
    markdown: bool = False,
) -> None:
    """Check each claim against the results."""
    run = measuring.read_results(given_path(out))
    sizes, measured = given_path(manifest), given_path(facts)
    known_facts = library_sizes(sizes) if sizes.is_file() else {}
    known_facts |= read_facts(measured) if measured.is_file() else {}
    verdicts = analysis.verdicts(run, facts=known_facts)
    if markdown:
        print_result(claims_markdown(verdicts).rstrip("\n"))
    else:
        print_claims(verdicts)


@command
def report(_: Context, out: str = "report") -> None:
    """Write the reports of a results folder again and print the table."""
    pipeline.write_report(given_path(out))


@command_with_words(words_before="results")
def issue_text(_: Context, results: str, json: bool = False) -> None:
    """Print the issue about all unexpected outcomes of a run: FILE or FOLDER."""
    issue = reporting.issue_text(measuring.read_results(given_path(results)))
    if json:
        print_result(msgspec.json.encode(issue).decode())
    else:
        print_result(f"# {issue.title}\n\n{issue.body}".rstrip("\n"))


@command
def repro(_: Context, out: str = "report", only: str = "", folders: bool = False) -> None:
    """Print the command that reproduces each cell that did not pass."""
    if folders:
        for folder in reproduce.folders(given_path(out), only):
            print_result(folder)
        return
    for line in reproduce.commands(given_path(out), only):
        print_result(line)
