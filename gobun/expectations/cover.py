"""Covers a set of cells with few boxes: lists of treatments, modules, loads, stresses, versions.

A set of versions is a bit mask over the known versions in ascending order.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Config = tuple[str, ...]
"""A treatment, module, load and stress."""


class Box(msgspec.Struct, frozen=True):
    """Every combination of one value from each axis, in the versions of a mask."""

    values: tuple[tuple[str, ...], ...]
    versions: int


def cover(
    required: Mapping[Config, int], optional: Mapping[Config, int], axes: Sequence[Sequence[str]]
) -> list[Box]:
    """Return boxes that hold all of ``required``, some of ``optional``, and nothing else.

    Each box grows from a cell along one axis after another as far as possible. The result is small,
    though not always the smallest. It does not depend on the order of the mappings.
    """
    uncovered = {config: mask for config, mask in required.items() if mask}
    boxes = []
    for config in sorted(uncovered, key=lambda config: _place(config, axes)):
        while config in uncovered:  # a box covers its first cell completely, so this runs once
            box = _grow_box(config, uncovered, required, optional, axes)
            boxes.append(box)
            for inside in itertools.product(*box.values):
                remaining = uncovered.pop(inside, 0) & ~box.versions
                if remaining:
                    uncovered[inside] = remaining
    return boxes


def _place(config: Config, axes: Sequence[Sequence[str]]) -> tuple[int, ...]:
    return tuple(axis.index(value) for axis, value in zip(axes, config, strict=True))


def _grow_box(
    seed: Config,
    remaining: Mapping[Config, int],
    required: Mapping[Config, int],
    optional: Mapping[Config, int],
    axes: Sequence[Sequence[str]],
) -> Box:
    versions = remaining[seed]

    def fits(config: Config) -> bool:
        # Only the same versions: cells with other versions get a box of their own.
        allowed = required.get(config, 0) | optional.get(config, 0)
        return not versions & ~allowed and not remaining.get(config, 0) & ~versions

    values: list[tuple[str, ...]] = [(value,) for value in seed]
    for at in reversed(range(len(axes))):  # stresses first, because they differ least
        grown = [
            value
            for value in axes[at]
            if value == seed[at]
            or all(map(fits, itertools.product(*values[:at], (value,), *values[at + 1 :])))
        ]
        values[at] = tuple(grown)
    return Box(tuple(values), versions)
