"""Runs the parts: `nox -s torture -- --seconds 600 --out docs/trust.md PART…`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import msgspec

from benchmarks.torture.isolation import run_here, run_isolated
from benchmarks.torture.registry import Budget, Choices, all_parts, chosen_parts
from benchmarks.torture.table import render, write_into
from gobun.errors import GobunError


def main() -> int:
    """Run the parts that the command line names, and return the exit code."""
    options = _parser().parse_args()
    if options.list:
        for part in all_parts().values():
            print(f"{part.name:<28} {part.seconds:>5.0f} s  {part.description}")
        return 0
    if options.one:
        choices = msgspec.json.decode(options.choices, type=Choices)
        budget = Budget.starting_now(options.seconds, options.folder, choices)
        run_here(all_parts()[options.one], budget, options.answer)
        return 0
    _end_on_signals()
    keep_folder = str(options.keep.absolute()) if options.keep else ""
    choices = Choices(keep_folder, options.rounds, options.every_cell, options.cores, options.jobs)
    parts = chosen_parts(options.parts)
    whole = sum(part.seconds for part in parts)
    scale = options.seconds / whole if options.seconds else 1.0
    outcomes = []
    for part in parts:
        outcome = run_isolated(part, part.seconds * scale, choices)
        outcomes.append(outcome)
        print(
            f"{'holds' if outcome.holds else 'FAILS'} {part.name} {outcome.seconds:.1f} s",
            file=sys.stderr,
        )
        for figure in outcome.figures:
            if not figure.holds:
                print(
                    f"  {figure.name}: {figure.value:g} {figure.unit}\n{figure.detail}",
                    file=sys.stderr,
                )
    print(render(outcomes))
    if options.out:
        write_into(options.out, outcomes)
    return 0 if all(outcome.holds for outcome in outcomes) else 1


def _end_on_signals() -> None:
    """Make SIGTERM, SIGHUP and SIGINT end the run as an error does, with all its processes."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, end)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s torture --", description=__doc__)
    parser.add_argument("parts", nargs="*", help="parts, or beginnings of names that end in -")
    parser.add_argument(
        "--seconds", type=float, help="the time for all parts (default: each its own)"
    )
    parser.add_argument("--out", type=Path, help="the page whose table is replaced")
    verdicts = parser.add_argument_group("verdicts-… only")
    verdicts.add_argument(
        "--keep", type=Path, help="keep results in this folder, and go on with those that are there"
    )
    verdicts.add_argument("--rounds", type=int, default=1, help="run the cells so often")
    verdicts.add_argument(
        "--every-cell", action="store_true", help="run the default matrix, not a sample of it"
    )
    verdicts.add_argument(
        "--cores", type=float, default=0.0, help="processors that run and load may use together"
    )
    verdicts.add_argument("--jobs", type=int, default=2, help="cells at a time (default: 2)")
    parser.add_argument("--list", action="store_true", help="name the parts and do nothing")
    hidden_ones = (("--one", str), ("--folder", Path), ("--answer", Path), ("--choices", str))
    for hidden, kind in hidden_ones:
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GobunError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
