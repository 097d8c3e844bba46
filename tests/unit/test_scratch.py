"""Temporary folders are removed with any content, also those of killed processes, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gobun import files, folder_locks, scratch, strays
from gobun.errors import PrerequisiteError

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
HOLDER = """
import sys, time
from gobun.scratch import scratch_folder
with scratch_folder("cell") as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_scratch_folder_is_removed_afterwards(temporary: Path) -> None:
    with scratch.scratch_folder("cell") as folder:
        (folder / "closed" / "inside").mkdir(parents=True)
        (folder / "closed").chmod(0)
        assert folder.parent.parent == temporary
    assert not folder.exists()
    assert list(temporary.iterdir()) == []


def test_scratch_folder_without_parent_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/self")
    with pytest.raises((PrerequisiteError, OSError)), scratch.scratch_folder("cell"):
        pass


@LINUX
def test_scratch_only_folders_of_killed_processes_are_removed(temporary: Path) -> None:
    command = [
        sys.executable,
        "-c",
        f"import tempfile; tempfile.tempdir = {str(temporary)!r}{HOLDER}",
    ]
    holders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = [Path((each.stdout or sys.stdin).readline().strip()) for each in holders]
    stray = subprocess.Popen(["sleep", "600"], env={"HOME": str(folders[0])}, cwd="/")
    holders[0].kill()
    holders[0].wait()
    scratch.sweep()
    assert stray.wait(5) == -9
    assert not folders[0].parent.exists()
    assert folders[1].is_dir()
    for each in holders:
        each.kill()
        each.communicate()


@LINUX
def test_strays_working_in_the_folder_are_killed(tmp_path: Path) -> None:
    (tmp_path / "home" / "deep").mkdir(parents=True)
    inside = subprocess.Popen(["sleep", "600"], env={}, cwd=tmp_path / "home" / "deep")
    beside = subprocess.Popen(["sleep", "600"], env={"HOME": f"{tmp_path}/home-2"}, cwd="/")
    assert strays.kill_marked(tmp_path / "home", within_s=5) == 1
    assert inside.wait(5) == -9
    assert beside.poll() is None
    beside.kill()
    beside.wait()


def test_temporary_sibling_of_killed_process_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".results.jsonl.abcd1234"
    left.mkdir()
    locked_folder, lock = folder_locks.new_locked(tmp_path, ".results.jsonl.")
    other = tmp_path / ".other.jsonl.abcd1234"
    other.mkdir()
    files.write_whole(tmp_path / "results.jsonl", b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([locked_folder, other, tmp_path / "results.jsonl"])
    os.close(lock)
