"""What every runtime under test offers the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.build import Fixture


class LacksError(Exception):
    """A runtime was asked, and does not have what a cell needs."""


class Runtime(Protocol):
    """An executable under test."""

    @property
    def name(self) -> str:
        """``bun``, ``node`` or ``deno``."""

    @property
    def version(self) -> str:
        """Its version, without a leading ``v``."""

    @property
    def program(self) -> Path:
        """The executable."""

    def command(self, script: Path, argument: str) -> list[str]:
        """Return the command that runs ``script`` with one argument."""

    def settings(self, module: Fixture) -> dict[str, str]:
        """Return what the scenario has to know to load ``module`` here."""

    @property
    def engine(self) -> str:
        """Its JavaScript engine: ``JavaScriptCore`` or ``V8``."""

    @property
    def lack(self) -> str:
        """Why none of its cells can run; empty where they can."""


def label(runtime: Runtime) -> str:
    """Return a runtime as people write it: ``bun@1.2.19``."""
    return f"{runtime.name}@{runtime.version}"
