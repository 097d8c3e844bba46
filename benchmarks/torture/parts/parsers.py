"""Fuzzers for the readers of other people's text: results, TOML, patches, ranges."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import msgspec
from hypothesis import strategies as st

from benchmarks.torture.fuzzing import fuzz, mutations_of, randomly
from benchmarks.torture.registry import Budget, Figure, part
from gobun import buildinfo, custom_addon, matrix, paths
from gobun.analysis import merge, verdicts
from gobun.bun_source import read_series
from gobun.bun_source.hunks import parse_patch
from gobun.cells import Cell, Outcome, Result
from gobun.custom_addon_config import read_config
from gobun.fetch.npm_lock import parse_lock
from gobun.report import render_html, render_junit, render_markdown
from gobun.version_ranges import in_range, lower_bound_key, parse_range

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

_SIGNS = (">=", "<", "<=", ">", "=", "||", " ", "^", "~", "-")
_VERSIONS = (
    "1.2.19",
    "1.2",
    "v1",
    "1.2.20-canary.20250813.1",
    "1.2.x",
    "9" * 5000 + ".0.0",
    "\u0661",
)


def _pieces(random: Random) -> tuple[str, str]:
    """Return a version and a range, made from pieces of real ones and from any characters."""

    def word() -> str:
        any_characters = "".join(chr(random.randrange(0x110000)) for _ in range(3))
        return random.choice((*_VERSIONS, any_characters))

    pieces = (random.choice((random.choice(_SIGNS), word())) for _ in range(random.randrange(8)))
    return word(), "".join(pieces)


@part(seconds=60, quick=True)
def fuzz_version_ranges(budget: Budget) -> Iterator[Figure]:
    """Look versions up in random version ranges."""

    def feed(pair: tuple[str, str]) -> None:
        version, text = pair
        parse_range.cache_clear()
        in_range(version, text)
        lower_bound_key(text)

    yield from fuzz(budget, randomly(_pieces), feed, allowed=(ValueError,))


@part(seconds=60, quick=True)
def fuzz_go_build_info(budget: Budget) -> Iterator[Figure]:
    """Read random build records of Go, alone and inside a file."""
    text = b"go1.27.3"
    module = b"0" * 16 + b'path\tx\nmod\tx\tv1\nbuild\t"-tags"=`a`\n' + b"1" * 16
    record = buildinfo.MAGIC + bytes((8, 2)) + b"\0" * 16
    record += bytes((len(text),)) + text + bytes((len(module),)) + module

    def feed(data: bytes) -> None:
        buildinfo.parse(data)
        buildinfo.find(b"\0" * 32 + data, [])

    yield from fuzz(budget, st.one_of(mutations_of([record]), st.binary(max_size=200)), feed)


@part(seconds=60, quick=True)
def fuzz_patches(budget: Budget) -> Iterator[Figure]:
    """Read changed patches of the shipped series, and patches of random lines."""
    seeds = [path.read_bytes() for path in sorted(paths.PATCHES.glob("*/*.patch"))]
    lines = (
        b"@@ -1,2 +1,2 @@",
        b"@@ -0,0 +1 @@",
        b"@@ -1 +0,0 @@",
        b"\\ No newline at end of file",
        b"-a",
        b"+a",
        b" a",
        b"",
        b"diff --git a/x b/x",
        b"--- a/x",
        b"+++ b/x",
        b"GIT binary patch",
        b"@@ -" + b"9" * 5000 + b" +1 @@",
    )

    def choose_lines(random: Random) -> bytes:
        return b"\n".join((b"diff --git a/x b/x", *random.choices(lines, k=random.randrange(12))))

    yield from fuzz(
        budget,
        st.one_of(mutations_of(seeds), randomly(choose_lines)),
        lambda data: parse_patch(data, "fuzz.patch"),
    )


@part(seconds=60, quick=True)
def fuzz_toml(budget: Budget) -> Iterator[Figure]:
    """Read changed TOML files of every kind that the suite reads."""
    config = (
        b'[addon]\nfile = "a.node"\nsmoke = "s.cjs"\n[matrix]\nversions = ["1.2.19"]\njobs = 2\n'
    )
    series = [path.read_bytes() for path in sorted(paths.PATCHES.glob("*/series.toml"))]
    lock = b'["@oven/bun-linux-x64"]\n"1.2.19" = "sha512-' + b"A" * 86 + b'=="\n'
    folder = budget.folder / "v1.2.19"
    folder.mkdir()

    def feed(data: bytes) -> None:
        for name in ("gobun.toml", "series.toml"):
            (folder / name).write_bytes(data)
        if data[:7] == b"[addon]":
            read_config(folder / "gobun.toml")
        elif data[:2] == b'["':
            parse_lock(data.decode(errors="replace"), "fuzz.lock")
        else:
            read_series(folder)

    yield from fuzz(budget, mutations_of([config, lock, *series]), feed)


@part(seconds=60, quick=True)
def fuzz_results(budget: Budget) -> Iterator[Figure]:
    """Read, merge and report changed results files, and read their repro lines."""
    path = budget.folder / "results.jsonl"
    seed = sample_results(3)
    lines = [json.loads(line) for line in seed.splitlines()]

    def change_field(random: Random) -> bytes:
        """Return a results file with an unexpected value in one field."""
        records = copy.deepcopy(lines)
        record = random.choice(records)
        record[random.choice(list(record))] = random.choice(_VALUES)
        return b"".join(json.dumps(each).encode() + b"\n" for each in records)

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        run = matrix.read_results(path)
        for render in (render_markdown, render_html, render_junit):
            render(run)
        for result in run.results:
            custom_addon.addon_of(result)
        verdicts(run, facts={})
        matrix.durations_of(run.results)
        merge([path])

    yield from fuzz(budget, st.one_of(mutations_of([seed]), randomly(change_field)), feed, least=5)


_VALUES: tuple[object, ...] = (
    "",
    "1.2",
    "latest",
    "1.2.19-rc.1+x",
    "2.0.0-0",
    "\u0661.0.0",
    "../../x",
    "--addon",
    "'",
    -1,
    10**30,
    1e308,
    [],
    ["../x"],
    ["pass"] * 1000,
    None,
    {"a": {}},
    True,
)


def sample_results(count: int) -> bytes:
    """Return a results file of ``count`` cells."""
    cells = [
        Cell("bun", f"1.{number // 1000}.{number % 1000}", "stock", "simple", "ffi", "idle")
        for number in range(count)
    ]
    ends: tuple[Outcome, ...] = ("hang", "pass", "fail")
    results = [sample_result(cell, ends[at % 3]) for at, cell in enumerate(cells)]
    lines = [msgspec.json.encode(line) for line in (matrix.new_header(cells), *results)]
    return b"".join(line + b"\n" for line in lines)


def sample_result(cell: Cell, outcome: Outcome = "pass") -> Result:
    """Return the result of a cell."""
    return Result(
        **msgspec.structs.asdict(cell),
        outcome=outcome,
        detail="it is well",
        expected=("pass",),
        unexpected=outcome != "pass",
        wall_ms=1000,
        cpu_ms=100,
        max_rss_kb=50_000,
        exit_code=0,
        signal=None,
        attempts=1,
        evidence=(),
        repro=f"invoke matrix --versions {cell.version}",
        outcomes=(outcome,),
    )
