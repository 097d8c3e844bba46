"""Real git fetches sources from repositories, a daemon, bundles and archives, also interrupted."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import bun_upstream as up
import filelock
import pytest

from gobun import bun_source, files, paths
from gobun.bun_source import BunCommit, Fetched
from gobun.bun_source.git_store import open_store
from gobun.errors import FetchError, PrerequisiteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

ORIGINAL_TREE = up.GOLDEN / "series" / "before"
ROUND = 5
"""Files that one request of a separate run asks for."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "the cache"
    monkeypatch.setenv("GOBUN_CACHE", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))  # no identity, no settings of the person
    return folder


@pytest.fixture
def upstream(tmp_path: Path) -> up.Upstream:
    return up.make_upstream(tmp_path / "up stream", ORIGINAL_TREE, older=3)


def fetch(
    source: Path | str, release: BunCommit | None, ref: str = "", *, discard: bool = False
) -> Fetched:
    origin = bun_source.parse_origin(str(source))
    return bun_source.fetch_checkout(up.VERSION, origin, release=release, ref=ref, discard=discard)


def check_whole(cache: Path, commit: str) -> None:
    tree = up.tree_of(cache)
    assert up.contents(tree) == up.contents(ORIGINAL_TREE)
    assert up.git(tree, "rev-parse", "HEAD") == commit
    assert up.git(tree, "status", "--porcelain") == ""


def test_fetch_bun_repository_checks_out_the_release(cache: Path, upstream: up.Upstream) -> None:
    fetched = fetch(upstream.folder, upstream.release)
    assert (fetched.base, fetched.is_release, fetched.missing) == (upstream.commit, True, ())
    assert not fetched.there_before
    check_whole(cache, upstream.commit)
    assert fetch(upstream.folder, upstream.release).there_before


def test_fetch_bun_git_daemon_serves_only_needed_files(cache: Path, upstream: up.Upstream) -> None:
    for filters in (True, False):
        with up.serve_repositories(upstream.folder.parent, filters=filters) as url:
            fetch(f"{url}/up%20stream", upstream.release, discard=not filters)
        check_whole(cache, upstream.commit)
    store = cache / "bun-source" / "store.git"
    older = up.git(upstream.folder, "rev-parse", "main~2")
    with pytest.raises(AssertionError):
        up.git(store, "-c", "protocol.allow=never", "cat-file", "-e", older)


def test_fetch_bun_branch_of_fork_is_accepted(cache: Path, upstream: up.Upstream) -> None:
    newer, older = up.git(upstream.folder, "rev-parse", "main", "main~2").split()
    with up.serve_repositories(upstream.folder.parent) as url:
        fetched = fetch(f"{url}/up%20stream", upstream.release, "main")
        assert (fetched.base, fetched.is_release) == (newer, False)
        with pytest.raises(FetchError, match="give all 40 digits"):
            fetch(f"{url}/up%20stream", upstream.release, older[:12])
        with pytest.raises(FetchError, match="has no commit mian"):
            fetch(f"{url}/up%20stream", upstream.release, "mian")


def test_fetch_bun_shallow_clone_is_accepted(
    cache: Path, tmp_path: Path, upstream: up.Upstream
) -> None:
    tag = f"--branch=bun-v{up.VERSION}"
    clone = ("clone", "--quiet", "--depth=1", tag, f"file://{upstream.folder}", "shallow")
    up.git(tmp_path, *clone)
    fetch(tmp_path / "shallow", upstream.release)
    check_whole(cache, upstream.commit)


def test_fetch_bun_bundle_is_accepted(cache: Path, tmp_path: Path, upstream: up.Upstream) -> None:
    bundle = tmp_path / "all.bundle"
    up.git(upstream.folder, "bundle", "create", "--quiet", str(bundle), "--all")
    fetch(bundle, upstream.release)
    check_whole(cache, upstream.commit)


@pytest.mark.parametrize("known_tree", [True, False])
def test_fetch_bun_archive_is_identified_by_its_files(
    cache: Path, tmp_path: Path, upstream: up.Upstream, known_tree: bool
) -> None:
    archive = tmp_path / "bun.tar.gz"
    words = ("--format=tar.gz", "--prefix=bun-9.9.1/", f"--output={archive}", upstream.commit)
    up.git(upstream.folder, "archive", *words)
    release = upstream.release if known_tree else BunCommit(upstream.commit)
    assert fetch(archive, release).is_release is known_tree
    assert up.contents(up.tree_of(cache)) == up.contents(ORIGINAL_TREE)
    tree = up.git(up.tree_of(cache), "rev-parse", "HEAD^{tree}")
    assert tree == upstream.release.tree
    assert fetch(archive, release).there_before is known_tree
    with pytest.raises(FetchError, match=f"has commit {upstream.commit}, not {'ab' * 20}"):
        fetch(archive, BunCommit("ab" * 20), discard=True)


def test_fetch_bun_archive_of_other_project_is_rejected(
    cache: Path, tmp_path: Path, upstream: up.Upstream
) -> None:
    archive = tmp_path / "other.tar"
    with tarfile.open(archive, "w") as opened:
        opened.add(up.GOLDEN / "series" / "after", "bun")
    with pytest.raises(FetchError, match="its files differ from the release"):
        fetch(archive, upstream.release)
    assert not up.tree_of(cache).exists()
    for name in ("../outside", "bun/../../outside", "bun/.git/config"):
        with tarfile.open(archive, "w") as opened:
            opened.addfile(tarfile.TarInfo("bun/a"))
            opened.addfile(tarfile.TarInfo(name))
        with pytest.raises(FetchError, match="points outside of the sources"):
            fetch(archive, upstream.release)


def test_fetch_bun_archive_with_dangling_link_is_accepted(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bun"
    folder.mkdir()
    for name, target in (("out", "/etc/passwd"), ("nowhere", "x/y"), (os.fsdecode(b"\xe9"), "out")):
        (folder / name).symlink_to(target)
    with tarfile.open(tmp_path / "links.tar", "w") as opened:
        opened.add(folder, "bun")
    fetch(tmp_path / "links.tar", BunCommit("ab" * 20))
    for link in folder.iterdir():
        assert (up.tree_of(cache) / link.name).readlink() == link.readlink()


def test_fetch_bun_damaged_archive_is_rejected(cache: Path, tmp_path: Path) -> None:
    up.put(tmp_path / "bun", {f"src/{number}": os.urandom(5_000) for number in range(40)})
    for kind in ("gz", "xz"):
        archive = tmp_path / f"bun.tar.{kind}"
        # busybox has no xz that compresses.
        opener = tarfile.TarFile.gzopen if kind == "gz" else tarfile.TarFile.xzopen
        with opener(str(archive), "w") as opened:
            opened.add(tmp_path / "bun", "bun")
        data, middle = archive.read_bytes(), archive.stat().st_size // 2
        # Noise is not compressed, so only the checksum at the end of the archive reveals the
        # damage.
        archive.write_bytes(data[:middle] + bytes(50) + data[middle + 50 :])
        with pytest.raises(FetchError, match=f"tar.{kind} cannot be read"):
            fetch(archive, BunCommit("ab" * 20))
    empty, large = tmp_path / "empty.tar", tmp_path / "large.tar"
    with tarfile.open(empty, "w"), tarfile.open(large, "w") as opened:
        member = tarfile.TarInfo("bun/large")
        member.size = 1 << 40
        opened.addfile(member)
    for archive, reason in ((empty, "it has no files"), (large, "it has more than 4,294,967,296")):
        with pytest.raises(FetchError, match=reason):
            fetch(archive, BunCommit("ab" * 20))


def test_fetch_bun_source_without_commit_is_rejected(cache: Path, upstream: up.Upstream) -> None:
    with pytest.raises(FetchError, match=f"has no commit {'ab' * 20}"):
        fetch(upstream.folder, BunCommit("ab" * 20))
    assert not up.tree_of(cache).exists()


def test_fetch_bun_other_commit_by_ref_is_labelled(cache: Path, upstream: up.Upstream) -> None:
    newer = up.git(upstream.folder, "rev-parse", "main")
    fetched = fetch(upstream.folder, upstream.release, "main")
    assert (fetched.base, fetched.is_release) == (newer, False)
    assert fetch(upstream.folder, upstream.release, newer[:12]).base == newer
    assert fetch(upstream.folder, upstream.release).base == upstream.commit
    check_whole(cache, upstream.commit)


def test_fetch_bun_unknown_version_needs_a_ref(cache: Path, upstream: up.Upstream) -> None:
    with pytest.raises(UsageError, match=r"the commit of Bun 9\.9\.1 is not known"):
        fetch(upstream.folder, None)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("nowhere", "no such file"),
        (".", "not a git repository"),
        ("text", "neither a bundle nor"),
        ("~nobody-of-that-name/bun", "cannot be read"),
        ("a" * 300, "cannot be read"),
    ],
)
def test_fetch_bun_invalid_source_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, wrong: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("text")
    with pytest.raises(UsageError, match=wrong):
        bun_source.parse_origin(text)


def test_fetch_bun_without_source_uses_upstream() -> None:
    origin = bun_source.parse_origin()
    assert (origin.kind, origin.location.rpartition("/")[2]) == ("url", "bun.git")
    assert origin.location.split("/")[3] == "oven-sh"


def test_fetch_bun_bundle_without_its_base_is_rejected(
    cache: Path, tmp_path: Path, upstream: up.Upstream
) -> None:
    bundle = tmp_path / "newest.bundle"
    up.git(upstream.folder, "bundle", "create", "--quiet", str(bundle), "main~1..main")
    with pytest.raises(FetchError, match="lacks these prerequisite commits"):
        fetch(bundle, upstream.release)


def test_fetch_bun_unreachable_host_exits_4(cache: Path, upstream: up.Upstream) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"git://127.0.0.1:{closed.getsockname()[1]}/bun"
    with pytest.raises(FetchError, match="cannot fetch from git://127"):
        fetch(url, upstream.release)


def test_fetch_bun_local_work_is_kept(cache: Path, upstream: up.Upstream) -> None:
    fetch(upstream.folder, upstream.release)
    tree = up.tree_of(cache)
    (tree / "src" / "main.zig").write_text("mine\n")
    with pytest.raises(UsageError, match=r"not committed: src/main\.zig"):
        fetch(upstream.folder, upstream.release, "main")
    up.commit_all(tree, "Mine")
    with pytest.raises(UsageError, match="has commits that are not in the series"):
        fetch(upstream.folder, upstream.release, "main")
    fetch(upstream.folder, upstream.release, discard=True)
    check_whole(cache, upstream.commit)


def test_fetch_bun_file_missing_from_mirror_is_reported(
    cache: Path, tmp_path: Path, upstream: up.Upstream
) -> None:
    mirror = up.lossy_copy(upstream, tmp_path, "src/main.zig")
    fetched = fetch(mirror, upstream.release)
    assert fetched.missing == ("src/main.zig",)
    tree = up.tree_of(cache)
    assert sorted(up.contents(tree)) == sorted(set(up.contents(ORIGINAL_TREE)) - {"src/main.zig"})
    assert up.git(tree, "status", "--porcelain") == ""


def run_fetch(url: str, release: BunCommit) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from gobun import bun_source as b; "
        "from gobun.bun_source import import_source as i; "
        f"i._ROUND = {ROUND}; b.fetch_checkout("
        f"{up.VERSION!r}, b.parse_origin(sys.argv[1]), release=b.BunCommit(*sys.argv[2:]))"
    )
    words = [sys.executable, "-c", code, url, release.commit, str(release.tree)]
    return subprocess.Popen(words, cwd=paths.ROOT, stderr=subprocess.DEVNULL)


class Stalling:
    """Passes on ``allowed`` bytes of a daemon, then stalls with the connection open."""

    def __init__(self, target: str, allowed: int) -> None:
        host, port = target.removeprefix("git://").split(":")
        self.target = (host, int(port))
        self.left = allowed
        self.has_stalled, self.over = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"git://127.0.0.1:{self.listener.getsockname()[1]}"
        self.opened = [self.listener]
        self.threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.start(self.accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for each in self.opened:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self.threads:
            thread.join(10)

    def start(self, target: Callable[..., None], *args: object) -> None:
        self.threads.append(threading.Thread(target=target, args=args))
        self.threads[-1].start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
                self.opened += [client, server]
                self.start(self.forward_request, client, server)
                self.start(self.forward_response, server, client)

    def forward_request(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(4096):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def forward_response(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(4096):
                self.left -= len(data)
                if self.left < 0:
                    self.has_stalled.set()
                    self.over.wait(30)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


def git_below(folder: Path) -> list[int]:
    """Return the git processes that work on a folder."""
    repositories = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"git") and str(folder).encode() in words:
                repositories.append(int(entry.name))
    return repositories


def test_fetch_bun_killed_run_succeeds_when_repeated(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = {f"src/{number}.bin": os.urandom(50_000) for number in range(20)}
    upstream = up.make_upstream(tmp_path / "large", noise)
    with up.serve_repositories(tmp_path) as url:
        with Stalling(url, 300_000) as slow:
            child = run_fetch(f"{slow.url}/large", upstream.release)
            assert slow.has_stalled.wait(30)
            child.kill()
            child.wait()
            # The killed run's git still runs and holds the lock.
            left = git_below(cache / "bun-source" / "store.git")
            assert left
            with (
                pytest.raises(filelock.Timeout),
                files.locked(cache / "bun-source", wait=False),
            ):
                pass
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        assert not up.tree_of(cache).exists()
        with open_store() as store:
            assert len(store.missing_files(upstream.commit)) == len(noise) + 1 - ROUND
        fetched = fetch(f"{url}/large", upstream.release)
    assert fetched.missing == ()
    assert up.contents(up.tree_of(cache)) == noise
    packs = cache / "bun-source" / "store.git" / "objects" / "pack"
    assert not list(packs.glob("tmp_*"))


def test_fetch_bun_partial_checkout_is_recreated(cache: Path, upstream: up.Upstream) -> None:
    fetch(upstream.folder, upstream.release)
    store = cache / "bun-source" / "store.git"
    up.git(store, "update-ref", "-d", f"refs/gobun/base/{up.VERSION}")  # it comes last
    (up.tree_of(cache) / "src" / "main.zig").unlink()
    (store / "shallow.lock").touch()
    (store / "worktrees" / up.VERSION / "index.lock").touch()
    assert not fetch(upstream.folder, upstream.release).there_before
    check_whole(cache, upstream.commit)
    (store / "shallow.lock").touch()
    assert not fetch(upstream.folder, upstream.release, "main").there_before


def test_fetch_bun_full_disk_exits_3_and_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    upstream = up.make_upstream(tmp_path / "large", {"src/large.bin": os.urandom(400_000)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(PrerequisiteError, match="cannot write to"):
            fetch(upstream.folder, upstream.release)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not up.tree_of(cache).exists()
    fetch(upstream.folder, upstream.release)
    assert (up.tree_of(cache) / "src" / "large.bin").stat().st_size == 400_000


def test_fetch_bun_two_parallel_runs_make_one_checkout(cache: Path, upstream: up.Upstream) -> None:
    runs = [run_fetch(str(upstream.folder), upstream.release) for _ in range(3)]
    started = time.monotonic()
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    assert time.monotonic() - started < 60
    check_whole(cache, upstream.commit)
