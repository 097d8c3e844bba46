"""Opens a shell in a guest, at a terminal or with a script on standard input."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import termios
import time
import tty
from typing import TYPE_CHECKING

from gobun import files
from gobun.errors import PrerequisiteError
from gobun.scratch import scratch_folder
from gobun.vm import job
from gobun.vm.boot import Guest, start_script
from gobun.vm.image import image_for
from gobun.vm.run import check_request, machine_of, pycache, shared_folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gobun.matrix.supervised_process import SupervisedProcess
    from gobun.vm.run import MachineRequest

_SCRIPT_NAME = "script"
_CONNECT_WITHIN_S = 20.0
_CHUNK = 1 << 16
_PAUSE_S = 0.2


def open_shell(request: MachineRequest, out: Path) -> int:
    """Run a shell in a guest until it ends, and return its exit code.

    At a terminal the shell is interactive. Otherwise standard input is a script, and its output is
    printed here.

    Raises:
        UsageError: there is no such processor or release.
        PrerequisiteError: QEMU, memory or disk space is missing, or the guest ended early.
        FetchError: a package could not be fetched.
    """
    emulator = check_request(request)
    image = image_for(request.image)
    with files.disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    interactive = sys.stdin.isatty()
    line = "busybox setsid busybox cttyhack /bin/bash -i"
    if not interactive:
        line = f"/bin/bash {job.GUEST_FOLDER / _SCRIPT_NAME} < /dev/null"
    with scratch_folder("vm") as folder:
        guest = Guest(emulator, image, machine_of(request), shared_folders(request, out), folder)
        guest.prepare(start_script(line, bytecode=pycache(request)))
        if not interactive:
            files.write_whole(guest.job_folder / _SCRIPT_NAME, sys.stdin.buffer.read())
        with guest.start() as child:
            port = _console(guest.console_folder / "socket", child)
            if port is not None:
                with port:
                    _bridge(child, port, typed=interactive)
            child.finish()
        end = guest.end(child)
    if end.code is None:
        raise PrerequisiteError(
            f"the guest ended early: {end.reason}", hint="try more with --memory"
        )
    return end.code


def _console(path: Path, child: SupervisedProcess) -> socket.socket | None:
    """Return the guest's serial port once QEMU has opened it; None if QEMU ends first.

    Raises:
        PrerequisiteError: it takes too long.
    """
    port = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + _CONNECT_WITHIN_S
    while time.monotonic() < deadline:
        child.listen(_PAUSE_S)
        if child.is_over:
            break
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            port.connect(str(path))
            return port
        time.sleep(_PAUSE_S)
    port.close()
    if child.is_over:
        return None
    raise PrerequisiteError(
        f"QEMU did not open its console within {_CONNECT_WITHIN_S:.0f} s",
        hint="run it again: the machine may be too busy",
    )


def _bridge(child: SupervisedProcess, port: socket.socket, *, typed: bool) -> None:
    """Carry bytes between this terminal and the guest until the guest ends."""
    keyboard = sys.stdin.fileno() if typed else -1
    with _raw_terminal(keyboard) if typed else contextlib.nullcontext():
        while not child.is_over:
            child.listen(0.0)
            ready, _, _ = select.select([port, *([keyboard] if typed else [])], [], [], _PAUSE_S)
            if keyboard in ready:
                port.sendall(os.read(keyboard, _CHUNK))
            if port in ready:
                data = b""
                with contextlib.suppress(ConnectionResetError):  # the guest reports its end itself
                    data = port.recv(_CHUNK)
                if not data:
                    child.listen(_PAUSE_S)
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()


@contextlib.contextmanager
def _raw_terminal(fd: int) -> Iterator[None]:
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
