"""The core of a process that really crashed is kept, read and limited, or its absence explained."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cells import build_child, run_known

from gobun import observe
from gobun.matrix import evidence
from gobun.matrix.evidence import EvidenceTools

if TYPE_CHECKING:
    from gobun.cells import Result

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's cores")

PATTERN = Path("/proc/sys/kernel/core_pattern")


def keeps_files() -> bool:
    """Whether the kernel writes cores to files where a cell runs."""
    pattern = PATTERN.read_text().strip() if PATTERN.exists() else ""
    return bool(pattern) and pattern[0] not in "|@/"


files_only = pytest.mark.skipif(not keeps_files(), reason="the kernel hands cores to a program")


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_child(tmp_path_factory.mktemp("child"))


def output_of(result: Result, folder: Path) -> str:
    [name] = [path for path in result.evidence if path.endswith("output.txt")]
    return (folder / "out" / name).read_text()


@files_only
@pytest.mark.parametrize(("mode", "signal"), [("segv", "SIGSEGV"), ("abort", "SIGABRT")])
def test_core_of_crash_is_kept_with_backtrace(
    child: Path, tmp_path: Path, mode: str, signal: str
) -> None:
    result, _ = run_known(child, mode, tmp_path, means=EvidenceTools(gdb=True, cores=True))
    assert (result.outcome, result.signal) == ("crash", signal)
    [core] = [tmp_path / "out" / path for path in result.evidence if path.endswith("/core")]
    assert core.read_bytes()[:4] == b"\x7fELF"
    assert f"MB, sparse; `gdb {child} core`" in output_of(result, tmp_path)
    if shutil.which("gdb"):
        [trace] = [path for path in result.evidence if path.endswith("backtrace.txt")]
        text = (tmp_path / "out" / trace).read_text()
        assert f"Program terminated with signal {signal}" in text
        assert "main" in text


@files_only
def test_core_is_kept_once_for_similar_crashes(child: Path, tmp_path: Path) -> None:
    means = EvidenceTools(cores=True)
    first, _ = run_known(child, "segv", tmp_path, means=means)
    again, _ = run_known(child, "segv", tmp_path / "again", means=means)
    assert [path.endswith("/core") for path in first.evidence] == [False, True]
    assert not [path for path in again.evidence if path.endswith("/core")]
    assert "no core: another cell of this version" in output_of(again, tmp_path / "again")


def test_core_unrequested_or_without_signal_is_not_kept(child: Path, tmp_path: Path) -> None:
    unasked, _ = run_known(child, "segv", tmp_path / "unasked")
    assert "core" not in output_of(unasked, tmp_path / "unasked")
    assert not list(tmp_path.rglob("core*"))
    panic, _ = run_known(child, "panic", tmp_path / "panic", means=EvidenceTools(cores=True))
    assert "no core: it ended with an exit code" in output_of(panic, tmp_path / "panic")


@files_only
def test_core_too_large_is_dropped(
    child: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's limit and ours are one number, and both hold."""
    monkeypatch.setattr(evidence, "CORE_BYTES", 20_000)
    result, _ = run_known(child, "segv", tmp_path, means=EvidenceTools(cores=True))
    assert result.outcome == "crash"
    cores = [path for path in (tmp_path / "out").rglob("core") if path.is_file()]
    assert all(path.stat().st_blocks * 512 <= 24_576 for path in cores)


def test_core_forbidden_by_shell_is_reported(child: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; sys.path[:0] = sys.argv[3:]\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "import cells; from gobun.matrix.evidence import EvidenceTools as Tools\n"
        "cells.run_known(Path(sys.argv[1]), 'segv', Path(sys.argv[2]), means=Tools(cores=True))\n"
    )
    here = Path(__file__).parent
    words = [sys.executable, "-c", code, child, tmp_path, here, here.parent.parent]
    subprocess.run([str(word) for word in words], check=True, timeout=120)
    [text] = [path.read_text() for path in tmp_path.rglob("output.txt")]
    assert "no core: the hard limit of core files is 0" in text or "kernel.core_pattern" in text
    assert not list((tmp_path / "out").rglob("core"))


def kernel(folder: Path, pattern: str, uses_pid: str = "0") -> Path:
    (folder / "core_pattern").write_text(f"{pattern}\n")
    (folder / "core_uses_pid").write_text(f"{uses_pid}\n")
    return folder


@pytest.mark.parametrize(
    ("pattern", "uses_pid", "name"),
    [
        ("core", "0", "core"),
        ("core", "1", "core.7"),
        ("core.%p", "1", "core.7"),
        ("core%%p", "1", "core%p.7"),
        ("%e-%t.%p.dump", "0", "bun-1700000000.7.dump"),
        ("sub/[x]100%%-%s", "0", "sub/[x]100%-11"),
        ("c%", "0", "c"),
    ],
)
def test_core_is_found_by_the_kernel_pattern(
    tmp_path: Path, pattern: str, uses_pid: str, name: str
) -> None:
    folder = tmp_path / "run"
    core = folder / name
    core.parent.mkdir(parents=True)
    core.write_text("")
    core.with_name("core.8").write_text("of another")
    settings = kernel(tmp_path, pattern, uses_pid)
    assert observe.find_core(7, folder, 0, settings) == core
    above = kernel(tmp_path, f"{folder}/{pattern}", uses_pid)
    assert observe.find_core(7, Path("/"), 0, above) == core
    late = core.stat().st_mtime + 1
    assert "the kernel wrote none" in str(observe.find_core(7, folder, late, settings))


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (
            "|/usr/lib/handler %p",
            "cores are given to a program here (kernel.core_pattern is '|",
        ),
        ("@/run/handler.socket", "cores are sent to a socket here"),
        ("", "the kernel keeps none (kernel.core_pattern is empty)"),
    ],
)
def test_core_not_written_by_kernel_is_reported(tmp_path: Path, pattern: str, why: str) -> None:
    assert str(observe.find_core(7, tmp_path, 0, kernel(tmp_path, pattern))).startswith(why)
