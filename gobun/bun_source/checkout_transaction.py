"""Moves a checkout between commits atomically: a move that is killed is rolled back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gobun import console, files
from gobun.bun_source.checkout import abbreviate
from gobun.bun_source.git import GitError
from gobun.errors import GobunError, UsageError

if TYPE_CHECKING:
    from gobun.bun_source.checkout import Checkout


def move_checkout(checkout: Checkout, commit: str) -> None:
    """Move the work tree from HEAD to ``commit``. The next opening rolls a killed move back.

    Raises:
        UsageError: an untracked file is in the way, or another git process is running.
    """
    head = checkout.head
    if head == commit:
        return
    journal = _journal(checkout)
    lock = journal.with_name("index.lock")
    if lock.exists():
        raise UsageError(
            f"another git process runs in {checkout.folder}, or was killed there",
            hint=f"when none runs any more, remove {lock}",
        )
    # Check this here, because git itself overwrites ignored files.
    in_the_way = _files_only_in(checkout, head, commit)
    if in_the_way:
        raise UsageError(
            f"{checkout.folder} has untracked files where the patches add files: "
            f"{abbreviate(in_the_way)}",
            hint="move these files to another folder",
        )
    checkout.mark_made(commit)
    files.write_whole(journal, f"{head} {commit}\n")
    try:
        checkout.git("checkout", "--quiet", "--detach", commit)
    except GobunError as error:
        # Keep the journal if git was interrupted or changed anything: the next opening undoes it.
        if (
            not lock.exists()
            and not checkout.changes()
            and not _files_only_in(checkout, head, commit)
        ):
            journal.unlink()
        if isinstance(error, GitError):
            raise UsageError(
                f"{checkout.folder} cannot be changed: {error.reason}",
                hint="move these files to another folder",
            ) from error
        raise
    journal.unlink()


def roll_back(checkout: Checkout) -> None:
    """Roll back to the commit that a killed move started from, if there was one.

    Raises:
        UsageError: a person has changed other files or moved to another commit since.
    """
    journal = _journal(checkout)
    if not journal.is_file():
        return
    start, end = journal.read_text().split()
    (journal.parent / "index.lock").unlink(missing_ok=True)
    git = checkout.git
    words = ("diff", "--name-only", "--no-renames", "-z", start, end)
    moved = {name for name in git(*words).split("\0") if name}
    others = sorted(set(checkout.changes()) - moved)
    if others:
        raise UsageError(
            f"an interrupted change of {checkout.folder} cannot be undone, since these files were "
            f"changed too: {abbreviate(others)}",
            hint="save them elsewhere, then `git restore .` there",
        )
    if checkout.head not in {start, end}:
        raise UsageError(
            f"an interrupted change of {checkout.folder} cannot be undone, since it is at another "
            f"commit now, {checkout.head[:12]}",
            hint=f"`git branch mine` there keeps it, then `git checkout --detach {start[:12]}`",
        )
    console.log(f"undoing an interrupted change of {checkout.folder}")
    for name in _files_only_in(checkout, start, end):  # files that the move had begun to write
        if files.path_below(checkout.folder, str(Path(name).parent)):  # follow no link
            (checkout.folder / name).unlink()
    git("reset", "--quiet", "--hard", start)
    journal.unlink()


def _files_only_in(checkout: Checkout, start: str, end: str) -> list[str]:
    """Return the files in the folder that ``end`` has and ``start`` lacks."""
    words = ("diff", "--name-only", "--no-renames", "--diff-filter=A", "-z", start, end)
    names = checkout.git(*words).split("\0")
    return [name for name in names if name and os.path.lexists(checkout.folder / name)]


def _journal(checkout: Checkout) -> Path:
    return checkout.git.private_folder / "gobun-moving"
