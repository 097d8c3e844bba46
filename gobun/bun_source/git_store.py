"""The one object store that every checkout of Bun shares.

One process at a time works on the store. Its git processes inherit the lock. A git process that
outlives a killed harness keeps the lock, so the next run waits for it. A lock file that remains
after that is stale.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import semver

from gobun import cache, console, files, paths
from gobun.bun_source.git import Git
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

KIND = "bun-source"


class Store(msgspec.Struct, frozen=True):
    """The object store. It is valid while its lock is held."""

    folder: Path
    git: Git

    def tree(self, version: str) -> Path:
        """Return the folder of the checkout of ``version``."""
        return tree_folder(version)

    def base(self, version: str) -> str | None:
        """Return the base commit of the checkout of ``version``, or None if it is not whole."""
        return self.git.commit_of(base_ref(version))

    def missing_files(self, commit: str) -> dict[str, list[str]]:
        """Return the files of ``commit`` whose content is missing from the store: id → paths."""
        absent = self.git.missing_objects(commit)
        missing_files: dict[str, list[str]] = {}
        for line in self.git("ls-tree", "-r", "-z", commit).split("\0") if absent else ():
            about, _, path = line.partition("\t")
            name = about.split(" ")[2] if path else ""
            if name in absent:
                missing_files.setdefault(name, []).append(path)
        return missing_files

    def missing_paths(self, commit: str) -> tuple[str, ...]:
        """Return the sorted paths of the files of ``commit`` whose content is missing."""
        return tuple(
            sorted(path for named in self.missing_files(commit).values() for path in named)
        )


def tree_folder(version: str) -> Path:
    """Return the folder of the checkout of ``version``.

    Raises:
        UsageError: the text is not a version.
    """
    if not semver.Version.is_valid(version):
        raise UsageError(f"{version!r} is not a release of Bun", hint="write it like 1.3.14")
    return paths.cache_root() / KIND / "trees" / version


def base_ref(version: str) -> str:
    """Return the name of the reference that stores a checkout's base."""
    return f"refs/gobun/base/{version}"


@contextlib.contextmanager
def open_store() -> Iterator[Store]:
    """Hold the store's lock, and create the store if it does not exist.

    Raises:
        PrerequisiteError: the cache cannot be written, or git is missing.
    """
    folder = paths.cache_root() / KIND
    cache.pin(folder)
    with inheritable_lock(folder) as descriptor:
        repository = folder / "store.git"
        if not (repository / "HEAD").is_file():
            with files.temporary_sibling(repository) as staged, files.disk_errors(repository):
                Git(staged, (descriptor,))("init", "--quiet", "--bare", staged / "it")
                files.publish_folder(staged / "it", repository)
        _remove_interrupted(repository)
        _relink(folder.resolve())
        yield Store(folder, Git(repository, (descriptor,)))


@contextlib.contextmanager
def inheritable_lock(path: Path) -> Iterator[int]:
    """Hold the lock that guards ``path``, and yield its descriptor.

    If this process is killed, a child that inherited the descriptor keeps the lock.

    Raises:
        PrerequisiteError: the lock file cannot be made.
    """
    lock = path.with_name(path.name + ".lock")
    with files.disk_errors(path):
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.log(f"waiting for another run that works on {path}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        # Unlock explicitly: otherwise a daemon that a build started keeps holding it.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _remove_interrupted(repository: Path) -> None:
    """Remove the files that an interrupted git left. Only the holder of the lock writes them."""
    leftovers = [
        *repository.glob("*.lock"),
        *repository.glob("refs/gobun/**/*.lock"),
        *repository.glob("objects/pack/tmp_*"),
    ]
    for path in leftovers:
        path.unlink(missing_ok=True)


def _relink(folder: Path) -> None:
    """Repair the paths by which store and checkouts refer to each other after a move or copy.

    Otherwise git would take the checkouts of a moved store for removed ones and forget their state.
    In a copied store it would change the state of the original's checkouts.
    """
    for gitdir_file in folder.glob("store.git/worktrees/*/gitdir"):
        link = folder / "trees" / gitdir_file.parent.name / ".git"
        if not link.is_file() or Path(link.read_text().strip()).name != gitdir_file.parent.name:
            continue  # a person made this work tree elsewhere
        for path, text in ((link, f"gitdir: {gitdir_file.parent}\n"), (gitdir_file, f"{link}\n")):
            if path.read_text() != text:
                files.write_whole(path, text)


def remove_tree(store: Store, version: str) -> None:
    """Remove a checkout and its records in the store.

    Raises:
        PrerequisiteError: the folder cannot be removed.
    """
    store.git.attempt("update-ref", "-d", base_ref(version))
    folder = store.tree(version)
    with files.disk_errors(folder):
        if folder.exists():
            shutil.rmtree(folder)
    store.git("worktree", "prune", "--expire=now")
