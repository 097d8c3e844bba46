"""Runs a guest from start to end, and never lets it outlive the harness."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import build, files, paths
from gobun.matrix.able_time import AbleClock
from gobun.matrix.supervised_process import Launch, SupervisedProcess
from gobun.printable import printable
from gobun.process import tool_environment
from gobun.targets import host_target
from gobun.vm import job, qemu
from gobun.vm.image import SITE, Image
from gobun.vm.qemu import Emulator, Machine, Share

if TYPE_CHECKING:
    from collections.abc import Callable


_LISTEN_S = 0.5
_SIGNALS = 128
"""A shell adds the number of the signal that ended a program to this."""
_REPORT_BYTES = 1 << 16
_PANIC = re.compile(r"Kernel panic - not syncing: ([^\r\n]*)")
_OWN_LINE = re.compile(r"^gobun: ([^\r\n]*)", re.MULTILINE)
_OOM = re.compile(r"Out of memory: [^\r\n]*")


class Patience(msgspec.Struct, frozen=True):
    """How long a guest may be silent, in seconds in which it could run."""

    boot_s: float
    """Until it runs the job."""
    silent_s: float
    """Afterwards."""

    @classmethod
    def for_guest(cls, *, emulated: bool) -> Patience:
        """Return ample limits for an emulated or a native guest."""
        return cls(600.0, 300.0) if emulated else cls(120.0, 60.0)


class GuestEnd(msgspec.Struct, frozen=True):
    """How a guest ended."""

    code: int | None
    """The exit code of the job, or None if the machine ended first."""
    reason: str
    """The reason why the machine ended first, or the last lines of the job's log."""

    @property
    def ended_early(self) -> bool:
        """Whether the machine or a signal ended the job before its own end."""
        return self.code is None or self.code > _SIGNALS


class Guest(msgspec.Struct, frozen=True):
    """The image, machine and folders of one run of a guest."""

    emulator: Emulator
    image: Image
    machine: Machine
    shares: tuple[Share, ...]
    """Further folders that the guest mounts."""
    folder: Path
    """The private folder of this run: the job's folder and the console are below it."""

    @property
    def job_folder(self) -> Path:
        """The folder that the guest sees as ``job.GUEST_FOLDER``."""
        return self.folder / "job"

    @property
    def console_folder(self) -> Path:
        """The folder of the serial port and its log."""
        return self.folder / "console"

    def prepare(self, start: str) -> None:
        """Make the folders, and write the list of shares and the script ``start`` for the guest.

        Raises:
            PrerequisiteError: a folder cannot be written.
        """
        for each in (self.job_folder, self.console_folder):
            with files.disk_errors(each):
                each.mkdir(parents=True, exist_ok=True)
        (self.job_folder / job.CODE_NAME).unlink(missing_ok=True)
        (self.job_folder / job.BEAT_NAME).unlink(missing_ok=True)
        lines = [f"{each.tag}\t{each.mount_options}\t{each.folder}\n" for each in self.shares]
        files.write_whole(self.job_folder / job.SHARES_NAME, "".join(lines))
        files.write_whole(self.job_folder / job.START_NAME, start)

    def start(self) -> SupervisedProcess:
        """Start the machine. It ends with the context of the result, or with this process.

        Raises:
            PrerequisiteError: it cannot be started.
        """
        own = qemu.Share("job", self.job_folder, writable=True)
        words = qemu.command(
            self.emulator, self.image, self.machine, (own, *self.shares), self.console_folder
        )
        launch = Launch(words, self.folder, tool_environment())
        return SupervisedProcess(build.build_supervise(host_target()), launch)

    def end(self, child: SupervisedProcess) -> GuestEnd:
        """Return how the machine of ``child`` ended."""
        code = _read_log(self.job_folder / job.CODE_NAME).strip()
        if code.isdigit():
            return GuestEnd(int(code), last_lines(_read_log(self.job_folder / job.LOG_NAME)))
        output = child.printed_text.strip()
        return GuestEnd(None, why_ended(_read_log(self.console_folder / "log"), output))

    def watch(
        self, child: SupervisedProcess, patience: Patience, on_look: Callable[[], None]
    ) -> GuestEnd:
        """Wait until the machine ends, or end it if it is silent for too long.

        ``on_look`` is called about twice a second.
        """
        beat, clock = "", AbleClock(patience.boot_s, time.monotonic())
        while not child.is_over:
            child.listen(_LISTEN_S)
            on_look()
            now = time.monotonic()
            if clock.is_due(now):
                clock.look(() if child.pid is None else (child.pid,), now)
            latest = _read_log(self.job_folder / job.BEAT_NAME)
            if latest != beat:
                beat, clock = latest, AbleClock(patience.silent_s, now)
            if clock.is_over or clock.out_of_patience:
                child.finish()
                return self._silent_end(child, clock, has_started=bool(beat))
        child.finish()
        return self.end(child)

    def _silent_end(
        self, child: SupervisedProcess, clock: AbleClock, *, has_started: bool
    ) -> GuestEnd:
        """Return the end of a machine that was ended because it was silent."""
        reason = "gave no sign of life" if has_started else "did not start"
        end = self.end(child)
        note = f"; its console says: {end.reason}" if end.reason else ""
        return GuestEnd(
            None, f"the guest {reason} in {clock.able_s:.0f} s in which it could run{note}"
        )


def start_script(command: str, *, bytecode: Path) -> str:
    """Return the script that a guest runs after it has mounted everything.

    It runs ``command``, a line of shell, and then ends the guest. ``bytecode`` is the folder for
    Python's compiled files.
    """
    folder = job.GUEST_FOLDER
    variables = {
        "GOBUN_CACHE": paths.cache_root(),
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": f"{paths.ROOT}:/{SITE}",
        "PYTHONPYCACHEPREFIX": bytecode,
    }
    lines = [f"export {name}={shlex.quote(str(value))}" for name, value in variables.items()]
    return "\n".join(
        [
            "busybox ip link set lo up",
            *lines,
            f"cd {shlex.quote(str(paths.ROOT))}",
            command,
            f"echo $? > {folder}/{job.CODE_NAME}",
            "busybox sync",
            "busybox poweroff -f",
            "",
        ]
    )


def last_lines(text: str, count: int = 15) -> str:
    """Return the last lines of a log, safe to print."""
    return printable("\n".join(text.strip().splitlines()[-count:]), kept_characters="\n")


def why_ended(console: str, output: str) -> str:
    """Return why a machine ended: the reason on its console, or the last lines of ``output``."""
    for pattern in (_PANIC, _OWN_LINE, _OOM):
        reasons = pattern.findall(console)
        if reasons:
            lead = "kernel panic: " if pattern is _PANIC else ""
            return printable(f"{lead}{reasons[-1]}").strip()
    return last_lines(output or console, 3)


def _read_log(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _REPORT_BYTES))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
