"""Rebases a series onto another release, and reports which patches apply, moved, or are merged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun import files
from gobun.bun_source.apply import commit_tree, message_of, patched_index
from gobun.bun_source.export import Export, SeriesCommit, diff_text
from gobun.bun_source.git import GitError
from gobun.bun_source.hunks import parse_patch
from gobun.bun_source.series import FILE_NAME, TODO_REASON
from gobun.bun_source.series_toml import rewritten
from gobun.errors import PatchError
from gobun.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.bun_source.checkout import Checkout
    from gobun.bun_source.git import Git
    from gobun.bun_source.series import Patch, Series

State = Literal["applies", "merged", "upstream has it", "conflict"]


class RebaseStep(msgspec.Struct, frozen=True):
    """The result for one patch."""

    patch: str
    state: State
    """``merged``: it did not apply unchanged, but git could merge it."""
    problem: str = ""


class Rebased(msgspec.Struct, frozen=True):
    """The result for a series."""

    steps: tuple[RebaseStep, ...]
    patches: tuple[SeriesCommit, ...]
    head: str
    """The commit with every patch that was kept."""

    @property
    def upstreamed(self) -> tuple[str, ...]:
        """The patches that upstream contains."""
        return tuple(step.patch for step in self.steps if step.state == "upstream has it")

    @property
    def conflicts(self) -> tuple[RebaseStep, ...]:
        """The patches that a person must rebase by hand."""
        return tuple(step for step in self.steps if step.state == "conflict")


def rebase(checkout: Checkout, series: Series, patches: Sequence[Patch]) -> Rebased:
    """Try ``patches`` one after the other on the base of ``checkout`` without a work tree.

    A patch that conflicts is left out, and the ones after it are tried without it.

    Raises:
        UsageError: a patch file cannot be read.
    """
    git = checkout.git
    head = checkout.base
    steps: list[RebaseStep] = []
    commits: list[SeriesCommit] = []
    for patch in patches:
        content = series.content(patch)
        step, tree = _rebase_patch(git, head, content, patch, checkout.version)
        steps.append(step)
        if tree is None:
            continue
        commit = commit_tree(git, tree, head, message_of(patch.title, patch.why, patch.id))
        text = diff_text(git, head, commit)
        touched = tuple(diff.path for diff in parse_patch(text, patch.id))
        commits.append(SeriesCommit(patch.id, patch.title, patch.why, text, touched))
        head = commit
    return Rebased(tuple(steps), tuple(commits), head)


def write_rebased(
    folder: Path, version: str, rebased: Rebased, series: Series, left_out_ids: Sequence[str]
) -> Export:
    """Write a rebased series with the description of each patch.

    ``left_out_ids`` lists the patches that a person left out. The person must add the reasons.
    """
    without = [
        {"id": name, "since": version, "why": "upstream has it"} for name in rebased.upstreamed
    ]
    without += [{"id": name, "why": TODO_REASON} for name in left_out_ids]
    contents = {f"{patch.id}.patch": patch.content for patch in rebased.patches}
    text = rewritten(series.path.read_text(), version, rebased.patches, left_out=without)
    contents |= {
        series.file(patch).name: series.content(patch)
        for patch in series.patches
        if patch.tree != "bun"
    }
    contents[FILE_NAME] = text.encode()
    for name, content in contents.items():
        files.write_whole(folder / name, content)
    return Export(tuple(patch.id for patch in rebased.patches), tuple(contents))


def _rebase_patch(
    git: Git, head: str, content: bytes, patch: Patch, version: str
) -> tuple[RebaseStep, str | None]:
    with scratch_folder("rebase") as folder:
        scratch = git.with_index(Path(folder) / "index")
        scratch("read-tree", head)
        backwards = ("apply", "--cached", "--check", "--reverse", "-")
        if scratch.attempt(*backwards, stdin=content).code == 0:
            return RebaseStep(patch.id, "upstream has it"), None
        try:
            label = f"patch {patch.id}"
            tree = patched_index(scratch, content, label, f"Bun {version}")
            return RebaseStep(patch.id, "applies"), tree
        except PatchError as error:
            message = error.what
        scratch("read-tree", head)
        three_ways = ("apply", "--cached", "--3way", "--whitespace=nowarn", "-")
        if scratch.attempt(*three_ways, stdin=content).code != 0:
            return RebaseStep(patch.id, "conflict", message), None
        try:
            tree = scratch("write-tree", "--missing-ok")
        except GitError:
            return RebaseStep(patch.id, "conflict", message), None
        if tree == git("rev-parse", f"{head}^{{tree}}"):
            return RebaseStep(patch.id, "upstream has it"), None
        return RebaseStep(patch.id, "merged"), tree
