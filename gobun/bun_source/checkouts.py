"""Creates, opens and locks the checkouts of Bun."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from gobun import console, files
from gobun.bun_source.checkout import Checkout, is_release
from gobun.bun_source.checkout_transaction import roll_back
from gobun.bun_source.commits import BunCommit
from gobun.bun_source.git import Git, GitError
from gobun.bun_source.git_store import (
    Store,
    base_ref,
    inheritable_lock,
    open_store,
    remove_tree,
    tree_folder,
)
from gobun.bun_source.import_source import check_archived, fetch_missing_files, import_commit
from gobun.bun_source.submodules import FilledSubmodule, Sources, fill_submodules
from gobun.errors import FetchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gobun.bun_source.origin import Origin


class Fetched(msgspec.Struct, frozen=True):
    """The result of a fetch."""

    folder: Path
    base: str
    is_release: bool
    """Whether this is the release's commit or has exactly its files."""
    missing: tuple[str, ...]
    """Files whose content is missing from the origin."""
    there_before: bool
    """Whether an existing checkout was kept."""
    submodules: tuple[FilledSubmodule, ...] = ()


@contextlib.contextmanager
def open_checkout(version: str) -> Iterator[Checkout]:
    """Lock the checkout of ``version``, undo an interrupted change of it, and yield it.

    Raises:
        UsageError: there is no checkout, or an interrupted change of it cannot be undone.
    """
    # Take the work tree's lock first, so that a long build of one version blocks no other.
    with inheritable_lock(tree_folder(version)) as descriptor, open_store() as store:
        checkout = _find_checkout(store, version, descriptor)
        if checkout is None:
            raise UsageError(
                f"there is no checkout of Bun {version}",
                hint=f"invoke fetch-bun --version {version}",
            )
        yield checkout


@contextlib.contextmanager
def tree_locked(version: str) -> Iterator[tuple[str, int]]:
    """Lock the work tree of ``version``, not the store. Yield its HEAD and the lock's descriptor.

    Raises:
        UsageError: there is no checkout.
    """
    with open_checkout(version) as checkout:
        folder = checkout.folder
    with inheritable_lock(folder) as descriptor:
        yield Git(folder, (descriptor,))("rev-parse", "HEAD"), descriptor


def _find_checkout(store: Store, version: str, descriptor: int) -> Checkout | None:
    base = store.base(version)
    folder = store.tree(version)
    if base is None or not (folder / ".git").is_file():
        return None
    git = Git(folder, (*store.git.kept_descriptors, descriptor))
    checkout = Checkout(version, folder, base, git, store)
    roll_back(checkout)
    _take_in(checkout)
    return checkout


def _take_in(checkout: Checkout) -> None:
    """Write the files whose content was missing at first and came with a later fetch."""
    git, path = checkout.git, _left_out_by(checkout.git)
    if not path.is_file():
        return
    entries = git("ls-files", "-t", "-z").split("\0")
    out = [line[2:] for line in entries if line.startswith("S ")]
    missing = checkout.store.missing_paths(checkout.base)
    # Leave any other patterns alone, because a person set them.
    if set(out) - set(missing) and path.read_text() in map(_patterns, (out, missing)):
        console.log(f"adding the files that were missing from {checkout.folder}")
        files.write_whole(path, _patterns(missing))
        git("read-tree", "-m", "-u", "HEAD")


def fetch_checkout(
    version: str,
    origin: Origin,
    *,
    release: BunCommit | None,
    ref: str = "",
    discard: bool = False,
    sources: Sources | None = None,
) -> Fetched:
    """Ensure that there is a whole checkout of ``version``, at its release or at ``ref``.

    ``sources`` overrides the addresses of submodules in ``.gitmodules``. ``discard`` replaces an
    existing checkout, even one that holds a person's work.

    Raises:
        UsageError: ``version`` is unknown and no ``ref`` is given, or a person's work is in the
            way and must not be discarded.
        FetchError: an origin cannot be read, lacks the commit, or does not match the release.
        PrerequisiteError: the disk is full.
    """
    if release is None and not ref:
        raise UsageError(f"the commit of Bun {version} is not known", hint="give --ref COMMIT")
    ref_or_commit = ref or (release.commit if release else "")
    with inheritable_lock(tree_folder(version)) as descriptor, open_store() as store:
        existing = None if discard else _find_checkout(store, version, descriptor)
        can_keep = existing is not None and _is_at_revision(existing, ref_or_commit, release)
        if existing is not None and can_keep:
            _fetch_missing(existing, origin)
        else:
            if existing is not None:
                existing.check_untouched(untracked=True)
            _renew(store, version, origin, _CommitRequest(ref_or_commit, release, by_ref=bool(ref)))
        checkout = _find_checkout(store, version, descriptor) or _raise_removed(version)
        return Fetched(
            checkout.folder,
            checkout.base,
            is_release(store, checkout.base, release),
            store.missing_paths(checkout.base),
            there_before=can_keep,
            submodules=tuple(fill_submodules(checkout, sources or Sources())),
        )


class _CommitRequest(msgspec.Struct, frozen=True):
    """The commit to check out."""

    commit: str
    """Its id, or a branch or tag of the origin."""
    release: BunCommit | None
    by_ref: bool
    """Whether a person named it. Then it need not match the release."""


def _raise_removed(version: str) -> NoReturn:
    raise FetchError(
        f"the checkout of Bun {version} was removed while it was fetched",
        hint="run the same command again",
    )


def _fetch_missing(checkout: Checkout, origin: Origin) -> None:
    """Fetch the files whose content was missing from an earlier origin."""
    if origin.can_complete and checkout.store.missing_paths(checkout.base):
        fetch_missing_files(checkout.store, origin, checkout.base)
        _take_in(checkout)


def _renew(store: Store, version: str, origin: Origin, request: _CommitRequest) -> None:
    """Check out the requested commit as ``version``, and remove an existing checkout first."""
    commit = import_commit(store, origin, request.commit, f"bun-v{version}")
    release, same = request.release, is_release(store, commit, request.release)
    if origin.kind == "archive" and not same:
        check_archived(origin, request.commit)
    # Without the id of the release's tree, the files of an archive cannot be compared.
    unknowable = origin.kind == "archive" and release is not None and release.tree is None
    if not same and not request.by_ref and not unknowable:
        raise FetchError(
            f"{origin.location} is not Bun {version}: its files differ from the release",
            hint="give the right --source, or take any commit with `--ref`",
        )
    remove_tree(store, version)
    _add_tree(store, version, commit)


def _is_at_revision(checkout: Checkout, revision: str, release: BunCommit | None) -> bool:
    if checkout.store.git.commit_of(revision) == checkout.base:
        return True
    is_release_commit = release is not None and revision == release.commit
    return is_release_commit and is_release(checkout.store, checkout.base, release)


def _add_tree(store: Store, version: str, commit: str) -> None:
    """Make the work tree. The reference that marks it as whole is written last."""
    folder = store.tree(version)
    missing = store.missing_paths(commit)
    console.log(f"checking out Bun {version} to {folder}")
    try:
        store.git("worktree", "add", "--quiet", "--detach", "--no-checkout", folder, commit)
        git = Git(folder, store.git.kept_descriptors)
        if missing:
            # Leave files without content out of this work tree, so that git can write the rest.
            files.write_whole(_left_out_by(git), _patterns(missing))
            store.git("config", "core.sparseCheckout", "true")
            store.git("config", "core.sparseCheckoutCone", "false")
            # Keep a file that a person put there.
            store.git("config", "sparse.expectFilesOutsideOfPatterns", "true")
        git("read-tree", "-m", "-u", "HEAD")
    except GitError as error:
        raise FetchError(
            f"cannot check out {commit[:12]}: {error.reason}", hint="run the same command again"
        ) from error
    store.git("update-ref", base_ref(version), commit)


def _left_out_by(git: Git) -> Path:
    return git.private_folder / "info" / "sparse-checkout"


def _patterns(missing_paths: Sequence[str]) -> str:
    return "\n".join(["/*", *(f"!/{_literal(path)}" for path in missing_paths)]) + "\n"


def _literal(path: str) -> str:
    """Quote the characters that are special in a git pattern."""
    return re.sub(r"([\\*?\[\]!# ])", r"\\\1", path)
