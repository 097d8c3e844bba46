"""Runs one part in a separate process, and counts everything that it leaves behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.torture.registry import Figure
from gobun import paths
from gobun.guarded_read import close_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.torture.registry import Budget, Choices, Part

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_SETTLE_S = 2.0
_LOG_LINES = 15


class Outcome(msgspec.Struct, frozen=True):
    """The measurements of a part."""

    part: str
    description: str
    seconds: float
    figures: tuple[Figure, ...]

    @property
    def holds(self) -> bool:
        """Whether every figure is within its limits."""
        return all(figure.holds for figure in self.figures)


class _Answer(msgspec.Struct, frozen=True):
    figures: tuple[Figure, ...]
    descriptors: int
    """How many more descriptors are open at the end than at the beginning."""


def run_isolated(part: Part, seconds: float, choices: Choices) -> Outcome:
    """Run a part in a child process, and add the figures that every part has.

    The runner becomes the parent of all orphans below it, so that no process of a part escapes
    the count by losing its own parent.
    """
    _adopt_orphans()
    before = _children()
    started = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="gobun-torture-"))
    try:
        temporary = root / "tmp"
        temporary.mkdir()
        answer, log = _run_child(part, seconds, choices, root)
        elapsed = time.monotonic() - started
        processes = _reap(before)
        remaining = sorted(child.name for child in temporary.iterdir())
    except BaseException:
        _reap(before)
        raise
    finally:
        shutil.rmtree(root, ignore_errors=True)
    figures = answer.figures if answer else ()
    ended = Figure("ended by itself", int(answer is not None), at_least=1, detail=log)
    leaks = (
        Figure("processes left", len(processes), at_most=0, detail="; ".join(processes)),
        Figure("descriptors left", answer.descriptors if answer else 0, at_most=0),
        Figure("temporary files left", len(remaining), at_most=0, detail=", ".join(remaining[:5])),
    )
    return Outcome(part.name, part.description, elapsed, (*figures, ended, *leaks))


def run_here(part: Part, budget: Budget, answer: Path) -> None:
    """Run a part in this process, and write its measurements to a file."""
    before = _descriptors()
    figures = tuple(part.run(budget))
    close_reader()
    answer.write_bytes(msgspec.json.encode(_Answer(figures, max(0, _descriptors() - before))))


def _run_child(
    part: Part, seconds: float, choices: Choices, root: Path
) -> tuple[_Answer | None, str]:
    answer = root / "answer.json"
    scratch = root / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "benchmarks.torture", "--one", part.name]
    command += ["--seconds", str(seconds), "--folder", str(scratch), "--answer", str(answer)]
    command += ["--choices", msgspec.json.encode(choices).decode()]
    environment = {**os.environ, "TMPDIR": str(root / "tmp"), "PYTHONFAULTHANDLER": "1"}
    log = root / "log"
    with log.open("wb") as stream:
        child = subprocess.Popen(
            command,
            cwd=paths.ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(seconds + part.grace_s)
        finally:  # also when a signal ends this process
            if child.poll() is None:
                child.kill()
                child.wait()
    text = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
    try:
        return msgspec.json.decode(answer.read_bytes(), type=_Answer), text
    except (FileNotFoundError, msgspec.DecodeError):
        return None, text


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _descriptors() -> int:
    """Return the number of open descriptors, without those that hold cache entries."""
    cache = str(paths.cache_root())
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir() if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            count += not str(descriptor.readlink()).startswith(cache)
    return count


def _children() -> set[int]:
    pids: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            pids.update(int(word) for word in path.read_text().split())
    return pids


def _reap(before: set[int]) -> list[str]:
    """Kill the processes that a part left, and return their command lines."""
    last = time.monotonic() + _SETTLE_S
    while (living := list(_running_processes(_children() - before))) and time.monotonic() < last:
        time.sleep(0.05)
    named = []
    for pid in living:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            named.append(f"{pid} {words.decode(errors='replace')[:120]}")
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return named


def _running_processes(pids: set[int]) -> Iterator[int]:
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                yield pid
