"""Lists the cache, and evicts the entries that no process uses.

Two lock files guard every cache entry. The process that makes ``X`` holds ``X.lock``. Each process
that uses ``X`` holds ``X.used``, shared, from its first request until it ends. A fetched Bun runs
long after the fetch, so with the first lock alone an eviction could remove it during a run. The
kernel releases both when their process ends, even after SIGKILL. The date of ``X.used`` is the time
of the last use. Neither file is ever removed, because a lock file that is removed while another
process opens it guards nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import msgspec

from gobun import files, paths
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GUARDS = (".lock", ".used")
_DAY_S = 86_400.0
_NPM = "npm"
_ONLY_BY_NAME = {"bun-source", "patched"}
"""Kinds that hold a person's own work, or builds that take hours. They are evicted only by name."""

pinned_entries: dict[Path, int] = {}
"""The ``.used`` files that this process holds, and the open descriptor of each."""
_pinning = threading.Lock()


class CacheEntry(msgspec.Struct, frozen=True):
    """One entry that can be evicted."""

    kind: str
    name: str
    guard: Path
    """The path that its two lock files are named after."""
    parts: tuple[Path, ...]
    """Its files and folders."""
    size: int
    """Bytes."""
    last_used: float
    """Seconds since the epoch."""


class Eviction(msgspec.Struct, frozen=True):
    """The result of an eviction."""

    removed: tuple[CacheEntry, ...]
    used_now: tuple[CacheEntry, ...]
    """Entries that were kept because a running process makes or uses them."""
    other_kinds: tuple[CacheEntry, ...] = ()
    """Entries that were kept because their kind was not named."""

    @property
    def freed_bytes(self) -> int:
        """Bytes freed."""
        return sum(entry.size for entry in self.removed)


def pin(path: Path) -> None:
    """Keep ``path`` from eviction until this process ends, and record its use.

    Call it before you check whether ``path`` exists. A cache that cannot be written can still be
    read, so a failure to create the ``.used`` file is not an error.
    """
    with _pinning, contextlib.suppress(OSError):
        mark = path.with_name(path.name + ".used")
        if mark not in pinned_entries:
            mark.parent.mkdir(parents=True, exist_ok=True)
            # Children do not inherit it: one that outlives this process must not keep the lock.
            number = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(number, fcntl.LOCK_SH)
            pinned_entries[mark] = number
        os.utime(mark)


def usage() -> list[CacheEntry]:
    """Return all entries, sorted by kind, and the largest of each kind first."""
    entries: list[CacheEntry] = []
    root = paths.cache_root()
    for kind, parts in _grouped(root).items():
        if kind == _NPM:
            for package in _npm_packages(root / kind):
                entries += _entries(kind, package, f"{package.relative_to(root / kind)}@")
        elif _is_whole(root / kind):
            entries.append(_entry(kind, kind, root / kind, parts, is_whole=True))
        else:
            entries += _entries(kind, root / kind)
    return sorted(entries, key=lambda entry: (entry.kind, -entry.size, entry.name))


def evict(*, kinds: Iterable[str] = (), older_than_days: float | None = None) -> Eviction:
    """Remove the cache entries that no process makes or uses.

    ``kinds`` restricts this to some kinds, and ``older_than_days`` to entries without a use in that
    many days. Checkouts of Bun's sources and patched Buns are removed only if ``kinds`` names them.

    Raises:
        UsageError: the cache holds no such kind.
        PrerequisiteError: an entry cannot be removed.
    """
    entries = usage()
    known_kinds = {entry.kind for entry in entries}
    kinds_to_evict = set(kinds)
    for kind in sorted(kinds_to_evict - known_kinds):
        raise UsageError.unknown("kind of cache entry", kind, sorted(known_kinds))
    oldest_use = time.time() - older_than_days * _DAY_S if older_than_days is not None else None
    removed: list[CacheEntry] = []
    busy: list[CacheEntry] = []
    other_kinds: list[CacheEntry] = []
    for entry in entries:
        if kinds_to_evict and entry.kind not in kinds_to_evict:
            continue
        if oldest_use is not None and entry.last_used >= oldest_use:
            continue
        if not kinds_to_evict and entry.kind in _ONLY_BY_NAME:
            other_kinds.append(entry)
            continue
        (removed if _remove_unused(entry) else busy).append(entry)
    return Eviction(tuple(removed), tuple(busy), tuple(other_kinds))


def render(entries: Iterable[CacheEntry]) -> str:
    """Return the table of entries, with a sum for each kind."""
    entry_list = list(entries)
    if not entry_list:
        return f"{paths.cache_root()} is empty"
    width = max(len(entry.name) for entry in entry_list)
    lines = [f"{paths.cache_root()}: {_size(sum(entry.size for entry in entry_list))}"]
    for kind in sorted({entry.kind for entry in entry_list}):
        members = [entry for entry in entry_list if entry.kind == kind]
        lines.append(f"{kind}: {_size(sum(entry.size for entry in members))}")
        for entry in members:
            day = time.strftime("%Y-%m-%d", time.localtime(entry.last_used))
            lines.append(f"  {entry.name:<{width}}  {_size(entry.size):>10}  last used {day}")
    return "\n".join(lines)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _npm_packages(root: Path) -> list[Path]:
    """Return the folders of packages; those with a scope are one level deeper."""
    folders = _children(root)
    scoped = [package for scope in folders if scope.name[0] == "@" for package in _children(scope)]
    return [package for package in folders if package.name[0] != "@"] + scoped


def _is_whole(folder: Path) -> bool:
    """Return whether a kind is a single entry, and so was pinned itself."""
    return folder.with_name(folder.name + ".used").exists()


def _entries(kind: str, folder: Path, prefix: str = "") -> Iterator[CacheEntry]:
    for name, parts in _grouped(folder).items():
        is_whole = any(part.name == name for part in parts)
        display_name = f"{prefix}{name}" + ("" if is_whole else " (unfinished)")
        yield _entry(kind, display_name, folder / name, parts)


def _grouped(folder: Path) -> dict[str, list[Path]]:
    """Return the files of ``folder`` by entry. Temporary files belong to their future entry."""
    grouped: dict[str, list[Path]] = {}
    for child in _children(folder):
        if not child.name.endswith(_GUARDS):
            grouped.setdefault(_final_name(child.name), []).append(child)
    return grouped


def _final_name(name: str) -> str:
    if name.startswith("."):  # a temporary sibling: dot, name, dot, random
        name = name[1:].rpartition(".")[0] or name
    return name.removesuffix(".json").removesuffix(".part").removesuffix(".tgz")


def _entry(
    kind: str, name: str, guard: Path, parts: list[Path], *, is_whole: bool = False
) -> CacheEntry:
    size = 0
    last = 0.0
    for path in (*parts, guard.with_name(guard.name + ".used")):
        with contextlib.suppress(FileNotFoundError):
            last = max(last, path.stat().st_mtime)
    for part in parts:
        for file in (part, *_walk_files(part)):
            # Other processes write here at the same time, so a file may have gone. It has no size
            # then.
            with contextlib.suppress(FileNotFoundError):
                status = file.lstat()
                if stat.S_ISREG(status.st_mode):
                    size += status.st_size
                # A kind that is a single entry is as recent as its newest file.
                if is_whole:
                    last = max(last, status.st_mtime)
    return CacheEntry(kind, name, guard, tuple(parts), size, last)


def _walk_files(folder: Path) -> Iterator[Path]:
    # Unlike rglob, walk skips a folder that another process has just removed.
    for place, _folders, names in os.walk(folder):
        yield from (Path(place) / name for name in names)


def _remove_unused(entry: CacheEntry) -> bool:
    """Remove an entry unless a process makes or uses it, and return whether it was removed."""
    with contextlib.ExitStack() as guards:
        try:
            guards.enter_context(_exclusive(entry.guard))
            guards.enter_context(files.locked(entry.guard, wait=False))
            for mark in (mark for part in entry.parts for mark in part.glob("*.used")):
                guards.enter_context(_exclusive(mark.with_suffix("")))
        except (BlockingIOError, filelock.Timeout):
            return False
        for part in entry.parts:
            with files.disk_errors(part):
                _remove(part)
    return True


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold the ``.used`` file of ``path`` alone.

    Raises:
        BlockingIOError: another process holds it.
    """
    mark = path.with_name(path.name + ".used")
    with files.disk_errors(mark):
        number = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(number)


def _remove(path: Path) -> None:
    """Remove a file or a tree. A tree is renamed first, so that no process sees half of it."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    doomed = path.with_name(f".{path.name.lstrip('.')}.evicted")
    if path != doomed:
        path.rename(doomed)
    for folder, _folders, _names in os.walk(doomed):
        Path(folder).chmod(0o755)  # Go's module cache is read-only
    shutil.rmtree(doomed)
