"""Diagnoses of real processes: Bun that hangs, Bun and Node that work, and known children."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cells
import msgspec
import pytest
from commands import bun
from machine import FOR_MUSL

from gobun import build, diagnose, runtimes
from gobun.errors import PrerequisiteError, UsageError
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

SCRIPT = Path(diagnose.__file__).parent / "load.cjs"


@pytest.fixture(scope="module")
def inspector() -> Path:
    program = diagnose.find_inspector()
    assert program is not None
    return program


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cells.build_child(tmp_path_factory.mktemp("child"))


@contextlib.contextmanager
def running(command: list[str], message: bytes = b"") -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        while message and (line := process.stdout.readline()) != message:
            assert line, "it ended"
        time.sleep(0.5)
        yield process.pid
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def loading(runtime: runtimes.Runtime, module: str, folder: Path) -> list[str]:
    go = folder / "go"
    go.touch()
    fixture = build.build_fixture(module, host_target())
    argument = {**runtime.settings(fixture), "go": str(go)}
    return runtime.command(SCRIPT, msgspec.json.encode(argument).decode())


def test_diagnose_hanging_bun_names_the_storm(inspector: Path, tmp_path: Path) -> None:
    with running(loading(bun("1.2.19"), "simple", tmp_path), b"called 0\n") as pid:
        diagnosis = diagnose.diagnose(pid, inspector=inspector)
    assert (diagnosis.kind, diagnosis.armed, diagnosis.suspend_signal) == ("storm", True, 30)
    assert (diagnosis.runtime.name, diagnosis.runtime.version) == ("bun", "1.2.19")
    assert [Path(library.path).name for library in diagnosis.libraries] == ["simple.so"]
    assert diagnosis.libraries[0].version.startswith("go1.")
    assert diagnosis.motion.storm is not None
    assert diagnosis.motion.storm.is_main
    assert "ollector Thread" in diagnosis.motion.storm.sender
    page = diagnose.render(diagnosis)
    assert "SIGPWR: SA_ONSTACK, handler in bun; JavaScriptCore's suspend signal" in page
    assert "alternate stack: 512 KiB" in page


def test_diagnose_fixed_bun_reports_no_problem(inspector: Path, tmp_path: Path) -> None:
    with running(loading(bun("1.4.5"), "simple", tmp_path), b"called 0\n") as pid:
        diagnosis = diagnose.diagnose(pid, inspector=inspector)
    assert (diagnosis.kind, diagnosis.armed, diagnosis.runtime.version) == (
        "healthy",
        True,
        "1.4.5",
    )
    assert "copes" in diagnosis.cause


def test_diagnose_bun_without_go_reports_it(inspector: Path, tmp_path: Path) -> None:
    with running(loading(bun("1.2.19"), "control", tmp_path), b"called 0\n") as pid:
        diagnosis = diagnose.diagnose(pid, inspector=inspector)
    assert (diagnosis.kind, diagnosis.armed, diagnosis.libraries) == ("no-go", False, ())
    assert "SIGPWR: no SA_ONSTACK" in diagnose.render(diagnosis)


def test_diagnose_node_with_go_reports_no_problem(inspector: Path, tmp_path: Path) -> None:
    node = runtimes.provide_node(host_target())
    with running(loading(node, "crypto", tmp_path), b"called 0\n") as pid:
        diagnosis = diagnose.diagnose(pid, inspector=inspector)
    assert (diagnosis.kind, diagnosis.runtime.label) == (
        "healthy",
        f"node@{node.version}{FOR_MUSL}",
    )
    assert [Path(library.path).name for library in diagnosis.libraries] == ["crypto.so"]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("deadlock", "deadlock"), ("spin", "busy"), ("storm", "other-storm"), ("ping-pong", "no-go")],
)
def test_diagnose_known_program_has_its_kind(
    child: Path, inspector: Path, mode: str, kind: str
) -> None:
    with running([str(child), mode]) as pid:
        diagnosis = diagnose.diagnose(pid, inspector=inspector)
    assert diagnosis.kind == kind, diagnose.render(diagnosis)
    if mode == "storm":
        assert diagnosis.motion.storm is not None
        assert diagnosis.motion.storm.sender.startswith("child (")


def test_diagnose_without_inspector_reports_the_rest(tmp_path: Path) -> None:
    with running(loading(bun("1.2.19"), "simple", tmp_path), b"called 0\n") as pid:
        diagnosis = diagnose.diagnose(pid)
    assert diagnosis.kind == "storm"
    assert any("handlers and alternate stacks are not known" in note for note in diagnosis.notes)


def test_diagnose_command_is_watched_until_it_hangs(child: Path, inspector: Path) -> None:
    started = time.monotonic()
    diagnosis = diagnose.diagnose_command([str(child), "storm"], inspector=inspector, end=True)
    assert diagnosis.kind == "other-storm"
    assert time.monotonic() - started < 30
    assert not Path(f"/proc/{diagnosis.pid}").exists()


def test_diagnose_children_of_command_are_watched_too(inspector: Path, tmp_path: Path) -> None:
    """As with `npm start`, a child of the command hangs."""
    work = shlex.join(loading(bun("1.2.19"), "simple", tmp_path))
    command = ["/bin/sh", "-c", f"{work}; exit 3"]
    diagnosis = diagnose.diagnose_command(command, inspector=inspector, end=True)
    assert (diagnosis.kind, diagnosis.runtime.label) == ("storm", f"bun@1.2.19{FOR_MUSL}"), (
        diagnose.render(diagnosis)
    )
    deadline = time.monotonic() + 20
    while Path(f"/proc/{diagnosis.pid}").exists():  # until the system has reaped it
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_diagnose_command_that_ends_is_reported(child: Path, inspector: Path) -> None:
    diagnosis = diagnose.diagnose_command([str(child), "exit-7"], inspector=inspector)
    assert (diagnosis.kind, diagnosis.is_stuck) == ("ended", False)
    assert "ended with exit code 7" in diagnosis.motion.detail


def test_diagnose_missing_or_forbidden_process_is_rejected(child: Path, inspector: Path) -> None:
    with pytest.raises(UsageError, match="there is no process"):
        diagnose.diagnose(2**22 + 1)
    with pytest.raises(UsageError, match="there is no command"):
        diagnose.diagnose_command([])
    with pytest.raises(PrerequisiteError, match="cannot run /absent"):
        diagnose.diagnose_command(["/absent"], inspector=inspector)


def test_diagnose_changes_made_by_go_are_a_table(inspector: Path) -> None:
    module = build.build_fixture("simple", host_target())
    buns = [bun(version, ffi=True) for version in ("1.2.1", "1.2.19")]
    by_version = {each.version: diagnose.signal_changes(each, module, inspector) for each in buns}
    old, new = ({c.signal: c.text for c in changes} for changes in by_version.values())
    assert old[10] == new[30] == "bun → bun+SA_ONSTACK"
    assert old[13] == new[13] == "ignored → simple.so+SA_ONSTACK"
    assert old[23] == "default → simple.so+SA_ONSTACK"
    assert 30 not in old
    assert "| SIGPWR | as it was | bun → bun+SA_ONSTACK |" in diagnose.render_changes(by_version)


def test_diagnose_process_that_ends_meanwhile_is_reported(inspector: Path) -> None:
    process = subprocess.Popen(["sleep", "1"])
    reaper = threading.Thread(target=process.wait)
    reaper.start()
    diagnosis = diagnose.diagnose(process.pid, inspector=inspector)
    reaper.join()
    assert diagnosis.kind == "ended"
