"""A checkout of Bun: a work tree a version, of which the store knows what it starts from.

Its HEAD is the base, or a commit that the suite made on top of it; anything else in it is a
person's work, which nothing here removes unless it is told to.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import console, files
from gobun.bun_source.bring import bring, check_archived
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
from gobun.errors import FetchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gobun.bun_source.commits import Release
    from gobun.bun_source.origin import Origin

_SHOWN = 8


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

    def changes(self) -> list[str]:
        """Return the tracked files that differ from HEAD."""
        said = self.git("status", "--porcelain", "-z", "--untracked-files=no")
        return [line[3:] for line in said.split("\0") if line]

    def is_made(self, commit: str) -> bool:
        """Return whether the suite made ``commit``, or started from it."""
        return commit == self.base or self.git.succeeds(
            "rev-parse", "-q", "--verify", _made(commit)
        )

    def mark_made(self, commit: str) -> None:
        """Note that ``commit`` holds nothing that is not in a series."""
        self.git("update-ref", _made(commit), commit)

    def check_untouched(self) -> None:
        """Refuse a checkout that has a person's work in it.

        Raises:
            UsageError: files are changed, or there are commits that the series has not.
        """
        changed = self.changes()
        if changed:
            raise UsageError(
                f"{self.folder} has changes that are not committed: {_listed(changed)}",
                hint="`invoke patch-new` makes a patch of them; `git restore .` there drops them",
            )
        if not self.is_made(self.head):
            raise UsageError(
                f"{self.folder} has commits that the series has not",
                hint="`invoke patch-export` writes them; `invoke fetch-bun --discard` drops them",
            )

    def move(self, commit: str) -> None:
        """Take the work tree from HEAD to ``commit``; after a kill the next opening goes back.

        Raises:
            UsageError: a file that git does not know is in the way.
        """
        head = self.head
        if head == commit:
            return
        journal = _journal(self.git)
        files.write_whole(journal, f"{head} {commit}\n")
        self.mark_made(commit)
        try:
            self.git("checkout", "--quiet", "--detach", commit)
        except GitError as error:
            raise UsageError(
                f"{self.folder} cannot be changed: {error.said}",
                hint="move what is in the way to another folder",
            ) from error
        finally:
            if self.git.attempt("diff", "--quiet", "HEAD").code == 0:
                journal.unlink()


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


def _journal(git: Git) -> Path:
    return Path(git("rev-parse", "--absolute-git-dir")) / "gobun-moving"


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
    return found


def _undo_half_a_move(checkout: Checkout) -> None:
    """Go back to where a killed move came from."""
    journal = _journal(checkout.git)
    if not journal.is_file():
        return
    start, end = journal.read_text().split()
    (journal.parent / "index.lock").unlink(missing_ok=True)
    git = checkout.git
    moved = {name for name in git("diff", "--name-only", "-z", start, end).split("\0") if name}
    others = sorted(set(checkout.changes()) - moved)
    if others:
        raise UsageError(
            f"an interrupted change of {checkout.folder} cannot be undone, since these files were "
            f"changed too: {_listed(others)}",
            hint="save them elsewhere, then `git restore .` there",
        )
    console.say(f"going back to before an interrupted change of {checkout.folder}")
    for name in moved:  # a new file that the move had begun to write is not known to HEAD
        if not git.succeeds("cat-file", "-e", f"{start}:{name}"):
            (checkout.folder / name).unlink(missing_ok=True)
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
        there = _existing(store, version, descriptor)
        if there is not None and not discard and _matches(there, wanted, release):
            missing = _paths(store.missing(there.base))
            same = _is_release(store, there.base, release)
            return Fetched(there.folder, there.base, same, missing, there_before=True)
        if there is not None and not discard:
            there.check_untouched()
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
            private = Path(git("rev-parse", "--absolute-git-dir"))
            patterns = ["/*", *(f"!/{_literal(path)}" for path in missing)]
            files.write_whole(private / "info" / "sparse-checkout", "\n".join(patterns) + "\n")
            store.git("config", "core.sparseCheckout", "true")
            store.git("config", "core.sparseCheckoutCone", "false")
        git("read-tree", "-m", "-u", "HEAD")
    except GitError as error:
        raise FetchError(
            f"cannot check out {commit[:12]}: {error.said}", hint="run the same command again"
        ) from error
    store.git("update-ref", base_ref(version), commit)
    return missing


def _literal(path: str) -> str:
    """Quote what a pattern of git would read as more than a name."""
    return re.sub(r"([\\*?\[\]!# ])", r"\\\1", path)
