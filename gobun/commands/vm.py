"""The task that runs the matrix in a virtual machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun.commands.cli import (
    Selection,
    command,
    given_path,
    optional_integer,
    run_flags,
    with_cell_selection,
)
from gobun.pipeline import Request
from gobun.vm import run as guests
from gobun.vm.shell import open_shell

if TYPE_CHECKING:
    from invoke.context import Context


@command
@with_cell_selection
def vm(
    _: Context,
    cells: Selection,
    arch: str = "arm64",
    release: str = "bookworm",
    memory: str = str(guests.MEMORY_MIB),
    cores: str = "",
    mirror: str = "",
    emulate: bool = False,
    shell: bool = False,
    out: str = "report",
    jobs: str = "",
    limit: str = "",
    repeat: str = "1",
    resume: bool = False,
    shard: str = "",
    durations: str = "",
    core: bool = False,
    libc: str = "",
) -> None:
    """Run the matrix in a virtual machine of another processor, kernel or C library."""
    wanted = guests.MachineRequest(
        arch=arch,
        release=release,
        memory_mib=optional_integer(memory, "--memory") or 0,
        cores=optional_integer(cores, "--cores"),
        mirror=mirror,
        emulate=emulate,
    )
    if shell:
        code = open_shell(wanted, given_path(out))
        if code:
            raise SystemExit(code)
        return
    request = Request(
        runtimes=cells.runtime,
        versions=cells.versions,
        treatments=cells.treatment,
        modules=cells.module,
        loads=cells.load,
        stresses=cells.stress,
        **run_flags(out, jobs, limit, repeat, resume=resume),
        shard=shard,
        durations=given_path(durations) if durations else None,
        core=core,
        libc=libc,
    )
    guests.run_in_guest(request, wanted)
