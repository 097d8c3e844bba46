"""Gets musl's loader from the Debian package `musl`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun.debian import Apt, unpack
from gobun.errors import FetchError

if TYPE_CHECKING:
    from pathlib import Path

SUITE = "trixie"
"""The first Debian release whose musl, 1.2.5, runs current programs: bookworm's lacks RELR."""

_LOADER_HINT = "give the path of a musl loader of 1.2.5 or newer: --loader PATH"


def fetch_loader(arch: str, staged: Path) -> Path:
    """Return musl's loader for Debian's ``arch`` (``amd64``, ``arm64``), unpacked below ``staged``.

    Raises:
        PrerequisiteError: apt is missing, or this is not Debian.
        FetchError: the package could not be fetched or unpacked.
    """
    package = Apt(arch, SUITE, staged, hint=_LOADER_HINT).download("musl")
    unpack(package, staged / "package")
    loaders = sorted((staged / "package").rglob("libc.so"))
    if len(loaders) != 1:
        raise FetchError(f"{package.name} has no loader", hint=_LOADER_HINT)
    return loaders[0]
