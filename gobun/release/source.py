"""Reads the state of the sources that a release is made from."""

from __future__ import annotations

import msgspec

from gobun import paths
from gobun.errors import PrerequisiteError
from gobun.process import run_tool

_HINT = "commit them; --dirty makes a release that says that it cannot be made again"


class SourceState(msgspec.Struct, frozen=True):
    """A commit, and whether the checkout had no other changes."""

    commit: str | None
    """None if git could not name it."""
    is_clean: bool


def read_source(*, allow_changes: bool) -> SourceState:
    """Return the state of this checkout.

    Raises:
        PrerequisiteError: there are uncommitted changes, or git cannot name the commit, and
            ``allow_changes`` is false.
    """
    try:
        commit = _git("rev-parse", "--verify", "HEAD")
        changed_files = _git("status", "--porcelain", "--untracked-files=all").splitlines()
    except PrerequisiteError:
        if allow_changes:
            return SourceState(None, is_clean=False)
        raise
    if changed_files and not allow_changes:
        listed = "\n".join(f"  {line}" for line in changed_files[:10])
        raise PrerequisiteError(
            f"this checkout has changes that are not committed:\n{listed}", hint=_HINT
        )
    return SourceState(commit, is_clean=not changed_files)


def _git(*words: str) -> str:
    completed = run_tool(["git", "-C", paths.ROOT, *words], timeout_s=60)
    if completed.code != 0:
        raise PrerequisiteError(
            f"git cannot name the commit of this checkout: {completed.tail}",
            hint="make releases in a git checkout of the project, or use --dirty",
        )
    return completed.out.strip()
