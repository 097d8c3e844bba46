"""Decides which row is responsible for which cell, before and after an update from results."""

from __future__ import annotations

import functools
import itertools
import operator
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from gobun.cells.records import Outcome
from gobun.expectations.cover import Box, Config, cover
from gobun.expectations.rows import LISTS, RowIndex, contradiction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gobun.expectations.rows import ExpectationRow

ObservedOutcomes = dict[Config, dict[int, frozenset[Outcome]]]
"""The outcomes of a runtime's cells, by the index of the version."""
_PASS: frozenset[Outcome] = frozenset({"pass"})


class ObservedRuns(msgspec.Struct, frozen=True):
    """One runtime in one place: its known versions and values, and the observed outcomes."""

    versions: tuple[str, ...]
    """Ascending."""
    axes: tuple[tuple[str, ...], ...]
    """Every known treatment, module, load and stress."""
    outcomes: ObservedOutcomes


class RowChanges(msgspec.Struct, frozen=True):
    """The changes to rows that make them expect the observed outcomes."""

    rewritten: dict[int, list[Box]]
    """For the index of a row, the boxes that replace it. Without a box the row is deleted."""
    added_boxes: list[tuple[tuple[Outcome, ...], Box]]


def compare(
    rows: Sequence[ExpectationRow], world: ObservedRuns, *, strict: bool = False
) -> RowChanges:
    """Return the changes that make ``rows``, all of this runtime and place, fit the observations.

    A row loses the cells that were seen to end otherwise. It grows to the versions in which its
    cells were seen to end as it states. In those versions, cells that were not run take the outcome
    of the most similar cells of the row that were. Elsewhere a row keeps cells that were not run.
    With ``strict``, no two rows overlap afterwards. Otherwise a row may still cover cells that a
    more specific row decides.

    Raises:
        UsageError: two rows contradict each other.
    """
    ledger = _Reconciler(rows, world)
    for config in itertools.product(*world.axes):
        ledger.enter(config)
    ledger.extend_to_unrun_cells()
    rewritten = {}
    for index, row in enumerate(rows):
        may = {} if strict else ledger.covered_by_others(index)
        if row.runtime is not None and ledger.is_touched(index, may):
            boxes = ledger.boxes(index, may)
            if boxes is not None:
                rewritten[index] = boxes
    added_boxes = [
        (tuple(sorted(outcomes)), box)
        for outcomes, required_versions in sorted(
            ledger.new_cells.items(), key=lambda item: sorted(item[0])
        )
        for box in cover(required_versions, {}, world.axes)
    ]
    return RowChanges(rewritten, added_boxes)


class _Reconciler:
    def __init__(self, rows: Sequence[ExpectationRow], world: ObservedRuns) -> None:
        self._rows = rows
        self._index = RowIndex(rows)
        self._deciding_rows: dict[tuple[int, ...], dict[int, int]] = {}
        self._world = world
        self._all_versions = (1 << len(world.versions)) - 1
        self._masks = [_mask(row.selects_version(v) for v in world.versions) for row in rows]
        self._matching_rows: dict[Config, list[int]] = {}
        self._selected_configs: list[list[Config]] = [[] for _ in rows]
        self._unknown_versions: dict[Config, int] = {}
        self._agreeing_versions: list[dict[Config, int]] = [{} for _ in rows]
        self._contrary_versions: list[dict[Config, int]] = [{} for _ in rows]
        self._versions_added_elsewhere: list[dict[Config, int]] = [{} for _ in rows]
        self._changed_versions = [0] * len(rows)
        self.required_cells: list[dict[Config, int]] = [{} for _ in rows]
        self.new_cells: dict[frozenset[Outcome], dict[Config, int]] = defaultdict(dict)

    def enter(self, config: Config) -> None:
        """Process all versions of one treatment, module, load and stress."""
        matching = self._index.matching_rows(config)
        observed = self._world.outcomes.get(config, {})
        if not matching and not observed:
            return
        self._matching_rows[config] = matching
        for index in matching:
            self._selected_configs[index].append(config)
        won = dict(self._decide_rows(config, tuple(matching)))
        unclaimed = self._all_versions
        for mask in won.values():
            unclaimed &= ~mask
        self._unknown_versions[config] = unclaimed & ~sum(1 << at for at in observed)
        added_versions: dict[frozenset[Outcome], int] = {}
        for at, outcomes in observed.items():
            self._settle(config, won, added_versions, (at, outcomes))
        for index, mask in won.items():
            self.required_cells[index][config] = mask
        for outcomes, mask in added_versions.items():
            self.new_cells[outcomes][config] = _bridged(mask, self._unknown_versions[config])
            self._unknown_versions[config] &= ~self.new_cells[outcomes][config]
        claimed = 0
        for mask in won.values():
            claimed |= mask
        measured = sum(1 << at for at in observed)
        total = sum(added_versions.values())
        for index in matching if measured else ():
            self._agreeing_versions[index][config] = won.get(index, 0) & measured
            self._contrary_versions[index][config] = measured & ~claimed & ~total
            self._versions_added_elsewhere[index][config] = total & self._masks[index]

    def extend_to_unrun_cells(self) -> None:
        """Let the cells of a row that were run represent those that were not."""
        for index, must in enumerate(self.required_cells):
            if not self._changed_versions[index]:
                continue
            # If one cell still ends as the row states, another end is an exception to the row.
            upheld = functools.reduce(operator.or_, self._agreeing_versions[index].values(), 0)
            for config, elsewhere_count in self._versions_added_elsewhere[index].items():
                self._contrary_versions[index][config] |= elsewhere_count & ~upheld
            for config, mask in must.items():
                unknown = self._unknown_versions[config]
                like, unlike = self._most_similar(index, config)
                was, moved = self._masks[index], self._changed_versions[index]
                gained = like & ~unlike & unknown & ~was & moved
                grown = mask & ~(unlike & ~like & moved) | gained
                bridges = unknown & ~unlike
                must[config] = _bridged(grown, bridges) if grown & ~was else grown
                # No other row may take these versions as well.
                self._unknown_versions[config] &= ~must[config]

    def _most_similar(self, index: int, config: Config) -> tuple[int, int]:
        """Return two sets of versions: the most similar run cells agree with a row, or disagree."""
        undecided = self._all_versions
        if config in self._agreeing_versions[index]:  # a cell that was run decides for itself
            undecided &= ~sum(1 << at for at in self._world.outcomes[config])
        at_distance = [[0, 0] for _ in range(len(config) + 1)]
        for other, agreeing in self._agreeing_versions[index].items():
            distance = sum(a != b for a, b in zip(config, other, strict=True))
            at_distance[distance][0] |= agreeing
            at_distance[distance][1] |= self._contrary_versions[index][other]
        like = unlike = 0
        for agreeing, contrary in at_distance:
            like |= agreeing & undecided
            unlike |= contrary & undecided
            undecided &= ~(agreeing | contrary)
        return like, unlike

    def _decide_rows(self, config: Config, row_indices: tuple[int, ...]) -> dict[int, int]:
        """Return the versions on which each row decides."""
        if row_indices in self._deciding_rows:
            return self._deciding_rows[row_indices]
        won: dict[int, int] = {}
        weights = self._index.specificities
        decided_versions = 0
        by_weight = sorted(row_indices, key=lambda i: -weights[i])
        for _, group in itertools.groupby(by_weight, key=weights.__getitem__):
            counts: dict[int, int] = {}
            for index in group:
                mask = self._masks[index] & ~decided_versions
                for other, owned in counts.items():
                    if owned & mask and not self._rows[index].agrees_with(self._rows[other]):
                        version = self._world.versions[(owned & mask).bit_length() - 1]
                        on = "/".join((f"{self._rows[index].runtime}@{version}", *config))
                        raise contradiction(self._rows[other], self._rows[index], on)
                    mask &= ~owned
                counts[index] = mask
            for index, mask in counts.items():
                won[index] = mask
                decided_versions |= mask
        self._deciding_rows[row_indices] = won
        return won

    def _settle(
        self,
        config: Config,
        decided: dict[int, int],
        added_versions: dict[frozenset[Outcome], int],
        observation: tuple[int, frozenset[Outcome]],
    ) -> None:
        at, outcomes = observation
        bit = 1 << at
        owner = next((index for index, mask in decided.items() if mask & bit), None)
        expected = self._rows[owner].outcomes if owner is not None else _PASS
        if outcomes <= set(expected):
            return
        if owner is not None:
            decided[owner] &= ~bit
            self._changed_versions[owner] |= bit
        if outcomes == _PASS and not self._is_pinned(config, bit):
            return
        heir = self._heir(config, outcomes)
        if heir is not None:
            decided[heir] = decided.get(heir, 0) | bit
            self._changed_versions[heir] |= bit
        else:
            added_versions[outcomes] = added_versions.get(outcomes, 0) | bit

    def _is_pinned(self, config: Config, bit: int) -> bool:
        """Return whether a row that cannot be narrowed still covers a version."""
        return any(
            self._rows[i].runtime is None and self._masks[i] & bit
            for i in self._matching_rows[config]
        )

    def _heir(self, config: Config, outcomes: frozenset[Outcome]) -> int | None:
        """Return the row that expects the same of other versions of this cell."""
        fitting = [
            index
            for index in self._matching_rows[config]
            if self._rows[index].runtime is not None and outcomes <= set(self._rows[index].outcomes)
        ]
        return min(
            fitting,
            key=lambda i: (len(self._rows[i].outcomes), -self._rows[i].specificity, i),
            default=None,
        )

    def covered_by_others(self, index: int) -> dict[Config, int]:
        """Return the cells of a row that more specific or equally specific rows decide."""
        row = self._rows[index]
        may = dict.fromkeys(self._selected_configs[index], 0)
        answering = list(self.new_cells.values())
        for other, owned in zip(self._rows, self.required_cells, strict=True):
            same = other.specificity == row.specificity and other.agrees_with(row)
            if other is not row and (other.specificity > row.specificity or same):
                answering.append(owned)
        for owned in answering:
            for config in owned.keys() & may.keys():
                may[config] |= owned[config]
        return {config: mask for config, mask in may.items() if mask}

    def boxes(self, index: int, optional: Mapping[Config, int]) -> list[Box] | None:
        """Return the boxes that replace a row; None if it can stay unchanged.

        If only some of its cells gained versions, those cells become a new row, because the reason
        of the old row may not apply to them.
        """
        row, was, must = self._rows[index], self._masks[index], self.required_cells[index]
        axes = self._world.axes
        values = tuple(
            tuple(value for value in axis if names is None or value in names)
            for axis, names in zip(axes, (getattr(row, name) for name in LISTS), strict=True)
        )
        common = functools.reduce(operator.or_, must.values(), 0)
        for config in itertools.product(*values):
            common &= must.get(config, 0) | optional.get(config, 0)
        uncovered = {config: mask & ~common for config, mask in must.items()}
        common_boxes = [Box(values, common)] if common else []
        all_boxes = common_boxes + cover(uncovered, optional, axes)
        plain_boxes = cover(must, optional, axes)
        boxes = all_boxes if len(all_boxes) < len(plain_boxes) or not was & ~common else plain_boxes
        kept_boxes = []
        for box in boxes:
            if box.versions & was or box in common_boxes:
                kept_boxes.append(box)
                continue
            for config in itertools.product(*box.values):
                new = self.new_cells[frozenset(row.outcomes)]
                new[config] = new.get(config, 0) | box.versions & must.get(config, 0)
        return None if kept_boxes == [Box(values, was)] else kept_boxes

    def is_touched(self, index: int, optional: Mapping[Config, int]) -> bool:
        """Return whether the cells that a row selects differ from those that it decides."""
        was, must = self._masks[index], self.required_cells[index]
        return any(
            must.get(config, 0) & ~was or was & ~(must.get(config, 0) | optional.get(config, 0))
            for config in self._selected_configs[index]
        )


def _mask(flags: Iterable[bool]) -> int:
    return sum(1 << at for at, value in enumerate(flags) if value)


def _bridged(mask: int, unknown: int) -> int:
    """Fill gaps without observations: between two equal outcomes, all are assumed to be equal."""
    bits = [at for at in range(mask.bit_length()) if mask >> at & 1]
    for low, high in itertools.pairwise(bits):
        gap = ((1 << high) - 1) & ~((1 << (low + 1)) - 1)
        if not gap & ~unknown:
            mask |= gap
    return mask
