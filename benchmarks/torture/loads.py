"""Puts a run of the matrix under load: busy processes, little time, little memory, and stops.

The run and its load share one control group, if the machine permits one, so other work on the
machine keeps its share. Otherwise they share the whole machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_V1, _V2 = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup")
# These scripts get the id of their parent and end when it ends, because it may be killed.
_SPIN_SCRIPT = (
    "import os, sys\n"
    "while os.getppid() == int(sys.argv[1]):\n"
    "    for _ in range(100_000):\n"
    "        pass\n"
)
_READ_SCRIPT = (
    "import glob, os, sys\n"
    "while os.getppid() == int(sys.argv[1]):\n"
    "    for name in glob.glob(sys.argv[2], recursive=True):\n"
    "        open(name, 'rb').read()\n"
)
_GONE_WITHIN_S = 5.0
_NO_LIMITS = {
    "cpu.cfs_quota_us": "-1",
    "cpu.max": "max",
    "memory.limit_in_bytes": "-1",
    "memory.max": "max",
}
"""The files of a control group's limits, and the text that lifts each limit."""


class Group:
    """A control group with limits for one run. Use as a context manager."""

    def __init__(self, limits: Mapping[str, Mapping[str, str]]) -> None:
        """Take ``limits``: by controller (``cpu``, ``memory``) and file name, the text to write."""
        self._limits = limits
        self.folders: list[Path] = []

    def __enter__(self) -> Self:
        for controller, files in self._limits.items():
            for root in (_V1 / controller, _V2):
                folder = root / f"gobun-torture-{os.getpid()}-{time.monotonic_ns()}"
                with contextlib.suppress(OSError):
                    folder.mkdir()
                    existing = {
                        name: text for name, text in files.items() if (folder / name).exists()
                    }
                    for name, text in existing.items():
                        (folder / name).write_text(text)
                    if existing or (not files and (folder / "cpu.stat").exists()):
                        self.folders.append(folder)
                        break
                    folder.rmdir()
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + _GONE_WITHIN_S
        for folder in self.folders:
            for name, text in _NO_LIMITS.items():  # even to end takes processor time
                if (folder / name).exists():
                    with contextlib.suppress(OSError):
                        (folder / name).write_text(text)
            while folder.is_dir() and time.monotonic() < deadline:
                for pid in _members(folder):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(OSError):
                    for each in sorted(folder.rglob("*"), reverse=True):
                        if each.is_dir():
                            each.rmdir()
                    folder.rmdir()
                time.sleep(0.02)

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs ``words`` inside the group."""
        joins = "".join(f"echo $$ > {folder}/cgroup.procs; " for folder in self.folders)
        return ["/bin/sh", "-c", f'{joins}exec "$@"', "sh", *words]


def _members(folder: Path) -> list[int]:
    try:
        groups = [folder, *(each for each in folder.rglob("*") if each.is_dir())]
        return [int(pid) for each in groups for pid in (each / "cgroup.procs").read_text().split()]
    except OSError:
        return []


@contextlib.contextmanager
def busy_processes(count: int, group: Group) -> Iterator[None]:
    """Keep ``count`` processes spinning."""
    with _running(_SPIN_SCRIPT, (), count, group):
        yield


@contextlib.contextmanager
def reading(pattern: str, group: Group) -> Iterator[None]:
    """Read the files that match ``pattern`` again and again, which takes the group's memory."""
    with _running(_READ_SCRIPT, (pattern,), 1, group):
        yield


@contextlib.contextmanager
def stopping(process: subprocess.Popen[str], *, runs_s: float, stops_s: float) -> Iterator[None]:
    """Let a process run for ``runs_s`` seconds and stop it for ``stops_s``, again and again."""
    over = threading.Event()

    def stop_and_go() -> None:
        while not over.wait(runs_s) and process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            over.wait(stops_s)
            process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def _running(script: str, arguments: Sequence[str], count: int, group: Group) -> Iterator[None]:
    words = [sys.executable, "-S", "-c", script, str(os.getpid()), *arguments]
    others = [subprocess.Popen(group.command(words)) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
        for other in others:
            other.wait()
