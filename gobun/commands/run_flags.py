"""Groups of flags that several tasks take: the cells to run, and how to run them.

A group is a record. `with_flags` replaces one parameter of a task with the flags of a group.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import msgspec

from gobun.commands.cli import given_path, optional_integer, optional_number, split_csv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from invoke.context import Context


class CellFields(TypedDict):
    """The fields of a request that select its cells."""

    runtimes: tuple[str, ...]
    versions: str
    treatments: tuple[str, ...]
    modules: tuple[str, ...]
    loads: tuple[str, ...]
    stresses: tuple[str, ...]


class CellFlags(msgspec.Struct, frozen=True):
    """The flags that select cells."""

    runtime: str = ""
    versions: str = ""
    treatment: str = ""
    module: str = ""
    load: str = ""
    stress: str = ""

    def fields(self) -> CellFields:
        """Return the values of the flags, split at the commas."""
        return {
            "runtimes": split_csv(self.runtime or "bun"),
            "versions": self.versions,
            "treatments": split_csv(self.treatment),
            "modules": split_csv(self.module),
            "loads": split_csv(self.load),
            "stresses": split_csv(self.stress),
        }


class RunFields(TypedDict):
    """The fields of a request that every run of cells has."""

    out: Path
    jobs: int | None
    limit_s: float | None
    repeat: int
    resume: bool


class RunFlags(msgspec.Struct, frozen=True):
    """The flags of every run of cells."""

    out: str = "report"
    jobs: str = ""
    limit: str = ""
    repeat: str = "1"
    resume: bool = False

    def fields(self) -> RunFields:
        """Return the values of the flags.

        Raises:
            UsageError: a number or a path is invalid.
        """
        return {
            "out": given_path(self.out),
            "jobs": optional_integer(self.jobs, "--jobs"),
            "limit_s": optional_number(self.limit, "--limit"),
            "repeat": optional_integer(self.repeat, "--repeat") or 0,
            "resume": self.resume,
        }


class MatrixFields(RunFields):
    """The fields of a request for a run of the matrix, or of one shard."""

    shard: str
    durations: Path | None
    core: bool
    libc: str


class MatrixFlags(RunFlags, frozen=True):
    """The flags of a run of the matrix, or of one shard."""

    shard: str = ""
    durations: str = ""
    core: bool = False
    libc: str = ""

    def fields(self) -> MatrixFields:
        """Return the values of the flags.

        Raises:
            UsageError: a number or a path is invalid.
        """
        return {
            **super().fields(),
            "shard": self.shard,
            "durations": given_path(self.durations) if self.durations else None,
            "core": self.core,
            "libc": self.libc,
        }


Group = TypeVar("Group", bound=msgspec.Struct)


def with_flags(
    name: str, group: type[Group], **defaults: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the flags of ``group`` to a task. The task gets the record as its parameter ``name``.

    ``defaults`` replaces the default values of single flags.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    flags = [
        inspect.Parameter(each.name, keyword, default=defaults.get(each.name, each.default))
        for each in msgspec.structs.fields(group)
    ]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        context, *others = inspect.signature(function).parameters.values()

        @functools.wraps(function)
        def run(context: Context, **kwargs: Any) -> None:  # noqa: ANN401 - the values of the flags
            values = {flag.name: kwargs.pop(flag.name, flag.default) for flag in flags}
            function(context, **kwargs, **{name: group(**values)})

        expanded = [
            each
            for other in others
            for each in (flags if other.name == name else [other.replace(kind=keyword)])
        ]
        run.__signature__ = inspect.Signature([context, *expanded])  # type: ignore[attr-defined]
        return run

    return decorate
