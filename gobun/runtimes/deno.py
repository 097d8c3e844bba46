"""Deno: another runtime on V8, with its own foreign function interface; from PyPI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from gobun import toolchain

if TYPE_CHECKING:
    from gobun.build import Fixture


class Deno(msgspec.Struct, frozen=True):
    """A Deno executable."""

    engine: ClassVar[str] = "V8"
    lack: ClassVar[str] = ""

    version: str
    program: Path

    @property
    def name(self) -> str:
        """``deno``."""
        return "deno"

    def command(self, script: Path, argument: str) -> list[str]:
        """Return the command that runs ``script`` with all permissions and with ``gc()``."""
        flags = ["--quiet", "--no-lock", "--allow-all", "--v8-flags=--expose-gc"]
        return [str(self.program), "run", *flags, str(script), argument]

    def settings(self, module: Fixture) -> dict[str, str]:
        """Return the paths of the library and the addon."""
        return {"library": str(module.library), "addon": str(module.addon)}


def provide_deno(version: str) -> Deno:
    """Return Deno in a version.

    Raises:
        PrerequisiteError: the pinned one is missing, or this machine has musl.
        UsageError: there is no such version.
        FetchError: it could not be fetched.
    """
    tool = toolchain.deno(version)
    return Deno(tool.version, tool.program)
