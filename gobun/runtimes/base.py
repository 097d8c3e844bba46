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

    def environment(self, treatment: str) -> dict[str, str]:
        """Return what ``treatment`` adds to the environment of a cell.

        Raises:
            LacksError: this runtime cannot be treated so.
        """


def common_environment(treatment: str) -> dict[str, str]:
    """Return what ``treatment`` adds to the environment of any runtime."""
    wanted = {"warmup": "1", "warmup-plain": "0", "built-in": "1", "embedded": "1"}
    return {"GO_WARMUP_GUARD": wanted[treatment]} if treatment in wanted else {}


def v8_environment(treatment: str) -> dict[str, str]:
    """Return what ``treatment`` adds where JavaScript runs on V8.

    Raises:
        LacksError: the treatment is one for JavaScriptCore.
    """
    if treatment.startswith("gc-signal:"):
        raise LacksError("JSC_SIGNAL_FOR_GC is a setting of JavaScriptCore, and this is V8")
    return common_environment(treatment)


def label(runtime: Runtime) -> str:
    """Return a runtime as people write it: ``bun@1.2.19``."""
    return f"{runtime.name}@{runtime.version}"
