"""The task that runs the matrix in a virtual machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun.commands.cli import command, given_path, optional_integer
from gobun.commands.run_flags import CellFlags, MatrixFlags, with_flags
from gobun.pipeline import Request
from gobun.vm import run as guests
from gobun.vm.shell import open_shell

if TYPE_CHECKING:
    from invoke.context import Context


@command
@with_flags("cells", CellFlags)
@with_flags("run", MatrixFlags)
def vm(
    _: Context,
    cells: CellFlags,
    arch: str = "arm64",
    release: str = "bookworm",
    kernel: str = "",
    memory: str = str(guests.MEMORY_MIB),
    cores: str = "",
    mirror: str = "",
    emulate: bool = False,
    sve: bool = False,
    shell: bool = False,
    *,
    run: MatrixFlags,
) -> None:
    """Run the matrix in a virtual machine of another processor, kernel or C library."""
    request = guests.MachineRequest(
        arch=arch,
        release=release,
        kernel=kernel,
        memory_mib=optional_integer(memory, "--memory") or 0,
        cores=optional_integer(cores, "--cores"),
        mirror=mirror,
        emulate=emulate,
        sve=sve,
    )
    if shell:
        code = open_shell(request, given_path(run.out))
        if code:
            raise SystemExit(code)
        return
    guests.run_in_guest(Request(**cells.fields(), **run.fields()), request)
