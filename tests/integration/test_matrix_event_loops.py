"""Event loops of real processes. A process whose loop turns must run to its end."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cells import CELL, KnownChild, context

from gobun import matrix

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.cells import Result

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

LIMIT_S = 4.0
PRELUDE = """
import itertools, json, os, signal, sys, time

folder = sys.argv[3]
with open(f"{folder}/key") as stream:
    key = stream.read()
channel = os.open(f"{folder}/events", os.O_WRONLY | os.O_APPEND)
numbers = itertools.count(1)

def say(at, source="", **more):
    event = {"at": at, **({"in": source} if source else {}), **more}
    os.write(channel, f"\\n@gobun {key} 0 {next(numbers)} {json.dumps(event)}\\n".encode())

def beat(seconds, *sources):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for source in sources:
            say("beat", source)
        time.sleep(0.025)

say("start")
"""
EVER = 3600
PROGRAMS = {
    "silent-worker": f"say('turns', 'worker'); beat(0.1, '', 'worker'); beat({EVER}, '')",
    "never-a-beat": f"say('turns', 'worker'); beat({EVER}, '')",
    "second-worker-silent": (
        f"say('turns', 'one'); say('turns', 'two'); beat(0.1, '', 'one', 'two');"
        f"beat({EVER}, '', 'one')"
    ),
    "other-one-ends": (
        f"say('turns', 'one'); say('turns', 'two'); say('ends', 'two'); beat({EVER}, '')"
    ),
    "silent-main": f"say('turns', 'worker'); beat({EVER}, 'worker')",
    "main-cannot-end": f"say('turns', 'worker'); say('ends'); beat({EVER}, 'worker')",
    "turns-again": (
        f"say('turns', 'worker'); say('ends', 'worker'); beat(0.1, '');"
        f"say('turns', 'worker'); beat({EVER}, '')"
    ),
    "both-beat": f"say('turns', 'worker'); beat({EVER}, '', 'worker')",
    "worker-ends": f"say('turns', 'worker'); say('ends', 'worker'); beat({EVER}, '')",
    "late-beat": f"say('turns', 'worker'); beat(0.1, ''); say('ends', 'worker'); beat({EVER}, '')",
    "nobody-s-beat": f"say('beat', 'worker'); beat({EVER}, '')",
    "pauses": (
        f"say('turns', 'worker'); beat(1.5, ''); say('beat', 'worker'); beat({EVER}, '', 'worker')"
    ),
    "done-in-the-end": "say('turns', 'worker'); beat(1.5, ''); say('ends', 'worker'); say('done')",
    "done-without-ends": "say('turns', 'worker'); beat(0.1, '', 'worker'); say('done')",
    "told-hang": "say('called'); say('hang', why='the child sat still'); sys.exit(1)",
    "told-hang-exit-0": "say('hang', why='the child sat still'); say('done')",
    "told-hang-then-killed": "say('hang', why='x'); os.kill(os.getpid(), signal.SIGKILL)",
    "told-hang-after-fail": "say('fail', why='first'); say('hang', why='second'); sys.exit(1)",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """The results of all programs. They run at the same time, because most of them only wait."""
    folder = tmp_path_factory.mktemp("programs")
    # All files are written before any program starts, because a fork would keep a file open for
    # writing.
    for name in PROGRAMS:
        write(folder / name)
    with ThreadPoolExecutor(len(PROGRAMS)) as pool:
        outputs = pool.map(lambda name: run(folder / name), PROGRAMS)
        return dict(zip(PROGRAMS, outputs, strict=True))


def write(folder: Path) -> None:
    folder.mkdir()
    program = folder / "program"
    program.write_text(f"#!{sys.executable} -SE\n{PRELUDE}{PROGRAMS[folder.name]}\n")
    program.chmod(0o755)


def run(folder: Path) -> Result:
    ready = context(KnownChild(folder / "program", "", folder), folder / "out", LIMIT_S)
    return matrix.run_cell(ready, CELL, threading.Event())


@pytest.mark.parametrize(
    "name",
    [
        "silent-worker",
        "never-a-beat",
        "second-worker-silent",
        "other-one-ends",
        "silent-main",
        "main-cannot-end",
        "turns-again",
    ],
)
def test_cell_with_one_silent_loop_hangs(results: dict[str, Result], name: str) -> None:
    result = results[name]
    assert result.outcome == "hang", result.detail
    assert result.detail.startswith("busy: no turn of the event loop in ")
    assert result.detail.endswith(f"(limit {LIMIT_S:g} s)")
    assert result.wall_ms >= LIMIT_S * 1000  # Beats of the others keep it from an earlier verdict.
    assert (result.exit_code, result.signal) == (None, None)
    assert any(path.endswith("/threads.txt") for path in result.evidence)


@pytest.mark.parametrize(
    "name", ["both-beat", "worker-ends", "late-beat", "nobody-s-beat", "pauses"]
)
def test_cell_with_turning_loops_is_decided_at_the_limit(
    results: dict[str, Result], name: str
) -> None:
    result = results[name]
    assert (result.outcome, result.detail) == (
        "timeout",
        f"still progressing at the limit of {LIMIT_S:g} s",
    )


@pytest.mark.parametrize("name", ["done-in-the-end", "done-without-ends"])
def test_cell_that_ends_is_judged_by_its_end(results: dict[str, Result], name: str) -> None:
    assert (results[name].outcome, results[name].detail) == ("pass", "")


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("told-hang", ("hang", "the child sat still")),
        ("told-hang-exit-0", ("hang", "the child sat still")),
        ("told-hang-then-killed", ("crash", "SIGKILL after 'hang'")),
        ("told-hang-after-fail", ("fail", "first")),
    ],
)
def test_cell_that_reports_its_own_hang_hangs(
    results: dict[str, Result], name: str, ending: tuple[str, str]
) -> None:
    result = results[name]
    assert (result.outcome, result.detail) == ending
    assert any(path.endswith("/output.txt") for path in result.evidence)
