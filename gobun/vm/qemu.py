"""Finds QEMU, and writes its command line."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun.errors import PrerequisiteError
from gobun.process import run_tool
from gobun.targets import host_target
from gobun.vm.architectures import Architecture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.vm.image import Image

KVM = Path("/dev/kvm")
_KVM_GET_API_VERSION = 0xAE00
_KVM_API = 12
_SPARE_MIB = 512
"""Memory reserved for the host and for QEMU itself, in addition to the guest's memory."""
LEAST_MEMORY_MIB = 1024


class Emulator(msgspec.Struct, frozen=True):
    """QEMU's program for one processor, and how it runs guests here."""

    arch: Architecture
    program: Path
    version: str
    no_kvm: str
    """The reason for emulating every instruction, or empty if KVM runs the guest."""

    @property
    def is_emulated(self) -> bool:
        """Whether every instruction is emulated."""
        return bool(self.no_kvm)

    @property
    def name(self) -> str:
        """Its name in results."""
        return f"QEMU {self.version}, " + ("emulated" if self.is_emulated else "KVM")


class Share(msgspec.Struct, frozen=True):
    """A folder of the host that a guest sees at the same path, except for the job's folder."""

    tag: str
    folder: Path
    writable: bool = False

    @property
    def mount_options(self) -> str:
        """The guest's mount options. A guest may cache a read-only share: nothing changes it."""
        return "cache=none,rw" if self.writable else "cache=loose,ro"


class Machine(msgspec.Struct, frozen=True):
    """The size of a guest, and what its kernel uses of the processor."""

    cores: int
    memory_mib: int
    sve: bool = False
    """Whether the kernel of an arm64 guest may use SVE."""


def find_emulator(arch: Architecture, *, emulate: bool = False) -> Emulator:
    """Return QEMU for ``arch``. With ``emulate``, it emulates even where KVM is available.

    Raises:
        PrerequisiteError: it is not installed, or does not run.
    """
    program = shutil.which(arch.program)
    hint = f"apt-get install --no-install-recommends {arch.package} ipxe-qemu"
    if program is None:
        raise PrerequisiteError(f"{arch.program} is not installed", hint=hint)
    completed = run_tool([program, "--version"], timeout_s=30.0)
    version = re.search(r"version (\d+[\d.]*)", completed.out)
    if completed.code != 0 or version is None:
        raise PrerequisiteError(f"{program} does not run:\n{completed.tail}", hint=hint)
    return Emulator(
        arch, Path(program), version[1], "you asked for it" if emulate else why_no_kvm(arch)
    )


def why_no_kvm(arch: Architecture) -> str:
    """Return why KVM cannot run a guest of ``arch``, or an empty text if it can."""
    host = host_target()
    if host.arch != arch.name:
        return f"this machine is {host.arch}"
    try:
        fd = os.open(KVM, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"{KVM}: {error.strerror}"
    try:
        if fcntl.ioctl(fd, _KVM_GET_API_VERSION) != _KVM_API:
            return f"{KVM} is of another version"
    except OSError as error:
        return f"{KVM}: {error.strerror}"
    finally:
        os.close(fd)
    return ""


def check_memory(memory_mib: int) -> None:
    """Reject a guest with too little memory for the matrix, or too much for this machine.

    Raises:
        PrerequisiteError: ``memory_mib`` is less than the matrix needs, or more than is available.
    """
    if memory_mib < LEAST_MEMORY_MIB:
        raise PrerequisiteError(
            f"a guest with {memory_mib} MiB of memory cannot run the matrix",
            hint=f"give --memory {LEAST_MEMORY_MIB} or more",
        )
    available = available_mib()
    if available is not None and available < memory_mib + _SPARE_MIB:
        raise PrerequisiteError(
            f"a guest with {memory_mib} MiB of memory does not fit: {available} MiB are available",
            hint="end other programs, or give less with --memory",
        )


def available_mib() -> int | None:
    """Return the memory that programs can still use, in MiB; None if it is unknown."""
    try:
        match = re.search(
            r"^MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE
        )
    except OSError:
        return None
    return int(match[1]) // 1024 if match else None


def command(
    emulator: Emulator, image: Image, machine: Machine, shares: Sequence[Share], console: Path
) -> list[str]:
    """Return the command line that runs a guest.

    ``console`` is a folder for the socket of the guest's serial port and for a log of the port's
    output.
    """
    arch = emulator.arch
    words = [str(emulator.program), "-nodefaults", "-no-user-config", "-no-reboot"]
    words += ["-display", "none", "-machine", arch.board]
    words += ["-accel", "tcg" if emulator.is_emulated else "kvm"]
    words += ["-cpu", arch.emulated_cpu if emulator.is_emulated else arch.host_cpu]
    words += ["-smp", str(machine.cores), "-m", str(machine.memory_mib)]
    words += ["-kernel", str(image.kernel), "-initrd", str(image.initrd)]
    without_sve = () if machine.sve else arch.without_sve
    words += ["-append", " ".join((f"console={arch.console} quiet panic=-1", *without_sve))]
    port = f"socket,id=console,path={_escape_option(console / 'socket')},server=on,wait=off"
    words += ["-chardev", f"{port},logfile={_escape_option(console / 'log')}"]
    words += ["-serial", "chardev:console"]
    disk = f"file={_escape_option(image.disk)},format=raw,if=none,id=disk,readonly=on"
    words += ["-drive", disk, "-device", "virtio-blk-pci,drive=disk"]
    words += ["-device", "virtio-rng-pci"]
    for share in shares:
        access = "" if share.writable else ",readonly=on"
        words += ["-fsdev", f"local,id={share.tag},path={_escape_option(share.folder)}"]
        words[-1] += f",security_model=none,multidevs=remap{access}"
        words += ["-device", f"virtio-9p-pci,fsdev={share.tag},mount_tag={share.tag}"]
    return words


def _escape_option(path: Path) -> str:
    """Escape a path for an option of QEMU, where a comma would end the value."""
    return str(path).replace(",", ",,")
