"""Runs a job inside a guest: ``python -m gobun.vm.guest FOLDER``."""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console, matrix
from gobun.errors import GobunError
from gobun.matrix.results import this_host
from gobun.vm.job import BEAT_NAME, STARTED_NAME, Job, read_job
from gobun.vm.speed import Slowness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gobun.cells import Cell, Header, Result

BEAT_EVERY_S = 5.0


def main(folder: Path) -> int:
    """Run the job in ``folder`` and return the exit code of the guest."""
    with _heartbeat(folder / BEAT_NAME):
        job = read_job(folder)
        slowness = Slowness(job.reference_s)
        console.log(f"this machine is {slowness.usual_factor:.1f} times slower than the host")
        context = msgspec.structs.replace(job.context, slowness=slowness)
        try:
            _run(context, job, folder)
        except GobunError as error:
            console.log(str(error))
            return error.exit_code
    return 0


def _run(context: matrix.RunContext, job: Job, folder: Path) -> None:
    header = _own_header(job)
    started = (folder / STARTED_NAME).open("ab", buffering=0)
    lock = threading.Lock()

    def note(cell: Cell) -> None:
        with lock:
            started.write(msgspec.json.encode(cell) + b"\n")

    with (
        contextlib.closing(started),
        contextlib.closing(matrix.journal_for(context, header, job.cells, resume=job.resume)) as it,
        matrix.Writer(job.out / matrix.FILE_NAME, header, job.kept) as writer,
    ):

        def record(result: Result) -> None:
            repro = matrix.repro_in_guest(result.repro, job.again)
            writer.add(msgspec.structs.replace(result, repro=repro))

        matrix.run_cells(
            context, job.cells, jobs=job.jobs, record=record, journal=it, on_start=note
        )


def _own_header(job: Job) -> Header:
    """Return the header of the run with the facts of this machine."""
    host = this_host(job.header.host.libc if job.header.host.libc.startswith("musl") else "")
    host = msgspec.structs.replace(host, machine=job.machine, emulated=job.emulated)
    return msgspec.structs.replace(job.header, host=host)


@contextlib.contextmanager
def _heartbeat(path: Path) -> Iterator[None]:
    """Change a file every few seconds, so that the host sees that this machine is alive."""
    stopped = threading.Event()

    def beat() -> None:
        number = 0
        while True:
            number += 1
            with contextlib.suppress(OSError):
                path.write_text(f"{number}\n")
            if stopped.wait(BEAT_EVERY_S):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(BEAT_EVERY_S)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
