"""Makes results for tests of reports."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import msgspec
from sample_results import result_of

from gobun import matrix
from gobun.cells import Cell, Outcome, Result
from gobun.cells.records import Header, Host

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gobun.cells.records import Load
    from gobun.treatments import TreatmentName

VERSIONS = (
    *(f"1.0.{patch}" for patch in (0, 5, 12, 20, 28, 36)),
    *(f"1.1.{patch}" for patch in (0, 8, 17, 26, 34, 45)),
    *(f"1.2.{patch}" for patch in range(24)),
    *(f"1.3.{patch}" for patch in range(8)),
    "1.4.5",
)
HOSTILE = (
    "</script><img src=x onerror=alert(1)>\u2028\u2029\x00\x1b[31m&amp;'\"`|*_{{script}}\ue000%"
)
_DETAILS = {
    "hang": "livelock: SIGPWR was pending or being handled in the main thread in {} % of looks, "
    "{} context switches and no turn of the event loop in 1.{} s",
    "crash": "SIGSEGV: panic(main thread): Segmentation fault at address 0x{}{}{}",
    "fail": "exit code 7: Error: expected {} but got {}, after {} rounds",
    "skip": "this runtime has no such thing",
}


def cell(
    version: str = "1.2.1",
    outcome: Outcome = "pass",
    *,
    runtime: str = "bun",
    treatment: TreatmentName = "stock",
    module: str = "simple",
    load: Load = "ffi",
    stress: str = "idle",
    detail: str = "",
    expected: tuple[Outcome, ...] = ("pass",),
    unexpected: bool = False,
    outcomes: tuple[Outcome, ...] = (),
    evidence: tuple[str, ...] = (),
    repro: str = "invoke matrix",
) -> Result:
    """Return a result with defaults for all other fields."""
    return result_of(
        Cell(runtime, version, treatment, module, load, stress),
        outcome,
        detail=detail,
        expected=expected,
        unexpected=unexpected,
        wall_ms=1500,
        cpu_ms=5,
        max_rss_kb=1000,
        attempts=len(outcomes) or 1,
        evidence=evidence,
        repro=repro,
        outcomes=outcomes,
    )


def sequence(ends: str, *, start: int = 0, **same: object) -> list[Result]:
    """Return one cell per version from 1.0.START on. Each letter of ``ends`` is an outcome."""
    named: dict[str, Outcome] = {
        "p": "pass",
        "h": "hang",
        "c": "crash",
        "s": "skip",
        "e": "error",
    }
    results = []
    for patch, letter in enumerate(ends, start):
        if letter == "~":
            result = cell(f"1.0.{patch}", "hang", outcomes=("hang", "pass"), **same)  # type: ignore[arg-type]
        elif letter == " ":
            continue
        else:
            result = cell(f"1.0.{patch}", named[letter], **same)  # type: ignore[arg-type]
        results.append(result)
    return results


def many_results(count: int = 10_000) -> list[Result]:
    """Return a large matrix of mixed outcomes, always the same one."""
    chance = random.Random(7)  # noqa: S311 - not a secret
    treatments: tuple[TreatmentName, ...] = ("stock", "warmup", "gc-signal:20")
    modules = ("simple", "crypto", "setup-full", "asherah")
    loads: tuple[Load, ...] = ("ffi", "napi-sync", "napi-async")
    stresses = ("gc", "idle", "profile", "terminate", "wasm", "worker", "worker-load")
    kinds = list(itertools.product(treatments, modules, loads, stresses))
    results = []
    for version in VERSIONS:
        for treatment, module, load, stress in kinds[: -(-count // len(VERSIONS))]:
            outcome = _end(version, treatment, stress, chance)
            numbers = (chance.randint(1, 99), chance.randint(1, 199_999), chance.randint(1, 9))
            name = f"bun@{version}_{treatment}_{module}_{load}_{stress}"
            at_times = outcome == "hang" and chance.random() < 0.04
            results.append(
                cell(
                    version,
                    outcome,
                    treatment=treatment,
                    module=module,
                    load=load,
                    stress=stress,
                    detail=_DETAILS.get(outcome, "").format(*numbers),
                    unexpected=outcome in {"fail", "crash"},
                    outcomes=("hang", "pass", "hang") if at_times else (),
                    evidence=()
                    if outcome in {"pass", "skip"}
                    else (f"evidence/{name}/output.txt", f"evidence/{name}/threads.txt"),
                    repro=f"invoke matrix --versions {version} --treatment {treatment} "
                    f"--module {module} --load {load} --stress {stress}",
                )
            )
    return results[:count]


def _end(version: str, treatment: str, stress: str, chance: random.Random) -> Outcome:
    if version.startswith("1.0.") and stress == "worker":
        return "skip"
    if version.startswith("1.3.") and stress == "profile":
        return "crash"
    hangs = version in VERSIONS[14:32] and treatment != "gc-signal:20"
    return "hang" if hangs else chance.choices(("pass", "fail"), (97, 3))[0]


def run_of(results: Iterable[Result], *, cut: bool = False) -> matrix.Run:
    """Return a run with exactly these results."""
    rows = tuple(results)
    header = Header(
        suite="0.1.0",
        started="2026-01-02T03:04:05+00:00",
        host=Host(os="linux", kernel="6.1", cpu="a processor", cores=2, libc="glibc 2.36"),
        tools={"zig": "0.17.0", "go": "1.27.3"},
        plan="0123456789abcdef",
        cells=len(rows),
    )
    return matrix.Run(header, rows, is_cut=cut)


def patched_run(*, broken: int = 1, remark: str = "suspend-any-stack") -> matrix.Run:
    """Return a run of a patched Bun, an emulation and stock on the same cells."""
    results = []
    for stress, before, now in (
        ("idle", "hang", "pass"),
        ("wasm", "hang", "pass"),
        ("profile", "hang", "crash"),
        ("gc", "pass", "pass"),
        ("worker", "skip", "pass"),
        *((f"broken-{number}", "pass", "hang") for number in range(broken)),
    ):
        results += [
            cell("1.2.19", before, stress=stress),  # type: ignore[arg-type]
            cell("1.2.19+patched", now, treatment="patched", stress=stress),  # type: ignore[arg-type]
            cell("1.2.19", "pass", treatment="preload:suspend", stress=stress),
        ]
    run = run_of(results)
    patched = {
        "bun@1.2.19+patched": f"v1.2.19, {remark}, 0123456789abcdef",
        "bun@1.2.19 preload:suspend": remark,
    }
    return msgspec.structs.replace(run, header=msgspec.structs.replace(run.header, patched=patched))
