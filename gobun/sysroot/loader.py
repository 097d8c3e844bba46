"""Recognises musl's loader, which is its C library too, and reads its version."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from gobun.errors import UsageError
from gobun.targets import host_target

if TYPE_CHECKING:
    from gobun.targets import Target

_OLDEST_MUSL = "1.2.5"
_VERSION = re.compile(rb"\0(\d+\.\d+\.\d+)(?:-\w+)*\0")


def loader_name(target: Target) -> str:
    """Return the file name of the loader for a musl target."""
    return f"ld-musl-{target.machine}.so.1"


def own_loader() -> Path | None:
    """Return the loader of a machine with musl; None on a machine with another C library."""
    host = host_target()
    return Path("/lib") / loader_name(host) if host.libc == "musl" else None


def check_loader(loader: Path) -> None:
    """Reject a file that is not musl's loader, or is too old for current programs.

    Raises:
        UsageError: the loader cannot be used.
    """
    if not (loader.is_file() and b"musl libc (" in loader.read_bytes()):
        raise UsageError(
            f"{loader} is not musl's loader", hint="give the path of musl's ld-musl-*.so.1"
        )
    if Version(loader_version(loader)) < Version(_OLDEST_MUSL):
        raise UsageError(
            f"{loader} is older than musl {_OLDEST_MUSL}, and current programs crash in it",
            hint="give the loader of a newer musl",
        )


def loader_version(loader: Path) -> str:
    """Return the version of musl that a loader belongs to; ``0`` if it does not have one."""
    match = _VERSION.search(loader.read_bytes()) if loader.is_file() else None
    return match[1].decode() if match else "0"


def own_libc() -> str:
    """Return the C library of this machine and its version: ``glibc 2.36`` or ``musl 1.2.5``.

    Python's ``platform.libc_ver`` does not recognise musl.
    """
    loader = own_loader()
    if loader is not None:
        return f"musl {loader_version(loader)}"
    return " ".join(platform.libc_ver()).strip() or "unknown"
