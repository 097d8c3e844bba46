"""The entries of the cache, and eviction while other processes use them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from gobun import cache, files, paths
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD_TIME = time.time() - 40 * 86_400


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "cache"))
    yield paths.cache_root()
    for number in cache.pinned_entries.values():
        os.close(number)
    cache.pinned_entries.clear()


def write_file(path: Path, size: int, *, when: float | None = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "content").write_bytes(bytes(size))
    if when is not None:
        os.utime(path / "content", (when, when))
        os.utime(path, (when, when))
    return path


def fill_cache(root: Path) -> None:
    write_file(root / "npm" / "@oven" / "bun-linux-x64" / "1.2.19", 3000)
    write_file(root / "npm" / "@oven" / "bun-linux-x64" / "1.2.1", 2000, when=OLD_TIME)
    write_file(root / "npm" / "node-api-headers" / "1.9.0", 10)
    write_file(root / "go" / "1.26.0", 500)
    write_file(root / "build" / "warmup-abc", 50, when=OLD_TIME)
    write_file(root / "go-build" / "00", 70)
    (root / "go-build.used").touch()


def names(entries: tuple[cache.CacheEntry, ...] | list[cache.CacheEntry]) -> list[str]:
    return [entry.name for entry in entries]


def test_cache_empty_has_no_entries(root: Path) -> None:
    assert cache.usage() == []
    assert "is empty" in cache.render([])
    assert cache.evict().removed == ()


def test_cache_usage_is_by_kind_and_size(root: Path) -> None:
    fill_cache(root)
    entries = [(entry.kind, entry.name, entry.size) for entry in cache.usage()]
    assert entries == [
        ("build", "warmup-abc", 50),
        ("go", "1.26.0", 500),
        ("go-build", "go-build", 70),
        ("npm", "@oven/bun-linux-x64@1.2.19", 3000),
        ("npm", "@oven/bun-linux-x64@1.2.1", 2000),
        ("npm", "node-api-headers@1.9.0", 10),
    ]
    table = cache.render(cache.usage())
    assert "@oven/bun-linux-x64@1.2.19" in table
    assert str(root) in table


def test_cache_interrupted_leftovers_are_listed_and_evicted(root: Path) -> None:
    folder = root / "npm" / "@oven" / "bun"
    folder.mkdir(parents=True)
    (folder / "1.2.3.tgz.part").write_bytes(bytes(100))
    (folder / "1.2.3.tgz.part.json").write_bytes(bytes(20))
    write_file(folder / ".1.2.3.abc123", 30)
    (entry,) = cache.usage()
    assert (entry.name, entry.size) == ("@oven/bun@1.2.3 (unfinished)", 150)
    assert cache.evict().freed_bytes == 150
    assert cache.usage() == []


def test_cache_evict_by_kind_removes_that_kind(root: Path) -> None:
    fill_cache(root)
    assert names(cache.evict(kinds=["go", "build"]).removed) == ["warmup-abc", "1.26.0"]
    assert {entry.kind for entry in cache.usage()} == {"npm", "go-build"}
    with pytest.raises(UsageError, match="did you mean: npm"):
        cache.evict(kinds=["nmp"])


@pytest.mark.parametrize("kind", ["bun-source", "patched"])
def test_cache_personal_files_are_evicted_only_by_name(root: Path, kind: str) -> None:
    work = root / kind / "trees" / "mine.zig"
    work.parent.mkdir(parents=True)
    work.write_text("hours of work")
    eviction = cache.evict()
    assert work.is_file()
    assert {entry.kind for entry in eviction.other_kinds} == {kind}
    assert cache.evict(older_than_days=0).other_kinds
    assert not cache.evict(kinds=(kind,)).other_kinds
    assert not work.exists()


def test_cache_evict_by_age_keeps_recent_entries(root: Path) -> None:
    fill_cache(root)
    eviction = cache.evict(older_than_days=30)
    assert names(eviction.removed) == ["warmup-abc", "@oven/bun-linux-x64@1.2.1"]
    assert eviction.freed_bytes == 2050


def test_cache_use_renews_an_entry(root: Path) -> None:
    fill_cache(root)
    cache.pin(root / "build" / "warmup-abc")
    assert names(cache.evict(older_than_days=30).removed) == ["@oven/bun-linux-x64@1.2.1"]


def test_cache_entry_in_use_or_creation_is_kept(root: Path) -> None:
    fill_cache(root)
    used = root / "npm" / "@oven" / "bun-linux-x64" / "1.2.19"
    cache.pin(used)
    cache.pin(used)
    with files.locked(root / "go" / "1.26.0"):
        eviction = cache.evict()
    assert sorted(names(eviction.used_now)) == ["1.26.0", "@oven/bun-linux-x64@1.2.19"]
    assert used.is_dir()


@pytest.mark.parametrize("kind", ["bun-check", "musl", "node-musl-x86_64", "vm-compiled", "new"])
@pytest.mark.parametrize("was_whole", [False, True])
def test_cache_entry_of_every_kind_is_kept_in_use(root: Path, kind: str, was_whole: bool) -> None:
    used = write_file(root / kind / "used", 10)
    write_file(root / kind / "other", 10)
    if was_whole:
        (root / f"{kind}.used").touch()
    cache.pin(used)
    cache.evict(kinds=[kind])
    assert used.is_dir()
    assert (root / kind / "other").exists() is was_whole


def test_cache_partial_entry_is_kept(root: Path) -> None:
    write_file(root / "build" / ".thing.abc123", 10)
    with files.locked(root / "build" / "thing"):
        assert names(cache.evict().used_now) == ["thing (unfinished)"]
    assert names(cache.evict().removed) == ["thing (unfinished)"]


def test_cache_hold_ends_with_its_own_process(root: Path) -> None:
    used = write_file(root / "build" / "thing", 10)
    code = (
        "import subprocess, sys; from pathlib import Path; from gobun import cache;"
        "cache.pin(Path(sys.argv[1]));"
        "child = subprocess.Popen(['sleep', '30'], close_fds=False); print(child.pid, flush=True);"
        "sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(used)],
        cwd=paths.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        assert names(cache.evict().used_now) == ["thing"]
        holder.kill()
        holder.wait()
        assert names(cache.evict().removed) == ["thing"]
    finally:
        os.kill(child, 9)
        holder.communicate()


def test_cache_read_only_tree_is_evicted(root: Path) -> None:
    folder = write_file(root / "gopath" / "mod" / "x", 10)
    (folder / "link").symlink_to("/etc")
    folder.chmod(0o555)
    (root / "gopath" / "mod").chmod(0o555)
    (root / "gopath.used").touch()
    assert names(cache.evict().removed) == ["gopath"]
    assert not (root / "gopath").exists()


def test_cache_hold_in_unwritable_cache_works(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache.pin(tmp_path / "file" / "below")
