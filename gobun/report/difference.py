"""Shows the effect of patches: compares each patched cell with the stock cell of the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from gobun.cells import Cell, Result, attempts_of
from gobun.report.order import in_order, release_label, version_label
from gobun.runtimes import own_treatment, version_with
from gobun.treatments import TREATMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.matrix import Run

Kind = Literal["cured", "broken", "changed", "unchanged", "not compared"]
KINDS: tuple[Kind, ...] = ("cured", "broken", "changed", "unchanged", "not compared")


class Difference(msgspec.Struct, frozen=True):
    """One patched Bun, or one emulation of patches, against stock."""

    runtime: str
    treatment: str
    patches: str
    """The patches in it, if the run names them."""
    pairs: tuple[tuple[Kind, Result, Result | None], ...]
    """For each cell: the kind of change, the patched result, and the stock result or None."""

    @property
    def emulated(self) -> bool:
        """Whether the patches were emulated on the stock binary, without a patched build."""
        return bool(TREATMENTS[self.treatment].emulates)

    @property
    def title(self) -> str:
        """The build that was run, or stock with the emulation."""
        return f"{self.runtime} stock + {self.treatment}" if self.emulated else self.runtime

    @property
    def remark(self) -> str:
        """Its patches, with a clear note if they were emulated."""
        if self.emulated:
            return f"emulates {self.patches} at load time, nothing is built"
        return self.patches or self.treatment

    @property
    def name(self) -> str:
        """The title and the remark on one line."""
        return f"{self.title} ({self.remark})"

    def of(self, kind: Kind) -> list[tuple[Result, Result | None]]:
        """Return the cells with this kind of change."""
        return [(result, stock) for change, result, stock in self.pairs if change == kind]


def differences(run: Run) -> tuple[Difference, ...]:
    """Return a difference for each patched Bun and each emulation that ran together with stock."""
    stock = {result.key: result for result in run.results if result.treatment == "stock"}
    grouped: dict[tuple[str, str, str], list[Result]] = {}
    patched = run.header.patched
    for result in in_order(run.results):
        release, treatment = release_label(result), result.treatment
        built = treatment == own_treatment(result.version)
        if built or emulation_note(release, treatment) in patched:
            grouped.setdefault((version_label(result), release, treatment), []).append(result)
    differences_found = []
    for (runtime, release, treatment), results in grouped.items():
        pairs = []
        for result in results:
            twin = stock.get((result.platform, _stock_cell(result.cell)))
            pairs.append((_kind(result, twin), result, twin))
        if any(twin for _, _, twin in pairs):
            emulated = patched.get(emulation_note(release, treatment), "")
            patches = patched.get(release, "") or emulated
            differences_found.append(Difference(runtime, treatment, patches, tuple(pairs)))
    return tuple(differences_found)


def emulation_note(runtime: str, treatment: str) -> str:
    """Return the key under which a run lists the patches that a treatment emulates."""
    return f"{runtime} {treatment}"


def _stock_cell(cell: Cell) -> Cell:
    version = version_with(cell.version, "stock")
    return msgspec.structs.replace(cell, version=version, treatment="stock")


def _kind(result: Result, stock: Result | None) -> Kind:
    outcomes = {result.outcome, stock.outcome} if stock is not None else set()
    if stock is None or outcomes & {"skip", "error"} or not (result.is_judged and stock.is_judged):
        return "not compared"
    now, before = set(attempts_of(result)), set(attempts_of(stock))
    if now == before:
        return "unchanged"
    if now == {"pass"}:
        return "cured"
    return "broken" if before == {"pass"} else "changed"


def difference_lines(differences: Sequence[Difference], limit: int = 12) -> list[str]:
    """Return the table in Markdown, then the changed cells: ``limit`` of each kind and build."""
    if not differences:
        return []
    head = ["patched", *KINDS]
    lines = [
        "## What the patches change",
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    for difference in differences:
        counts = " | ".join(str(len(difference.of(kind))) for kind in KINDS)
        lines.append(f"| {difference.name} | {counts} |")
    lines += ["", "Each patched Bun is compared with stock, on the same cells of this run.", ""]
    for kind in ("broken", "changed", "cured"):
        for difference in differences:
            cells = [_line(result, stock) for result, stock in difference.of(kind)]
            if cells:
                lines += [f"{kind.capitalize()} by {difference.name}:", "", *cells[:limit]]
                if len(cells) > limit:
                    lines.append(f"- and {len(cells) - limit} more")
                lines.append("")
    return lines


def _line(result: Result, stock: Result | None) -> str:
    before = "/".join(sorted(set(attempts_of(stock)))) if stock else "nothing"
    after = "/".join(sorted(set(attempts_of(result))))
    return f"- `{result.module}/{result.load}/{result.stress}`: {before} → {after}"
