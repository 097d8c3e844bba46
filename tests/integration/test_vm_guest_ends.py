"""Guests that end badly. Each costs at most the cells in flight, and none causes a verdict.

A script replaces QEMU, because these tests check how the host reacts when a machine panics, hangs
or is killed. `test_vm_guest.py` runs the real machine.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from commands import wait_until
from sample_results import result_of
from test_vm_job import made_job

from gobun import console, matrix
from gobun.cells import Cell
from gobun.errors import PrerequisiteError
from gobun.vm import boot, job
from gobun.vm.architectures import architecture
from gobun.vm.boot import Guest, Patience
from gobun.vm.image import Image
from gobun.vm.qemu import Emulator, Machine, Share
from gobun.vm.run import run_job

CELLS = tuple(Cell("bun", v, "stock", "simple", "ffi", "idle") for v in ("1.2.1", "1.2.19"))

FAKE = """#!{python}
import pathlib, sys, time
words = " ".join(sys.argv)
job = pathlib.Path(words.split("id=job,path=")[1].split(",")[0])
log = pathlib.Path(words.split("logfile=")[1].split(" ")[0])
boots = job / "boots"
boot = int(boots.read_text()) + 1 if boots.exists() else 1
boots.write_text(str(boot))
(job / "beat").write_text(str(boot))
def start(line):
    with (job / "started.jsonl").open("a") as stream: stream.write(line + "\\n")
def finish(line):
    with results.open("a") as stream: stream.write(line + "\\n")
def panic(): log.write_text("Kernel panic - not syncing: Attempted to kill init!\\n")
def end(code): (job / "code").write_text(str(code))
results = pathlib.Path({results!r})
header, cells, lines = {header!r}, {cells!r}, {lines!r}
"""


@pytest.fixture
def work(tmp_path: Path) -> job.Job:
    out = tmp_path / "out"
    out.mkdir()
    return made_job(out, cells=CELLS)


def guest_of(tmp_path: Path, work: job.Job, script: str) -> Guest:
    program = tmp_path / "qemu"
    text = FAKE.format(
        python=sys.executable,
        results=str(work.out / matrix.FILE_NAME),
        header=msgspec.json.encode(work.header).decode(),
        cells=[msgspec.json.encode(cell).decode() for cell in CELLS],
        lines=[msgspec.json.encode(result_of(cell, "pass")).decode() for cell in CELLS],
    )
    program.write_text(text + script)
    program.chmod(0o755)
    emulator = Emulator(architecture("arm64"), program, "1", "a test")
    image = Image(program, program, program, "bookworm", "6.1")
    compiled = Share("compiled", tmp_path / "compiled", writable=True)
    return Guest(emulator, image, Machine(1, 1024), (compiled,), tmp_path / "vm")


def run(guest: Guest, work: job.Job) -> dict[str, str]:
    with console.progress("cells", len(work.cells)) as shown:
        run_job(guest, work, shown)
    results = matrix.read_results(work.out / matrix.FILE_NAME).results
    return {result.version: f"{result.outcome} {result.detail}" for result in results}


@pytest.mark.parametrize("emulated", [True, False])
def test_run_job_panic_before_a_cell_is_a_prerequisite_error(
    tmp_path: Path, work: job.Job, emulated: bool
) -> None:
    guest = guest_of(tmp_path, work, "panic()")
    work = msgspec.structs.replace(work, emulated=emulated)
    with pytest.raises(
        PrerequisiteError, match="before it ran a cell: kernel panic: Attempted"
    ) as caught:
        run(guest, work)
    assert ("try --emulate" in str(caught.value.hint)) is not emulated
    assert not (work.out / matrix.FILE_NAME).exists()


def test_run_job_panic_in_a_cell_fails_only_that_cell(tmp_path: Path, work: job.Job) -> None:
    script = (
        "if boot == 1: results.write_text(header + '\\n'); start(cells[0]); panic()\n"
        "else: start(cells[1]); finish(lines[1]); end(0)\n"
    )
    results = run(guest_of(tmp_path, work, script), work)

    assert results["1.2.1"].startswith(
        "error the guest ended while it ran: kernel panic: Attempted"
    )
    assert results["1.2.19"].startswith("pass")


def test_run_job_killed_runner_fails_its_cell(tmp_path: Path, work: job.Job) -> None:
    script = (
        "(job / 'log.txt').write_text('Fatal Python error: Segmentation fault\\n')\n"
        "if boot == 1: results.write_text(header + '\\n'); start(cells[0]); end(139)\n"
        "else: start(cells[1]); finish(lines[1]); end(0)\n"
    )
    results = run(guest_of(tmp_path, work, script), work)

    message = "error the guest ended while it ran: Fatal Python error: Segmentation fault"
    assert results["1.2.1"] == message
    assert results["1.2.19"].startswith("pass")


def test_run_job_guest_panicking_each_boot_ends(tmp_path: Path, work: job.Job) -> None:
    results = run(guest_of(tmp_path, work, "start(cells[boot - 1]); panic()"), work)

    assert [each.split()[0] for each in results.values()] == ["error", "error"]


def test_run_job_keeps_results_from_before_the_end(tmp_path: Path, work: job.Job) -> None:
    script = (
        "if boot == 1:\n"
        "    results.write_text(header + '\\n'); start(cells[0]); finish(lines[0])\n"
        "    results.open('a').write(lines[1][:30])\n"
        "else: end(0); results.write_text('\\n'.join([header, *lines, '']))\n"
    )
    results = run(guest_of(tmp_path, work, script), work)

    assert [each.split()[0] for each in results.values()] == ["pass", "pass"]


def test_run_job_failing_suite_in_the_guest_shows_its_log(tmp_path: Path, work: job.Job) -> None:
    script = "(job / 'log.txt').write_text('ModuleNotFoundError: lief\\n'); end(1)"
    with pytest.raises(PrerequisiteError, match="could not run the matrix:\nModuleNotFoundError"):
        run(guest_of(tmp_path, work, script), work)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("(job / 'beat').unlink(); time.sleep(60)", "did not start"),
        ("start(cells[0]); time.sleep(60)", "gave no sign of life"),
    ],
)
def test_watch_silent_guest_is_ended(
    tmp_path: Path, work: job.Job, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    guest = guest_of(tmp_path, work, script)
    guest.prepare(boot.start_script("true", bytecode=tmp_path))
    with guest.start() as child:
        end = guest.watch(child, Patience(0.5, 0.5), lambda: None)
        assert child.end is not None

    assert end.code is None
    assert words in end.reason


HARNESS = """
import sys
sys.path[:0] = {paths!r}
import pathlib
from test_vm_guest_ends import guest_of
from test_vm_job import made_job
from gobun.vm import boot
tmp = pathlib.Path({tmp!r})
guest = guest_of(tmp, made_job(tmp / "out"), {script!r})
guest.prepare(boot.start_script("true", bytecode=tmp))
with guest.start() as child:
    print("started", flush=True)
    guest.watch(child, boot.Patience(600.0, 600.0), lambda: None)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_guest_ends_with_its_harness(tmp_path: Path, number: signal.Signals) -> None:
    mark = tmp_path / "pid"
    script = f"import os; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(90)"
    text = HARNESS.format(paths=[p for p in sys.path if p], tmp=str(tmp_path), script=script)
    harness = subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: mark.exists() and mark.read_text() != "", within_s=100)
        pid = int(mark.read_text())
        harness.send_signal(number)
        harness.wait(100)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), within_s=100)
    finally:
        harness.kill()
        harness.wait()
    assert not Path(f"/proc/{pid}").exists()
