"""The exchange between host and guest: the job, the measured speed, and the guest's script."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gobun import matrix
from gobun.build import Fixture
from gobun.cells import Cell, Header
from gobun.cells.records import Host
from gobun.expectations import Expectations, Place
from gobun.expectations.rows import ExpectationRow
from gobun.runtimes import Bun, Deno, Node, Runtime
from gobun.vm import boot, job, speed

CELL = Cell("bun", "1.2.19", "stock", "simple", "ffi", "idle")


def made_job(out: Path, **changes: object) -> job.Job:
    header = Header("1", "now", Host("linux", "6.1", "cpu", 2, "glibc 2.36", "arm64"), {}, "p", 1)
    fixture = Fixture("simple", Path("/m/simple.so"), Path("/m/simple.node"))
    row = ExpectationRow(outcomes=("hang",), why="known", versions="1.2.19", location="a row")
    runtimes: tuple[Runtime, ...] = (
        Bun("1.2.19", Path("/b/bun")),
        Node("24.1.0", Path("/n"), Path("/d")),
        Deno("2.1.0", Path("/deno")),
    )
    new_job = job.Job(
        header=header,
        cells=(CELL,),
        kept=(),
        jobs=1,
        resume=False,
        supervise=Path("/s"),
        inspector=Path("/i"),
        warmup=Path("/w"),
        guard=Path("/g"),
        probe=Path("/p"),
        package=Path("/k"),
        preload=None,
        modules={"simple": fixture},
        variants=(job.ModuleVariant("embedded", fixture),),
        target="linux-arm64",
        runtimes=tuple(map(job.RuntimeRecord.of, runtimes)),
        expectations=Expectations((row,), Place("linux", "arm64", "glibc")),
        out=out,
        limit_s=20.0,
        repeat=1,
        cores=False,
        emulated=True,
        machine="QEMU 7.2.22, emulated",
        again="invoke vm --arch arm64 --release bookworm",
    )
    return msgspec.structs.replace(new_job, **changes)


def test_job_read_back_equals_the_written_one(tmp_path: Path) -> None:
    written = made_job(tmp_path / "out")
    job.write_job(written, tmp_path)
    read = job.read_job(tmp_path)

    assert read == written
    context = read.context
    assert context.runtimes["bun", "1.2.19"].program == Path("/b/bun")
    assert isinstance(context.runtimes["node", "24.1.0"], Node)
    assert isinstance(context.runtimes["deno", "2.1.0"], Deno)
    assert context.variants["embedded", "simple"].addon == Path("/m/simple.node")
    assert context.expectations.of(CELL) == ("hang",)


@pytest.mark.parametrize("emulated", [True, False])
def test_job_context_has_gdb_only_if_quick(tmp_path: Path, emulated: bool) -> None:
    context = made_job(tmp_path, emulated=emulated).context
    assert context.means.wants_backtrace(CELL) is not emulated


def test_started_cells_stop_at_a_truncated_line(tmp_path: Path) -> None:
    assert job.started_cells(tmp_path) == ()
    line = msgspec.json.encode(CELL) + b"\n"
    (tmp_path / job.STARTED_NAME).write_bytes(line + line[:20])
    assert job.started_cells(tmp_path) == (CELL,)
    (tmp_path / job.STARTED_NAME).write_bytes(b"\xff\n" + line)
    assert job.started_cells(tmp_path) == ()


def test_repro_in_guest_names_the_machine() -> None:
    text = matrix.repro_in_guest("invoke matrix --runtime bun", "invoke vm --arch arm64")
    assert text == "invoke vm --arch arm64 --runtime bun"


def test_slowness_follows_the_machine_and_never_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.3, 0.2, 0.25, 0.5, 0.1])
    monkeypatch.setattr(speed, "measure_once", lambda: next(times))
    slowness = speed.Slowness(0.01)

    assert slowness.usual_factor == pytest.approx(20)
    assert slowness() == pytest.approx(50)  # the host gives it little processor time now
    assert slowness() == pytest.approx(20)


def test_slowness_recovers_from_a_busy_start(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([2.4] * 3 + [0.1] * 5)
    monkeypatch.setattr(speed, "measure_once", lambda: next(times))
    slowness = speed.Slowness(0.01)

    assert slowness.usual_factor == pytest.approx(240)
    assert [round(slowness()) for _ in range(3)] == [125, 10, 10]


def test_slowness_of_a_faster_machine_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "measure_once", lambda: 0.5)
    assert speed.Slowness(1.0)() == 1.0


def test_loop_takes_measurable_time() -> None:
    assert 0 < speed.loop_s() < 10


def test_start_script_always_ends_the_guest() -> None:
    lines = boot.start_script("python3 -m x", bytecode=Path("/a b")).splitlines()

    assert "export PYTHONPYCACHEPREFIX='/a b'" in lines
    at = lines.index("python3 -m x")
    assert lines[at + 1 :] == [
        "echo $? > /run/gobun-vm/code",
        "busybox sync",
        "busybox poweroff -f",
    ]


@pytest.mark.parametrize(
    ("console", "message", "reason"),
    [
        ("[1] Kernel panic - not syncing: VFS: no root\r\n", "", "kernel panic: VFS: no root"),
        ("gobun: cannot mount /x\n", "", "cannot mount /x"),
        ("[9] Out of memory: Killed process 7 (python3)\r\n", "", "Out of memory: Killed"),
        ("", "qemu: cannot set up guest memory", "cannot set up guest memory"),
        ("last\x1b[2J words\n", "", "last"),
    ],
)
def test_why_ended_finds_the_reason(console: str, message: str, reason: str) -> None:
    actual = boot.why_ended(console, message)
    assert reason in actual
    assert "\x1b" not in actual
