"""Compares the ways to use Asherah in one run.

They are Node-API, FFI, WebAssembly, another process, and the Rust engine of npm's asherah 4.x.

    .venv/bin/nox -s shell -- benchmark asherah

A number is the median over rounds. Each round runs a fresh process for every way, one after the
other. So a machine that becomes slower affects all of them. A pair is an encryption and a
decryption of 1 KiB. The speed is that of one caller, which waits for each pair. The processor time
of a pair counts all processes, and is the better measure on a machine that has other work. Claim
C18 lists the other ways as ways round the hang.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from pathlib import Path

import msgspec

from gobun import build, paths, runtimes
from gobun.targets import host_target

ROUNDS = 5
PAIRS = 2000
SLOW_PAIRS = {"wasm": 100}
VERSION = "1.4.5"
SCRIPT = paths.SCENARIOS / "asherah" / "timed.cjs"
CALL_PATHS = {
    "bun": ("napi-sync", "napi-async", "rust-sync", "rust-async", "ffi", "wasm", "process"),
    "node": ("napi-sync", "napi-async", "rust-sync", "rust-async", "wasm", "process"),
}


class TimedProcess(msgspec.Struct, frozen=True, rename="camel"):
    """The measurements of one process."""

    per_second: float
    """Pairs a second."""
    p99: float
    """The 99th percentile of the time of a pair, in microseconds."""
    cpu: float
    """Processor time of a pair, in microseconds."""


def main() -> None:
    """Measure, and print one line per runtime and implementation."""
    target = host_target()
    fixture = build.build_fixture(build.ASHERAH, target)
    alternatives = build.build_alternatives(target)
    by_name: dict[str, runtimes.Runtime] = {"node": runtimes.provide_node(target)}
    (by_name["bun"],) = runtimes.provide_bun([VERSION], target)
    addresses = {
        "addon": str(fixture.addon),
        "engine": str(build.rust_asherah(target).addon),
        "library": str(fixture.library),
        "server": str(alternatives.server),
        "wasm": str(alternatives.wasm),
        "wasmExec": str(alternatives.wasm_exec),
    }
    for name, of_runtime in CALL_PATHS.items():
        runtime = by_name[name]
        timings: dict[str, list[TimedProcess]] = {
            implementation: [] for implementation in of_runtime
        }
        for _ in range(ROUNDS):
            for implementation, times in timings.items():
                times.append(measure(runtime, implementation, addresses))
        print_medians(f"{name}@{runtime.version}", timings)


def measure(
    runtime: runtimes.Runtime, implementation: str, settings: dict[str, str]
) -> TimedProcess:
    """Time one implementation in a new process."""
    with tempfile.TemporaryDirectory(prefix="gobun-") as folder:
        pairs = SLOW_PAIRS.get(implementation, PAIRS)
        request = {
            **settings,
            "way": implementation,
            "pairs": pairs,
            "socket": str(Path(folder) / "socket"),
        }
        command = runtime.command(SCRIPT, json.dumps(request))
        completed = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=300
        )
    if completed.returncode != 0:
        raise SystemExit(f"{implementation} came to {completed.returncode}: {completed.stderr}")
    return msgspec.json.decode(completed.stdout, type=TimedProcess)


def print_medians(runtime: str, timings: dict[str, list[TimedProcess]]) -> None:
    """Print each implementation's medians, and the median ratios to the first one in each round."""
    first = next(iter(timings.values()))
    for implementation, times in timings.items():
        pairs = list(zip(times, first, strict=True))
        faster = statistics.median(each.per_second / base.per_second for each, base in pairs)
        dearer = statistics.median(each.cpu / base.cpu for each, base in pairs)
        speed = statistics.median(each.per_second for each in times)
        p99 = statistics.median(each.p99 for each in times)
        cpu = statistics.median(each.cpu for each in times)
        print(
            f"{runtime} {implementation}: {speed:,.0f} pairs a second ({faster:.2f} of the first), "
            f"p99 {p99:,.0f} µs, processor {cpu:,.0f} µs a pair ({dearer:.2f} of the first)"
        )


if __name__ == "__main__":
    main()
