"""The one table of guests' processors, and the Debian releases that guests run."""

from __future__ import annotations

import re

import msgspec

from gobun.errors import UsageError
from gobun.targets import TARGETS, Target


class Architecture(msgspec.Struct, frozen=True):
    """A processor as the suite, Debian and QEMU name it."""

    name: str
    """As Node names it."""
    debian: str
    program: str
    """QEMU's program."""
    package: str
    """Debian's package of that program."""
    board: str
    """The value of ``-machine``."""
    console: str
    """The kernel's name of the first serial port."""
    host_cpu: str = "host"
    """The value of ``-cpu`` under KVM."""
    emulated_cpu: str = "max"
    """The same for an emulated machine."""
    without_sve: tuple[str, ...] = ()
    """The kernel's parameters that switch SVE off."""

    @property
    def target(self) -> Target:
        """The platform of the guest's own programs."""
        return TARGETS[f"linux-{self.name}"]


ARCHITECTURES = {
    each.name: each
    for each in (
        Architecture(
            *("arm64", "arm64", "qemu-system-aarch64", "qemu-system-arm", "virt", "ttyAMA0"),
            # Authenticate pointers with a quick hash: the usual one takes most of the time.
            emulated_cpu="max,pauth-impdef=on",
            # By default: see "Without SVE" in docs/arm64.md.
            without_sve=("arm64.nosve",),
        ),
        Architecture(
            *("x64", "amd64", "qemu-system-x86_64", "qemu-system-x86", "q35", "ttyS0"),
            # A host that is itself a guest may refuse this register, and nothing here needs it.
            host_cpu="host,arch-capabilities=off",
        ),
    )
}

_FLAVOUR = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

RELEASES = {"bookworm": "3.11", "trixie": "3.13"}
"""Debian release to its version of Python, which decides the wheels."""


def architecture(name: str) -> Architecture:
    """Return the architecture called ``name``.

    Raises:
        UsageError: there is none.
    """
    if name not in ARCHITECTURES:
        raise UsageError.unknown("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def check_kernel(flavour: str) -> None:
    """Reject a flavour of the kernel that cannot be part of a package's name.

    Raises:
        UsageError: ``flavour`` is neither empty nor such a part.
    """
    if flavour and not _FLAVOUR.fullmatch(flavour):
        raise UsageError(
            f"--kernel {flavour!r} is not a kernel flavour",
            hint="give NAME of a package linux-image-NAME, such as arm64-16k",
        )


def check_release(name: str) -> None:
    """Reject a Debian release that has no image.

    Raises:
        UsageError: it is none of ``RELEASES``.
    """
    if name not in RELEASES:
        raise UsageError.unknown("Debian release", name, RELEASES)
