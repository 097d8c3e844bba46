"""The parts of the torture: their measurements, durations, and allowed figures."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from benchmarks.torture import parts
from gobun.errors import UsageError


class Figure(msgspec.Struct, frozen=True):
    """One measured number, and its limits."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""
    """The first case behind a bad number, as a start for an investigation."""

    @property
    def holds(self) -> bool:
        """Whether the number is within its limits."""
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)


class Choices(msgspec.Struct, frozen=True):
    """The options of the command line for parts that can be more or less thorough."""

    kept: str = ""
    """Folder for results, from which an interrupted part resumes; empty to keep none."""
    rounds: int = 1
    """How often a part repeats its measurement."""
    every_cell: bool = False
    """Whether to measure the default matrix instead of a sample of it."""
    cores: float = 0.0
    """Processors that a measurement under load may use; 0 for no such limit."""
    jobs: int = 2
    """The number of cells at a time."""


class Budget(msgspec.Struct, frozen=True):
    """The time and the folder that a part may use."""

    seconds: float
    """Wall-clock time. A part without a fixed amount of work runs until the time is spent."""
    folder: Path
    """An empty folder, removed afterwards."""
    ends_at: float
    """``time.monotonic()`` at which the time is spent."""
    choices: Choices = Choices()

    @classmethod
    def starting_now(cls, seconds: float, folder: Path, choices: Choices | None = None) -> Budget:
        """Return a budget whose time starts now."""
        return cls(seconds, folder, time.monotonic() + seconds, choices or Choices())

    def remains(self) -> bool:
        """Return whether time is left."""
        return time.monotonic() < self.ends_at

    def scale(self, whole: int, full_seconds: float, *, least: int = 1) -> int:
        """Return how many of ``whole`` repetitions fit, if all of them take ``full_seconds``.

        Return at least ``least``.
        """
        return max(least, min(whole, round(whole * self.seconds / full_seconds)))


class Part(msgspec.Struct, frozen=True):
    """One measurement."""

    name: str
    description: str
    """One sentence for the table."""
    run: Callable[[Budget], Iterable[Figure]]
    seconds: float
    """How long a full run takes."""
    grace_s: float
    """How long it may take beyond its budget before the runner stops it."""
    is_quick: bool
    """Whether the unit tests also run it, for a fraction of a second."""


_parts: dict[str, Part] = {}


def part(
    *, seconds: float, grace_s: float = 60.0, quick: bool = False
) -> Callable[[Callable[[Budget], Iterable[Figure]]], Callable[[Budget], Iterable[Figure]]]:
    """Register a function as a part; its name and docstring become the row of the table."""

    def register(run: Callable[[Budget], Iterable[Figure]]) -> Callable[[Budget], Iterable[Figure]]:
        name = run.__name__.replace("_", "-")
        about = (run.__doc__ or "").partition("\n")[0].rstrip(".")
        _parts[name] = Part(name, about, run, seconds, grace_s, quick)
        return run

    return register


def all_parts() -> dict[str, Part]:
    """Return every part by name, in the order of modules and functions."""
    for module in sorted(pkgutil.iter_modules(parts.__path__), key=lambda each: each.name):
        importlib.import_module(f"{parts.__name__}.{module.name}")
    return dict(_parts)


def chosen_parts(names: Iterable[str]) -> list[Part]:
    """Return the parts with these names, or all parts if there are no names.

    A name that ends in ``-`` means every part that begins with it.

    Raises:
        UsageError: there is no such part.
    """
    available = all_parts()
    chosen: dict[str, Part] = {}
    for name in names:
        matching = [
            each
            for each in available
            if each == name or (name.endswith("-") and each.startswith(name))
        ]
        if not matching:
            raise UsageError.unknown("part of the torture", name, available)
        chosen |= {each: available[each] for each in matching}
    return list((chosen or available).values())
