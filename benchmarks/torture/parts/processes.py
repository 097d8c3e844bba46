"""A fuzzer for the readers of ``/proc``, where any process may choose its name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

from benchmarks.torture.fuzzing import fuzz, randomly
from benchmarks.torture.registry import Budget, Figure, part
from gobun.observe import memory, proc_files, procfs, signal_looks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

_STAT = b"7 (%s) R 1 7 7 0 -1 4194304 92 0 0 0 12 3 0 0 20 0 1 0 100 0 0\n"
_STATUS = (
    b"Name:\t%s\nState:\tR (running)\nSigPnd:\t0\nSigBlk:\tff\nSigCgt:\t0\nSigIgn:\t0\nShdPnd:\t0\n"
    b"voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6\n"
)
_MAPS = b"7f0000-7f1000 r-xp 00000000 08:01 42                         /lib/%s\n"
_PIECES = (
    b")",
    b"(",
    b") R 1",
    b" ",
    b"\t",
    b"\\012",
    b"\x1b[2J",
    b"\xff",
    b"\xe2\x80\xae",
    b"\xc2\x85",
    b"\x0c",
    b"\x1c",
    b"SigBlk:",
    b" (deleted)",
    b"a" * 4000,
)

_LONGEST_NAME = 15
"""The length to which the kernel truncates a thread's name, in bytes."""


def _name(random: Random) -> bytes:
    return b"".join(random.choices(_PIECES, k=random.randrange(6)))


@part(seconds=60, quick=True)
def fuzz_proc(budget: Budget) -> Iterator[Figure]:
    """Look at processes and mapped files that have any name."""
    root = budget.folder / "proc"
    thread = root / "7" / "task" / "7"
    thread.mkdir(parents=True)
    wrong = 0

    def feed(name: bytes) -> None:
        nonlocal wrong
        for folder in (thread, thread.parent.parent):
            (folder / "stat").write_bytes(_STAT % name[:_LONGEST_NAME])
            (folder / "status").write_bytes(_STATUS % name[:_LONGEST_NAME])
            (folder / "wchan").write_bytes(b"0")
            (folder / "maps").write_bytes(_MAPS % name)
        (parsed,) = procfs.threads(7)
        looks = [look[:2] for look in signal_looks.looks_at_signals(7, 7, 2)]
        mapped = memory.mappings(7)
        shown = parsed.name + "".join(each.path for each in mapped)
        right = (parsed.state, parsed.cpu_ticks, parsed.switches) == ("R", 15, 11)
        wrong += not (right and looks == [(0, 255)] * 2 and shown.isprintable())

    def path_inside(path: object) -> Path:
        return root / str(path).removeprefix("/proc/")

    patches = (
        mock.patch.object(proc_files, "PROC", root),
        mock.patch.object(memory, "Path", path_inside),
    )
    with patches[0], patches[1]:
        yield from fuzz(budget, randomly(_name), feed)
    yield Figure("names that changed what was read", wrong, at_most=0)
