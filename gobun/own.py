"""A person's own addon in the place of the suite's modules."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gobun import audit, matrix
from gobun.build import Fixture
from gobun.errors import UsageError
from gobun.targets import host_target

LOADS: tuple[matrix.Load, ...] = ("napi-sync", "worker")
"""Where a smoke script can run: on the main thread, or in a worker."""


class OwnAddon(msgspec.Struct, frozen=True):
    """An addon, and the script that loads and checks it."""

    addon: Path
    smoke: Path
    """Exports ``load(addon)`` and ``check(loaded)``, either may be asynchronous."""

    @property
    def name(self) -> str:
        """What the module is called in results."""
        return self.addon.stem

    @property
    def fixture(self) -> Fixture:
        """The addon as the matrix takes modules."""
        return Fixture(self.name, self.addon, self.addon)


def own_addon(addon: str, smoke: str) -> OwnAddon | None:
    """Return the addon a person named, or None where none is.

    Raises:
        UsageError: one of the two is missing, or the addon is not for this machine.
    """
    if not addon and not smoke:
        return None
    if not addon or not smoke:
        given, missing = ("--addon", "--smoke") if addon else ("--smoke", "--addon")
        raise UsageError(
            f"{given} is given without {missing}",
            hint="the smoke script says how the addon is loaded and checked",
        )
    script = Path(smoke).absolute()
    if not script.is_file():
        raise UsageError(f"there is no smoke script {smoke}", hint="give the path of a .js file")
    path = Path(addon).absolute()
    _check_fits(path)
    return OwnAddon(path, script)


def with_addon(axes: matrix.Axes, addon: OwnAddon, *, loads_given: bool) -> matrix.Axes:
    """Return the axes with the addon as the one module, loaded as a smoke script can be.

    Raises:
        UsageError: a load was asked for that a smoke script does not decide.
    """
    loads = axes.loads if loads_given else LOADS
    for load in loads:
        if load not in LOADS:
            raise UsageError(
                f"--load {load} is not for an addon of your own: its smoke script loads it",
                hint=f"use {' or '.join(LOADS)}",
            )
    return msgspec.structs.replace(axes, modules=(addon.name,), loads=loads)


def _check_fits(path: Path) -> None:
    report = audit.inspect(path)
    host = host_target()
    if report.target != host.name:
        raise UsageError(
            f"{path} is built for {report.target}, and this machine is {host.name}",
            hint="give the build for this platform",
        )
    if report.libc == "musl":
        raise UsageError(
            f"{path} is linked against musl, and the runtimes here against glibc",
            hint="give the glibc build",
        )
