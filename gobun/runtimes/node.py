"""Node: the control runtime, from PyPI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from gobun import build, toolchain

if TYPE_CHECKING:
    from gobun.build import Fixture
    from gobun.targets import Target


class Node(msgspec.Struct, frozen=True):
    """A Node executable."""

    engine: ClassVar[str] = "V8"
    lack: ClassVar[str] = ""

    version: str
    program: Path
    dlcall: Path
    """The addon that makes foreign function calls, because Node itself has no such function."""

    @property
    def name(self) -> str:
        """``node``."""
        return "node"

    def command(self, script: Path, argument: str) -> list[str]:
        """Return the command that runs ``script`` with ``gc()``."""
        return [str(self.program), "--expose-gc", str(script), argument]

    def settings(self, module: Fixture) -> dict[str, str]:
        """Return the paths of the library, the addon, and the addon for foreign function calls."""
        return {
            "library": str(module.library),
            "addon": str(module.addon),
            "dlcall": str(self.dlcall),
        }


def provide_node(target: Target, version: str | None = None) -> Node:
    """Return Node in a version, by default the pinned one.

    Raises:
        PrerequisiteError: the pinned Node or Zig is missing.
        UsageError: there is no such version.
        BuildError: the addon for foreign function calls could not be built.
        FetchError: that version, or Node's headers, could not be fetched.
    """
    tool = toolchain.node(version)
    return Node(tool.version, tool.program, build.build_dlcall(target))
