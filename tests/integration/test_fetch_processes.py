"""Downloads with failing disks, several processes, and killed processes."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from fetch_registry import (
    HALF_SIZE,
    NAME,
    Handler,
    Registry,
    locked_package,
    nothing_kept,
    npm_archive,
    prepared,
    release_marks,
    send_whole,
    stall_after,
)

from gobun import cache, fetch, paths
from gobun.errors import PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    with prepared(tmp_path, monkeypatch) as served:
        yield served


UNPACKS_LARGE = npm_archive({"package/bin/tool": bytes(4_000_000)})
UNPACKS_TO_MANY = npm_archive({f"package/{number}": b"" for number in range(50)})


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        pytest.param(None, "size=200k", id="while downloading"),
        pytest.param(None, "size=12k", id="at the first bytes"),
        pytest.param(UNPACKS_LARGE, "size=200k", id="while unpacking"),
        pytest.param(None, "nr_inodes=7", id="no file for the part"),
        pytest.param(UNPACKS_TO_MANY, "nr_inodes=30", id="no file while unpacking"),
    ],
)
def test_fetch_full_disk_is_reported(
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: bytes | None,
    limits: str,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", limits, "none", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        monkeypatch.setenv("GOBUN_CACHE", str(disk))
        package = locked_package(registry, data=data)
        with pytest.raises(PrerequisiteError, match="no space is left") as caught:
            fetch.fetch_packages([package])
        assert caught.value.exit_code == 3
        assert nothing_kept(package)
    finally:
        release_marks(cache.pinned_entries)
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_fetch_disk_error_while_unpacking_is_reported(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    package = locked_package(registry)
    monkeypatch.setattr("gobun.fetch.archive.os.fsync", full)
    with pytest.raises(PrerequisiteError, match="no space is left"):
        fetch.fetch_packages([package])
    assert not fetch.package_folder(package).exists()


def test_fetch_unwritable_cache_is_reported(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locked_package(registry)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "file"))
    with pytest.raises(PrerequisiteError, match="GOBUN_CACHE") as caught:
        fetch.fetch_packages([package])
    assert caught.value.exit_code == 3


# --- several processes, and their ends

CHILD = """
import sys
from pathlib import Path
from gobun import fetch, paths
paths.LOCK_FILE = Path(sys.argv[1])
fetch.fetch_packages([fetch.Package(sys.argv[2], sys.argv[3])])
print("have it", flush=True)
sys.stdin.read()
"""


def child_fetching(package: fetch.Package) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(paths.LOCK_FILE), package.name, package.version],
        cwd=paths.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_fetch_two_processes_share_one_download(registry: Registry) -> None:
    def slow(handler: Handler, data: bytes) -> None:
        time.sleep(1.5)
        send_whole(handler, data)

    package = locked_package(registry)
    registry.answer(package, slow)
    children = [child_fetching(package) for _ in range(2)]
    for child in children:
        _, err = child.communicate("", timeout=60)
        assert child.returncode == 0, err
    assert len(registry.requests_for(package)) == 1
    assert (fetch.package_folder(package) / "bin" / "tool").is_file()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_fetch_killed_run_is_resumed(registry: Registry, signal_number: signal.Signals) -> None:
    package = locked_package(registry)
    registry.answer(package, stall_after(HALF_SIZE, seconds=60))
    child = child_fetching(package)
    part = fetch.package_folder(package).with_name(f"{package.version}.tgz.part")
    last = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size == HALF_SIZE):
        assert time.monotonic() < last
        time.sleep(0.02)
    child.send_signal(signal_number)
    began = time.monotonic()
    _, err = child.communicate(timeout=30)
    assert time.monotonic() - began < 20, "an interruption does not wait for the host"
    assert child.returncode != 0, err
    assert nothing_kept(package, part=True)
    registry.answers.clear()
    fetch.fetch_packages([package])
    assert registry.requests_for(package)[-1].range == f"bytes={HALF_SIZE}-"
    assert (fetch.package_folder(package) / "bin" / "tool").is_file()


def test_fetch_partially_unpacked_folder_is_removed(registry: Registry) -> None:
    package = locked_package(registry)
    left = fetch.package_folder(package).parent / f".{package.version}.abc123"
    (left / "package").mkdir(parents=True)
    assert fetch.cached_versions(NAME) == ()
    fetch.fetch_packages([package])
    assert not left.exists()
    assert fetch.cached_versions(NAME) == (package.version,)


def test_cache_eviction_spares_entries_in_use(registry: Registry) -> None:
    package = locked_package(registry)
    child = child_fetching(package)
    assert child.stdout is not None
    assert child.stdout.readline() == "have it\n"
    eviction = cache.evict()
    assert [entry.name for entry in eviction.used_now] == [str(package)]
    assert fetch.package_folder(package).is_dir()
    child.communicate("", timeout=30)
    assert cache.evict().freed_bytes > 300_000
    assert cache.usage() == []
