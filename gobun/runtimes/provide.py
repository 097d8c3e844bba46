"""From names and versions a person gave to executables that can run cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import toolchain
from gobun.runtimes.bun import choose_bun, provide_bun
from gobun.runtimes.deno import provide_deno
from gobun.runtimes.node import provide_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.runtimes.base import Runtime
    from gobun.targets import Target

RUNTIMES = ("bun", "node", "deno")
"""Only Bun comes in several versions; the others are the pinned ones."""


def choose_versions(name: str, spec: str, target: Target) -> tuple[str, ...]:
    """Return the versions of a runtime that ``spec`` means, or the pinned one.

    Raises:
        UsageError: a part of ``spec`` is not understood, or matches no version.
        FetchError: the registry had to be asked, and could not be.
    """
    return choose_bun(spec, target) if name == "bun" else (toolchain.pins()[name],)


def provide_runtimes(name: str, versions: Sequence[str], target: Target) -> list[Runtime]:
    """Return the executables of a runtime, fetched or built for if need be.

    Raises:
        PrerequisiteError: the pinned one is missing.
        FetchError: a download failed, or is not what the lock file names.
        BuildError: what Node needs beside it could not be built.
    """
    if name == "node":
        return [provide_node(target)]
    if name == "deno":
        return [provide_deno()]
    return list(provide_bun(versions, target))
