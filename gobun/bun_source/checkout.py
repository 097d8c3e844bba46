"""A checkout of Bun: a work tree a version, of which the store knows what it starts from.

Its HEAD is the base, or a commit that the suite made on top of it; anything else in it is a
person's work, which nothing here removes unless it is told to.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console, files
from gobun.bun_source.bring import bring, check_archived, fill
from gobun.bun_source.commits import read_commits
from gobun.bun_source.git import Git, GitError
from gobun.bun_source.store import (
    Store,
    base_ref,
    inheritable_lock,
    open_store,
    remove_tree,
    tree_folder,
)
from gobun.errors import FetchError, GobunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gobun.bun_source.commits import Release
    from gobun.bun_source.origin import Origin

_SHOWN = 8
_UNDERWAY = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}
"""What git keeps beside a work tree while something waits for a person."""


class Checkout(msgspec.Struct, frozen=True):
    """The work tree of a version."""

    version: str
    folder: Path
    base: str
    """The commit it starts from."""
    git: Git
    store: Store

    @property
    def head(self) -> str:
        """The commit it is at."""
        return self.git("rev-parse", "HEAD")

    @property
    def upstream(self) -> str:
        """The upstream commit that its files are of: an archive has a commit of its own."""
        release = read_commits().get(self.version)
        is_release = _is_release(self.store, self.base, release)
        return release.commit if release and is_release else self.base

    def missing(self) -> tuple[str, ...]:
        """Return the files of HEAD that have no content here."""
        return _paths(self.store.missing(self.head))

    def changes(self, *, untracked: bool = False) -> list[str]:
        """Return the files that differ from HEAD, and those that git does not know if asked to."""
        shown = "normal" if untracked else "no"
        words = ("status", "--porcelain", "-z", "--no-renames", f"--untracked-files={shown}")
        return [line[3:] for line in self.git(*words).split("\0") if line]

    def is_made(self, commit: str) -> bool:
        """Return whether the suite made ``commit``, or started from it."""
        return commit == self.base or self.git.succeeds(
            "rev-parse", "-q", "--verify", _made(commit)
        )

    def mark_made(self, commit: str) -> None:
        """Note that ``commit`` and those below it hold nothing that is not in a series."""
        made = self.git("rev-list", f"{self.base}..{commit}").split()
        given = "".join(f"update {_made(each)} {each}\n" for each in made)
        self.git("update-ref", "--stdin", given=given.encode())

    def check_settled(self) -> None:
        """Refuse a checkout in which a rebase, a merge or the like waits to be gone on with.

        Raises:
            UsageError: one does.
        """
        private = _private(self.git)
        waiting = [name for sign, name in _UNDERWAY.items() if (private / sign).exists()]
        if waiting:
            raise UsageError(
                f"{self.folder} is in the middle of a {waiting[0]}",
                hint="end it there first; `git status` says how",
            )

    def check_untouched(self, *, untracked: bool = False) -> None:
        """Refuse a checkout that has a person's work in it, new files included if asked to.

        Raises:
            UsageError: files are changed, or there are commits that the series has not.
        """
        self.check_settled()
        changed = self.changes(untracked=untracked)
        if changed:
            raise UsageError(
                f"{self.folder} has changes that are not committed: {_listed(changed)}",
                hint="`invoke patch-new` makes a patch of them, `--add` names new files; "
                "`git restore .` there drops them, and `git clean` new files",
            )
        if not self.is_made(self.head):
            raise UsageError(
                f"{self.folder} has commits that the series has not",
                hint="`invoke patch-export` writes them; `invoke fetch-bun --discard` drops them",
            )

    def move(self, commit: str) -> None:
        """Take the work tree from HEAD to ``commit``; after a kill the next opening goes back.

        Raises:
            UsageError: a file that git does not know is in the way, or another git is at work.
        """
        head = self.head
        if head == commit:
            return
        journal = _journal(self.git)
        lock = journal.with_name("index.lock")
        if lock.exists():
            raise UsageError(
                f"another git works in {self.folder}, or was killed there",
                hint=f"once none does any more, remove {lock}",
            )
        # Asked here too, for git writes over a file that is ignored.
        in_the_way = self.there(head, commit)
        if in_the_way:
            raise UsageError(
                f"{self.folder} has files that git does not know where the patches have theirs: "
                f"{_listed(in_the_way)}",
                hint="move what is in the way to another folder",
            )
        self.mark_made(commit)
        files.write_whole(journal, f"{head} {commit}\n")
        try:
            self.git("checkout", "--quiet", "--detach", commit)
        except GobunError as error:
            # An interrupted git is not asked: whatever it left is undone by the next opening.
            if not lock.exists() and not self.changes() and not self.there(head, commit):
                journal.unlink()
            if isinstance(error, GitError):
                raise UsageError(
                    f"{self.folder} cannot be changed: {error.said}",
                    hint="move what is in the way to another folder",
                ) from error
            raise
        journal.unlink()

    def there(self, start: str, end: str) -> list[str]:
        """Return which of the files that ``end`` has and ``start`` has not are in the folder."""
        words = ("diff", "--name-only", "--no-renames", "--diff-filter=A", "-z", start, end)
        names = self.git(*words).split("\0")
        return [name for name in names if name and os.path.lexists(self.folder / name)]


class Fetched(msgspec.Struct, frozen=True):
    """What a fetch came to."""

    folder: Path
    base: str
    is_release: bool
    """Whether this is the commit, or at least has the very files, of the release."""
    missing: tuple[str, ...]
    """Files that the origin has no content of."""
    there_before: bool


def _made(commit: str) -> str:
    return f"refs/gobun/made/{commit}"


def _private(git: Git) -> Path:
    """Return where git keeps what is of this work tree alone."""
    return Path(git("rev-parse", "--absolute-git-dir"))


def _journal(git: Git) -> Path:
    return _private(git) / "gobun-moving"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


@contextlib.contextmanager
def open_checkout(version: str) -> Iterator[Checkout]:
    """Hold the checkout of ``version``, whole and with nothing half done.

    Raises:
        UsageError: there is none, or an interrupted change of it cannot be undone.
    """
    # The work tree's lock comes first, so that a long build of one version stops no other.
    with inheritable_lock(tree_folder(version)) as descriptor, open_store() as store:
        found = _existing(store, version, descriptor)
        if found is None:
            raise UsageError(
                f"there is no checkout of Bun {version}",
                hint=f"invoke fetch-bun --version {version}",
            )
        yield found


@contextlib.contextmanager
def tree_locked(version: str) -> Iterator[tuple[str, int]]:
    """Hold the work tree of ``version`` alone, not the store; yield its HEAD and the lock.

    Raises:
        UsageError: there is no checkout.
    """
    with open_checkout(version) as checkout:
        folder = checkout.folder
    with inheritable_lock(folder) as descriptor:
        yield Git(folder, (descriptor,))("rev-parse", "HEAD"), descriptor


def _existing(store: Store, version: str, descriptor: int) -> Checkout | None:
    base = store.base(version)
    folder = store.tree(version)
    if base is None or not (folder / ".git").is_file():
        return None
    git = Git(folder, (*store.git.keep, descriptor))
    found = Checkout(version, folder, base, git, store)
    _undo_half_a_move(found)
    _take_in(found)
    return found


def _take_in(checkout: Checkout) -> None:
    """Write the files that were left out, and whose content another fetch has brought since."""
    git, path = checkout.git, _left_out_by(checkout.git)
    if not path.is_file():
        return
    entries = git("ls-files", "-t", "-z").split("\0")
    out = [line[2:] for line in entries if line.startswith("S ")]
    missing = _paths(checkout.store.missing(checkout.base))
    # Other patterns are a person's own.
    if set(out) - set(missing) and path.read_text() in map(_patterns, (out, missing)):
        console.say(f"writing what was left out of {checkout.folder}")
        files.write_whole(path, _patterns(missing))
        git("read-tree", "-m", "-u", "HEAD")


def _undo_half_a_move(checkout: Checkout) -> None:
    """Go back to where a killed move came from."""
    journal = _journal(checkout.git)
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
            f"changed too: {_listed(others)}",
            hint="save them elsewhere, then `git restore .` there",
        )
    if checkout.head not in {start, end}:
        raise UsageError(
            f"an interrupted change of {checkout.folder} cannot be undone, since it is at another "
            f"commit now, {checkout.head[:12]}",
            hint=f"`git branch mine` there keeps it, then `git checkout --detach {start[:12]}`",
        )
    console.say(f"going back to before an interrupted change of {checkout.folder}")
    for name in checkout.there(start, end):  # what the move had begun to write
        (checkout.folder / name).unlink()
    git("reset", "--quiet", "--hard", start)
    journal.unlink()


def fetch_checkout(
    version: str,
    origin: Origin,
    *,
    release: Release | None,
    ref: str = "",
    discard: bool = False,
) -> Fetched:
    """Make sure that there is a whole checkout of ``version``, at its release or at ``ref``.

    Raises:
        UsageError: ``version`` is unknown and no ``ref`` is given, or a person's work is in the
            way and is not to be discarded.
        FetchError: the origin cannot be read or lacks the commit, or is not the release.
        PrerequisiteError: the disk is full.
    """
    if release is None and not ref:
        raise UsageError(f"the commit of Bun {version} is not known", hint="give --ref COMMIT")
    wanted = ref or (release.commit if release else "")
    with inheritable_lock(tree_folder(version)) as descriptor, open_store() as store:
        there = None if discard else _existing(store, version, descriptor)
        if there is not None and _matches(there, wanted, release):
            if store.missing(there.base) and origin.can_complete:
                fill(store, origin, there.base)
                _take_in(there)
            missing = _paths(store.missing(there.base))
            same = _is_release(store, there.base, release)
            return Fetched(there.folder, there.base, same, missing, there_before=True)
        if there is not None:
            there.check_untouched(untracked=True)
        commit = bring(store, origin, wanted, f"bun-v{version}")
        same = _is_release(store, commit, release)
        if origin.kind == "archive" and not same:
            check_archived(origin, wanted)
        unknowable = origin.kind == "archive" and release is not None and release.tree is None
        if not same and not ref and not unknowable:
            raise FetchError(
                f"{origin.location} is not Bun {version}: its files are not those of the release",
                hint="give the right --source; with `--ref` any commit is taken as it is",
            )
        remove_tree(store, version)
        missing = _add_tree(store, version, commit)
        return Fetched(store.tree(version), commit, same, missing, there_before=False)


def _matches(there: Checkout, wanted: str, release: Release | None) -> bool:
    if there.store.git.commit_of(wanted) == there.base:
        return True
    is_release = release is not None and wanted == release.commit
    return is_release and _is_release(there.store, there.base, release)


def _is_release(store: Store, commit: str, release: Release | None) -> bool:
    if release is None:
        return False
    tree = store.git("rev-parse", f"{commit}^{{tree}}")
    return commit == release.commit or (release.tree is not None and tree == release.tree)


def _paths(missing: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple(sorted(path for named in missing.values() for path in named))


def _add_tree(store: Store, version: str, commit: str) -> tuple[str, ...]:
    """Make the work tree; the reference that says it is whole comes last."""
    folder = store.tree(version)
    missing = _paths(store.missing(commit))
    console.say(f"checking out Bun {version} to {folder}")
    try:
        store.git("worktree", "add", "--quiet", "--detach", "--no-checkout", folder, commit)
        git = Git(folder, store.git.keep)
        if missing:
            # What has no content is left out of this work tree, so that git can write the rest.
            files.write_whole(_left_out_by(git), _patterns(missing))
            store.git("config", "core.sparseCheckout", "true")
            store.git("config", "core.sparseCheckoutCone", "false")
        git("read-tree", "-m", "-u", "HEAD")
    except GitError as error:
        raise FetchError(
            f"cannot check out {commit[:12]}: {error.said}", hint="run the same command again"
        ) from error
    store.git("update-ref", base_ref(version), commit)
    return missing


def _left_out_by(git: Git) -> Path:
    return _private(git) / "info" / "sparse-checkout"


def _patterns(missing: Sequence[str]) -> str:
    return "\n".join(["/*", *(f"!/{_literal(path)}" for path in missing)]) + "\n"


def _literal(path: str) -> str:
    """Quote what a pattern of git would read as more than a name."""
    return re.sub(r"([\\*?\[\]!# ])", r"\\\1", path)
