"""Gets libasherah as its makers publish it, from their Python package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gobun import toolchain, wheels

if TYPE_CHECKING:
    from gobun.targets import Target

_PACKAGE = "asherah"


def published_asherah(target: Target) -> Path:
    """Return the published library for ``target``, fetched if it is missing.

    Raises:
        PrerequisiteError: pip is missing, or the disk refuses.
        FetchError: the package could not be fetched, or is not what the lock file names.
    """
    arch = target.arch
    library = Path(_PACKAGE) / "libasherah" / f"libasherah-{arch}{target.library_suffix}"
    version = toolchain.pip_pins()[_PACKAGE]
    return wheels.installed(wheels.WheelRequest(_PACKAGE, version, _PACKAGE, library, "Asherah"))
