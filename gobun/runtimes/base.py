"""The interface of every runtime under test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.build import Fixture


class LacksError(Exception):
    """A runtime lacks something that a cell needs."""


class Runtime(Protocol):
    """An executable under test."""

    @property
    def name(self) -> str:
        """``bun``, ``node`` or ``deno``."""

    @property
    def version(self) -> str:
        """The version, without a leading ``v``."""

    @property
    def program(self) -> Path:
        """The executable."""

    def command(self, script: Path, argument: str) -> list[str]:
        """Return the command that runs ``script`` with one argument."""

    def settings(self, module: Fixture) -> dict[str, str]:
        """Return the settings that the scenario needs to load ``module`` in this runtime."""

    @property
    def engine(self) -> str:
        """The JavaScript engine: ``JavaScriptCore`` or ``V8``; ``""`` if there is no executable."""

    @property
    def lack(self) -> str:
        """The reason why none of its cells can run, else ``""``."""


def label(runtime: Runtime) -> str:
    """Return a runtime in the usual notation: ``bun@1.2.19``."""
    return f"{runtime.name}@{runtime.version}"
