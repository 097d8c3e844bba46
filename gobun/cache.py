"""What the cache holds, how large it is, and how it is emptied while others use it.

Two guards stand beside everything that is cached. ``X.lock`` is held by whoever makes ``X``.
``X.used`` is held, shared, from the moment a process asks for ``X`` to that process's end: a
fetched Bun runs long after the fetch is over, so the maker's lock alone would let an eviction
pull it away from under a run. The kernel drops both with their process, SIGKILL included, and
the mark's date says when ``X`` was last wanted. Neither file is ever removed: a guard that is
removed while another process opens it guards nothing.
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
_ONE_BY_ONE = {"asherah", "build", "deno", "go", "node", "patched", "ziglang"}
"""Kinds whose folder holds one entry a child; any other is one entry as a whole."""
_ONLY_BY_NAME = {"bun-source", "patched"}
"""Kinds with a person's own work, or what took hours to build: evicted only when named."""

_pinned: dict[Path, int] = {}
_pinning = threading.Lock()


class CacheEntry(msgspec.Struct, frozen=True):
    """One thing that can be evicted."""

    kind: str
    name: str
    guard: Path
    """What its lock and its mark are named after."""
    parts: tuple[Path, ...]
    size: int
    last_used: float


class Eviction(msgspec.Struct, frozen=True):
    """What an eviction did."""

    removed: tuple[CacheEntry, ...]
    busy: tuple[CacheEntry, ...]
    """Left alone, because a running process makes or uses it."""
    kept: tuple[CacheEntry, ...] = ()
    """Left alone, because its kind was not named."""

    @property
    def freed(self) -> int:
        """Bytes given back."""
        return sum(entry.size for entry in self.removed)


def pin(path: Path) -> None:
    """Keep ``path`` from eviction until this process ends, and note that it is used now.

    Call it before looking whether ``path`` is there. A cache that cannot be written can
    still be read, so a failure to make the mark is no error.
    """
    with _pinning, contextlib.suppress(OSError):
        mark = path.with_name(path.name + ".used")
        if mark not in _pinned:
            mark.parent.mkdir(parents=True, exist_ok=True)
            # Not inherited by children: what outlives this process must not hold on.
            number = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(number, fcntl.LOCK_SH)
            _pinned[mark] = number
        os.utime(mark)


def usage() -> list[CacheEntry]:
    """Return everything in the cache, by kind, the largest first."""
    found: list[CacheEntry] = []
    root = paths.cache_root()
    for kind, parts in _grouped(root).items():
        if kind == _NPM:
            for package in _npm_packages(root / kind):
                found += _entries(kind, package, f"{package.relative_to(root / kind)}@")
        elif kind in _ONE_BY_ONE:
            found += _entries(kind, root / kind)
        else:
            found.append(_entry(kind, kind, root / kind, parts))
    return sorted(found, key=lambda entry: (entry.kind, -entry.size, entry.name))


def evict(*, kinds: Iterable[str] = (), older_than_days: float | None = None) -> Eviction:
    """Remove what the cache holds: all of it, or some kinds, or what was not used of late.

    Checkouts of Bun's sources and patched Buns go only when their kind is named.

    Raises:
        UsageError: the cache holds no such kind.
        PrerequisiteError: something cannot be removed.
    """
    entries = usage()
    known = {entry.kind for entry in entries}
    wanted = set(kinds)
    for kind in sorted(wanted - known):
        raise UsageError.unknown("kind of cache entry", kind, sorted(known))
    since = time.time() - older_than_days * _DAY_S if older_than_days is not None else None
    removed: list[CacheEntry] = []
    busy: list[CacheEntry] = []
    kept: list[CacheEntry] = []
    for entry in entries:
        if wanted and entry.kind not in wanted:
            continue
        if since is not None and entry.last_used >= since:
            continue
        if not wanted and entry.kind in _ONLY_BY_NAME:
            kept.append(entry)
            continue
        (removed if _removed(entry) else busy).append(entry)
    return Eviction(tuple(removed), tuple(busy), tuple(kept))


def render(entries: Iterable[CacheEntry]) -> str:
    """Return the table of entries, with a sum for each kind."""
    listed = list(entries)
    if not listed:
        return f"{paths.cache_root()} is empty"
    width = max(len(entry.name) for entry in listed)
    lines = [f"{paths.cache_root()}: {_size(sum(entry.size for entry in listed))}"]
    for kind in sorted({entry.kind for entry in listed}):
        members = [entry for entry in listed if entry.kind == kind]
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
    found = _children(root)
    scoped = [package for scope in found if scope.name[0] == "@" for package in _children(scope)]
    return [package for package in found if package.name[0] != "@"] + scoped


def _entries(kind: str, folder: Path, prefix: str = "") -> Iterator[CacheEntry]:
    for name, parts in _grouped(folder).items():
        whole = any(part.name == name for part in parts)
        shown = f"{prefix}{name}" + ("" if whole else " (unfinished)")
        yield _entry(kind, shown, folder / name, parts)


def _grouped(folder: Path) -> dict[str, list[Path]]:
    """Return what is in ``folder`` by name; what is in the making belongs to what it becomes."""
    grouped: dict[str, list[Path]] = {}
    for child in _children(folder):
        if not child.name.endswith(_GUARDS):
            grouped.setdefault(_becomes(child.name), []).append(child)
    return grouped


def _becomes(name: str) -> str:
    if name.startswith("."):  # a temporary sibling: dot, name, dot, random
        name = name[1:].rpartition(".")[0] or name
    return name.removesuffix(".json").removesuffix(".part").removesuffix(".tgz")


def _entry(kind: str, name: str, guard: Path, parts: list[Path]) -> CacheEntry:
    size = 0
    last = 0.0
    for path in (*parts, guard.with_name(guard.name + ".used")):
        with contextlib.suppress(FileNotFoundError):
            last = max(last, path.stat().st_mtime)
    for part in parts:
        for file in (part, *_below(part)):
            # Others write here meanwhile: what is gone by now has no size.
            with contextlib.suppress(FileNotFoundError):
                status = file.lstat()
                if stat.S_ISREG(status.st_mode):
                    size += status.st_size
                if kind not in {_NPM, *_ONE_BY_ONE}:
                    last = max(last, status.st_mtime)
    return CacheEntry(kind, name, guard, tuple(parts), size, last)


def _below(folder: Path) -> Iterator[Path]:
    # Unlike rglob, walk passes over a folder that is gone by the time it gets there.
    for here, _folders, names in os.walk(folder):
        yield from (Path(here) / name for name in names)


def _removed(entry: CacheEntry) -> bool:
    """Remove an entry unless somebody makes or uses it; return whether it is gone."""
    with contextlib.ExitStack() as guards:
        try:
            guards.enter_context(_exclusive(entry.guard))
            guards.enter_context(files.locked(entry.guard, wait=False))
        except (BlockingIOError, filelock.Timeout):
            return False
        for part in entry.parts:
            with files.disk_errors(part):
                _remove(part)
    return True


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold the mark of ``path`` alone.

    Raises:
        BlockingIOError: a process holds it.
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
    """Remove a file or a tree; a tree leaves its name first, so that nobody sees half of it."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    doomed = path.with_name(f".{path.name.lstrip('.')}.evicted")
    if path != doomed:
        path.rename(doomed)
    for folder, _folders, _names in os.walk(doomed):
        Path(folder).chmod(0o755)  # Go's module cache is read-only
    shutil.rmtree(doomed)
