"""Measures the cost of a suspend signal with the guard and without.

    .venv/bin/nox -s shell -- benchmark guard

A suspension is two signals. One stops the thread, and one resumes it. One process measures single
signals in blocks that alternate, and prints the medians. `direct` is the cost on a thread without
an alternate stack. Another process measures suspensions.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import msgspec

from benchmarks.torture.guard_stress import GuardStress, build_guard_stress
from gobun import build
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path


ROUNDS = 3
SUSPENDS = 2000


class SuspensionCost(msgspec.Struct):
    """The part of the output of ``native/guard_stress/guard_stress`` that this benchmark reads."""

    mean_us: float


class Cost(msgspec.Struct):
    """The output of ``native/guard_stress/cost.c``, which describes it: nanoseconds a signal."""

    plain_ns: float
    flagged_ns: float
    moved_ns: float
    direct_plain_ns: float
    direct_ns: float
    unwatched_ns: float
    watched_ns: float


def main() -> None:
    """Measure, and print a line for each kind of thread."""
    target = host_target()
    guard = build.build_guard([target])[0].library
    command = [build_guard_stress(target).cost, guard]
    completed = subprocess.run(command, capture_output=True, check=True)
    cost = msgspec.json.decode(completed.stdout, type=Cost)
    print_cost("main thread (alternate stack)", cost.plain_ns, cost.moved_ns)
    print_cost("thread without alternate stack", cost.direct_plain_ns, cost.direct_ns)
    added = cost.watched_ns - cost.unwatched_ns
    print(f"looking at the handler before each pthread_kill: {added / 1000:+.2f} µs a signal")
    guard_stress = build_guard_stress(target)
    suspend_us = min(suspend_cost(guard_stress, guard) for _ in range(ROUNDS))
    print(
        f"from a signal until its thread has stopped: {suspend_us:.1f} µs, of which looking is "
        f"{added / 10 / suspend_us:.1f} %"
    )


def suspend_cost(guard_stress: GuardStress, guard: Path) -> float:
    """Return the mean time from the first signal until a thread has stopped, in microseconds."""
    command: list[str | Path] = [
        guard_stress.guard_stress,
        "before",
        str(SUSPENDS),
        guard_stress.library,
        guard,
    ]
    completed = subprocess.run(command, capture_output=True, check=True)
    return msgspec.json.decode(completed.stdout, type=SuspensionCost).mean_us


def print_cost(title: str, without: float, guarded: float) -> None:
    """Print the cost of a signal, from times in nanoseconds, on one line."""
    print(
        f"{title}: {without / 1000:.2f} µs a signal without Go, {guarded / 1000:.2f} µs with Go "
        f"and the guard: {(guarded - without) / 1000:+.2f} µs, ratio {guarded / without:.2f}"
    )


if __name__ == "__main__":
    main()
