"""A checkout of Bun: one work tree for each version. The store records its base commit.

Its HEAD is the base, or a commit that the suite made on top of the base. All other changes are a
person's work. No function here removes them unless the caller asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun.bun_source.commits import read_commits
from gobun.bun_source.git import Git
from gobun.bun_source.git_store import Store
from gobun.errors import UsageError
from gobun.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gobun.bun_source.commits import BunCommit

_MOST_SHOWN = 8
_UNFINISHED_OPERATIONS = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}
"""Files that git keeps while a rebase, merge or the like waits for a person."""


class Checkout(msgspec.Struct, frozen=True):
    """The work tree of a version."""

    version: str
    folder: Path
    base: str
    """The base commit."""
    git: Git
    store: Store

    @property
    def head(self) -> str:
        """The commit it is at."""
        return self.git("rev-parse", "HEAD")

    @property
    def upstream(self) -> str:
        """The upstream commit of its files. The base of an archive is another commit."""
        release = read_commits().get(self.version)
        same = is_release(self.store, self.base, release)
        return release.commit if release and same else self.base

    def missing_files(self) -> tuple[str, ...]:
        """Return the files of HEAD whose content is missing from the store."""
        return self.store.missing_paths(self.head)

    def changes(self, *, untracked: bool = False) -> list[str]:
        """Return the files that differ from HEAD. ``untracked`` adds the untracked ones."""
        untracked_mode = "normal" if untracked else "no"
        words = (
            "status",
            "--porcelain",
            "-z",
            "--no-renames",
            f"--untracked-files={untracked_mode}",
        )
        return [line[3:] for line in self.git(*words).split("\0") if line]

    def is_made(self, commit: str) -> bool:
        """Return whether ``commit`` is the base, or was recorded with `mark_made`."""
        return commit == self.base or self.git.succeeds(
            "rev-parse", "-q", "--verify", _made_ref(commit)
        )

    def mark_made(self, commit: str) -> None:
        """Record that ``commit`` and its ancestors contain only patches of a series."""
        commits = self.git("rev-list", f"{self.base}..{commit}").split()
        updates = "".join(f"update {_made_ref(each)} {each}\n" for each in commits)
        self.git("update-ref", "--stdin", stdin=updates.encode())

    def check_settled(self) -> None:
        """Reject a checkout with an unfinished rebase, merge or the like.

        Raises:
            UsageError: such an operation is unfinished.
        """
        private = self.git.private_folder
        waiting = [
            name for sign, name in _UNFINISHED_OPERATIONS.items() if (private / sign).exists()
        ]
        if waiting:
            raise UsageError(
                f"{self.folder} is in the middle of a {waiting[0]}",
                hint="finish it there first; `git status` shows how",
            )

    def check_untouched(self, *, untracked: bool = False) -> None:
        """Reject a checkout that holds a person's work. ``untracked`` counts new files as work too.

        Raises:
            UsageError: files are changed, a rebase or the like is unfinished, or there are commits
                that the series lacks.
        """
        self.check_settled()
        changed_files = self.changes(untracked=untracked)
        if changed_files:
            raise UsageError(
                f"{self.folder} has changes that are not committed: {abbreviate(changed_files)}",
                hint="`invoke patch-new` makes a patch of them, `--add` names new files; "
                "`git restore .` there drops them, and `git clean` new files",
            )
        if not self.is_made(self.head):
            raise UsageError(
                f"{self.folder} has commits that are not in the series",
                hint="write them with `invoke patch-export`, or drop them with "
                "`invoke fetch-bun --discard`",
            )


def is_release(store: Store, commit: str, release: BunCommit | None) -> bool:
    """Return whether ``commit`` is the commit of a release or has exactly its files."""
    if release is None:
        return False
    tree = store.git("rev-parse", f"{commit}^{{tree}}")
    return commit == release.commit or (release.tree is not None and tree == release.tree)


def _made_ref(commit: str) -> str:
    return f"refs/gobun/made/{commit}"


def abbreviate(names: Sequence[str]) -> str:
    """Return the first few names, and the number of the others."""
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more


def write_files(git: Git, commit: str, folder: Path, accepts: Callable[[str], bool]) -> None:
    """Write the files of ``commit`` whose path passes ``accepts`` to ``folder``.

    ``git`` belongs to a work tree. The work tree and its index do not change.
    """
    with scratch_folder("tree") as temporary:
        scratch = git.with_index(Path(temporary) / "index")
        scratch("read-tree", commit)
        paths = [path for path in scratch("ls-files", "-z").split("\0") if path and accepts(path)]
        scratch(
            "checkout-index",
            "--quiet",
            "--ignore-skip-worktree-bits",
            "-z",
            "--stdin",
            f"--prefix={folder}/",
            stdin="\0".join(paths).encode(),
        )
