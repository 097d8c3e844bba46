"""What the guard costs a suspend signal: with it and without, in one run of one process.

    .venv/bin/nox -s shell -- benchmark guard

A suspension is two signals, one to stop the thread and one to let it go on. Each number is the
median of blocks that alternate; a thread without an alternate stack gets its signals `direct`.
"""

from __future__ import annotations

import subprocess

import msgspec

from gobun import build
from gobun.targets import host_target


class Cost(msgspec.Struct):
    """What ``native/guard_stress/cost`` prints, in nanoseconds a signal."""

    plain_ns: float
    flagged_ns: float
    moved_ns: float
    direct_plain_ns: float
    direct_ns: float


def main() -> None:
    """Measure, and print a line for each kind of thread."""
    target = host_target()
    guard = build.build_guard([target])[0].library
    command = [build.build_guard_stress(target).cost, guard]
    done = subprocess.run(command, capture_output=True, check=True)
    cost = msgspec.json.decode(done.stdout, type=Cost)
    show("main thread (alternate stack)", cost.plain_ns, cost.moved_ns)
    show("thread without alternate stack", cost.direct_plain_ns, cost.direct_ns)


def show(what: str, without: float, guarded: float) -> None:
    """Print one line."""
    print(
        f"{what}: {without / 1000:.2f} µs a signal without Go, {guarded / 1000:.2f} µs with Go and "
        f"the guard: {(guarded - without) / 1000:+.2f} µs, ratio {guarded / without:.2f}"
    )


if __name__ == "__main__":
    main()
