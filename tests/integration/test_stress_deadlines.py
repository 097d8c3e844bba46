"""The clock of the scenarios' deadlines, in processes that get little processor time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import bun

from benchmarks.torture.loads import Group
from gobun import paths, runtimes
from gobun.observe import Usage, able_share
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.runtimes import Runtime

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

# Prints how long a child was able to run in about 1.5 seconds of wall-clock time.
WATCH = """
const {{ AbleTime, threadsOf }} = require("{scenarios}/able-time.cjs");
const able = new AbleTime(Number(process.argv[2]));
const until = performance.now() + 1500;
const watch = setInterval(() => {{
  const ms = able.ms;
  if (performance.now() < until) return;
  clearInterval(watch);
  console.log(Math.round(ms), threadsOf(process.argv[2]).size);
  process.exit(0);
}}, 20);
"""


def node() -> Runtime:
    target = host_target()
    [runtime] = runtimes.provide_runtimes(
        "node", runtimes.choose_versions("node", "", target), target
    )
    return runtime


@pytest.fixture(scope="module", params=["bun 1.0.4", "bun 1.4.5", "node"])
def watcher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    name, _, version = str(request.param).partition(" ")
    script = tmp_path_factory.mktemp("watch") / "watch.cjs"
    script.write_text(WATCH.format(scenarios=paths.SCENARIOS))
    runtime = bun(version) if name == "bun" else node()
    return [str(runtime.program), str(script)]


def able_ms(watcher: list[str], pid: int) -> tuple[int, int]:
    """Return the milliseconds that a process was able to run, and how many threads it has."""
    completed = subprocess.run([*watcher, str(pid)], capture_output=True, text=True, check=True)
    milliseconds, threads = map(int, completed.stdout.split())
    return milliseconds, threads


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a control group")
def test_able_time_throttled_child_counts_little(watcher: list[str], tmp_path: Path) -> None:
    limits = {"cpu.cfs_period_us": "1000000", "cpu.cfs_quota_us": "5000", "cpu.max": "5000 1000000"}
    with Group({"cpu": limits}) as group:
        if not group.folders:
            pytest.skip("no control group with the controller cpu can be made here")
        spinning = [sys.executable, "-S", "-c", "while True: pass"]
        child = subprocess.Popen(group.command(spinning), cwd=tmp_path)
        try:
            milliseconds, threads = able_ms(watcher, child.pid)
        finally:
            child.kill()
            child.wait()
    assert threads == 1
    assert milliseconds < 400


# Prints the wall-clock time of turn(100) while other work wants the processor.
TURN_SCRIPT = """
const {{ turn }} = require("{scenarios}/event-loop.cjs");
setInterval(() => {{ for (const until = performance.now() + 20; performance.now() < until; ); }});
const began = performance.now();
turn(100).then(() => {{
  console.log(Math.round(performance.now() - began));
  process.exit(0);
}});
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a control group")
def test_turn_throttled_process_waits_until_it_could_run(tmp_path: Path) -> None:
    script = tmp_path / "turn.cjs"
    script.write_text(TURN_SCRIPT.format(scenarios=paths.SCENARIOS))
    limits = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "5000", "cpu.max": "5000 100000"}
    with Group({"cpu": limits}) as group:
        if not group.folders:
            pytest.skip("no control group with the controller cpu can be made here")
        command = group.command([str(node().program), str(script)])
        completed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(completed.stdout) > 600  # 80 ms of processor time, at a twentieth of a processor


Times = dict[int, tuple[int, int, bool]]

# As gobun.observe.able_share takes them: thread to nanoseconds on a processor, in the queue, and
# whether it wants a processor; before, after.
CASES: tuple[tuple[Times, Times], ...] = (
    ({1: (0, 0, False)}, {1: (0, 0, False)}),
    ({1: (0, 0, True)}, {1: (10**9, 0, True)}),
    ({1: (0, 0, True)}, {1: (10**8, 9 * 10**8, False)}),
    ({1: (5, 5, True)}, {1: (5, 5, True)}),
    ({1: (0, 0, False), 2: (0, 0, True)}, {1: (10**9, 0, True), 2: (0, 0, True)}),
    ({}, {}),
    ({}, {1: (10**8, 2 * 10**8, True)}),
)
COMPARE = """
const { ableShare } = require("SCENARIOS/able-time.cjs");
const thread = ([tid, ran, queued, wants]) => [tid, { ran, queued, wants }];
const threads = (list) => new Map(list.map(thread));
const cases = JSON.parse(process.argv[2]);
const shares = cases.map(([before, after]) => ableShare(threads(before), threads(after), 1000));
console.log(JSON.stringify([require("node:os").cpus().length, shares]));
"""


def usage(threads: Times, cores: int) -> Usage:
    times = {tid: (ran, queued) for tid, (ran, queued, _) in threads.items()}
    runnable = frozenset(tid for tid, (*_, wants) in threads.items() if wants)
    return Usage(times, cores, 0, 0, on_disk=False, runnable=runnable)


def test_able_time_share_is_that_of_the_harness(tmp_path: Path) -> None:
    script = tmp_path / "compare.cjs"
    script.write_text(COMPARE.replace("SCENARIOS", str(paths.SCENARIOS)))
    listed = [[[[tid, *of] for tid, of in side.items()] for side in case] for case in CASES]
    completed = subprocess.run(
        [node().program, script, json.dumps(listed)], capture_output=True, text=True, check=True
    )
    cores, shares = json.loads(completed.stdout)
    expected = [
        able_share(usage(before, cores), usage(after, cores), 1.0) for before, after in CASES
    ]
    assert shares == pytest.approx(expected)


SLOW_SCRIPT = """
let now = 0;
performance.now = () => now;
require("node:fs").readdirSync = () => []; // no thread ever waits for a processor
const { AbleTime } = require("SCENARIOS/able-time.cjs");
const able = new AbleTime();
for (const step of [60, 60, 10000]) {
  now += step;
  able.ms;
}
console.log(able.ms);
"""


@pytest.mark.parametrize(("slowness", "counted_ms"), [("", 220), ("20", 106), ("0.5", 220)])
def test_able_time_on_slow_machine_counts_less(
    tmp_path: Path, slowness: str, counted_ms: int
) -> None:
    script = tmp_path / "slow.cjs"
    script.write_text(SLOW_SCRIPT.replace("SCENARIOS", str(paths.SCENARIOS)))
    completed = subprocess.run(
        [node().program, script],
        env={"GOBUN_SLOWNESS": slowness},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(completed.stdout) == pytest.approx(counted_ms)
