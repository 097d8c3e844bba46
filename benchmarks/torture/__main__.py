"""Runs the parts: `nox -s torture -- --seconds 600 --out docs/trust.md PART…`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.torture.isolation import run_here, run_isolated
from benchmarks.torture.registry import all_parts, chosen_parts
from benchmarks.torture.table import render, write_into
from gobun.errors import GobunError


def main() -> int:
    """Run what the command line names, and return the exit code."""
    options = _parser().parse_args()
    if options.list:
        for part in all_parts().values():
            print(f"{part.name:<28} {part.seconds:>5.0f} s  {part.about}")
        return 0
    if options.one:
        run_here(all_parts()[options.one], options.seconds, options.folder, options.answer)
        return 0
    parts = chosen_parts(options.parts)
    whole = sum(part.seconds for part in parts)
    scale = min(1.0, options.seconds / whole) if options.seconds else 1.0
    outcomes = []
    for part in parts:
        outcome = run_isolated(part, part.seconds * scale)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s torture --", description=__doc__)
    parser.add_argument("parts", nargs="*", help="parts, or beginnings of names that end in -")
    parser.add_argument(
        "--seconds", type=float, help="the time for all parts (default: each its own)"
    )
    parser.add_argument("--out", type=Path, help="the page whose table is replaced")
    parser.add_argument("--list", action="store_true", help="name the parts and do nothing")
    for hidden, kind in (("--one", str), ("--folder", Path), ("--answer", Path)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GobunError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
