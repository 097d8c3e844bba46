"""Runtimes for musl: the machine's own or, on a glibc machine, those in a cached sysroot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from gobun import build, sysroot, toolchain
from gobun.runtimes.bun import lacks_build, provide_bun
from gobun.runtimes.node import Node, provide_node
from gobun.targets import host_target
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.build import Fixture
    from gobun.runtimes.base import Runtime
    from gobun.targets import Target


class NoBuild(msgspec.Struct, frozen=True):
    """A release without a build for musl. Its cells are skipped, with ``lack`` as the reason."""

    engine: ClassVar[str] = ""

    name: str
    version: str

    @property
    def program(self) -> Path:
        """The name of the missing program."""
        return Path(self.name)

    @property
    def lack(self) -> str:
        """The reason why no cell can run."""
        release = "Deno" if self.name == "deno" else f"{self.name.capitalize()} {self.version}"
        return f"{release} has no build for musl"

    def command(self, script: Path, argument: str) -> list[str]:
        """Return the command that a cell would run."""
        return [self.name, str(script), argument]

    def settings(self, module: Fixture) -> dict[str, str]:
        """Return no settings, because nothing is loaded."""
        del module
        return {}


def foreign_libc(target: Target, machine: Target | None = None) -> str:
    """Return the C library of ``target`` and its version; ``""`` if ``target`` is ``machine``.

    ``machine`` is the platform that runs the cells, by default this machine.

    Raises:
        PrerequisiteError: the sysroot cannot be assembled.
        FetchError: a part of it could not be fetched.
    """
    if target == (machine or host_target()):
        return ""
    return f"{target.libc} {sysroot.sysroot_for(target.name).version}"


def provide(name: str, versions: Sequence[str], target: Target) -> list[Runtime]:
    """Return the executables of a runtime for musl.

    Raises:
        PrerequisiteError: the pinned Node or another tool is missing, or the sysroot cannot be
            assembled.
        UsageError: there is no such version.
        FetchError: a download failed, or does not match the lock file.
        BuildError: the addon that Node needs could not be built.
    """
    if name == "deno":
        return [NoBuild(name, version) for version in versions]
    absent = {each for each in versions if name == "bun" and lacks_build(each, target)}
    available = [version for version in versions if version not in absent]
    provided = _provide(name, available, target) if available else []
    return [*(NoBuild(name, each) for each in sorted(absent, key=rank)), *provided]


def _provide(name: str, versions: Sequence[str], target: Target) -> list[Runtime]:
    if target == host_target():
        if name == "node":
            return [provide_node(target, version) for version in versions]
        return list(provide_bun(versions, target))
    root = sysroot.sysroot_for(target.name)
    if name == "node":
        program = root.program(root.node)
        return [Node(toolchain.pins()["node"], program, build.build_dlcall(target))]
    return [
        msgspec.structs.replace(bun, program=root.program(bun.program))
        for bun in provide_bun(versions, target)
    ]
