"""Makes a small upstream with Bun's file names, and serves it with a git daemon."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from gobun import bun_source, paths
from gobun.bun_source import BunCommit
from gobun.bun_source.git_store import KIND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gobun.bun_source import PatchedTree

GOLDEN = Path(__file__).parent.parent / "golden"
SERIES = GOLDEN / "series"
POOL = "src/threading/ThreadPool.zig"
VERSION = "9.9.1"
LINE = f"v{VERSION}"


class Upstream(msgspec.Struct, frozen=True):
    """A repository, and the commit of its release."""

    folder: Path
    release: BunCommit

    @property
    def commit(self) -> str:
        return self.release.commit


def git(folder: Path, *words: str) -> str:
    """Run git with an author's name and no other configuration."""
    author = {"NAME": "Somebody", "EMAIL": "somebody@example.invalid", "DATE": "1700000000 +0000"}
    env = {f"GIT_{role}_{key}": author[key] for role in ("AUTHOR", "COMMITTER") for key in author}
    env |= {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(folder)}
    completed = subprocess.run(
        ["git", "-C", folder, "-c", "core.fsync=none", *words],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, f"git {words}: {completed.stderr}"
    return completed.stdout.strip()


def make_upstream(folder: Path, content: Path | Mapping[str, bytes], *, older: int = 1) -> Upstream:
    """Make a repository. The second-last commit has ``content`` and the release's tag."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for number in range(older):
        (folder / "README.md").write_text(f"state {number}\n")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", f"Older {number}")
    put(folder, content)
    commit = commit_all(folder, "The release")
    git(folder, "tag", f"bun-v{VERSION}")
    (folder / "README.md").write_text("newer\n")
    commit_all(folder, "Newer")
    return Upstream(folder, BunCommit(commit, git(folder, "rev-parse", f"{commit}^{{tree}}")))


def put(folder: Path, content: Path | Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    if isinstance(content, Path):
        shutil.copytree(content, folder, dirs_exist_ok=True)
        return
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def commit_all(folder: Path, message: str) -> str:
    """Commit everything and return the id."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def tree_of(cache: Path, version: str = VERSION) -> Path:
    """Return the path of the suite's checkout."""
    return cache / KIND / "trees" / version


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, except git's files and the README."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts and path.name not in {".git", "README.md"}
    }


def lossy_copy(upstream: Upstream, root: Path, *lost: str) -> Path:
    """Return a copy of an upstream that lacks the content of some files."""
    mirror = root / "mirror.git"
    git(root, "clone", "--quiet", "--bare", "--no-local", str(upstream.folder), str(mirror))
    for pack in (mirror / "objects" / "pack").glob("*.pack"):
        moved = pack.rename(root / pack.name)
        pack.with_suffix(".idx").unlink()
        unpack = ["git", "-C", str(mirror), "unpack-objects", "-q"]
        subprocess.run(unpack, input=moved.read_bytes(), check=True)
    for path in lost:
        name = git(mirror, "rev-parse", f"{upstream.commit}:{path}")
        (mirror / "objects" / name[:2] / name[2:]).unlink()
    return mirror


class Bench:
    """A checkout of the golden upstream, and the golden series."""

    def __init__(
        self,
        root: Path,
        content: Path | dict[str, bytes] = SERIES / "before",
        lost: tuple[str, ...] = (),
    ) -> None:
        self.upstream = make_upstream(root / "upstream", content)
        source = lossy_copy(self.upstream, root, *lost) if lost else self.upstream.folder
        self.folder = root / "patches" / LINE
        shutil.copytree(SERIES / "patches", self.folder)
        origin = bun_source.parse_origin(str(source))
        bun_source.fetch_checkout(VERSION, origin, release=self.upstream.release)
        self.tree = tree_of(paths.cache_root())

    def apply(self, *only: str, without: tuple[str, ...] = ()) -> PatchedTree:
        series = bun_source.read_series(self.folder)
        with bun_source.open_checkout(VERSION) as checkout:
            return bun_source.apply_series(checkout, series, series.select_patches(only, without))

    def export(self, *, drop: bool = False) -> bun_source.Export:
        with bun_source.open_checkout(VERSION) as checkout:
            return bun_source.export_series(checkout, self.folder, drop=drop)

    def head(self) -> str:
        return git(self.tree, "rev-parse", "HEAD")

    def check_is(self, golden: str) -> None:
        assert contents(self.tree) == contents(SERIES / golden)
        assert git(self.tree, "status", "--porcelain") == ""

    def new_patch(self, name: str, *, add: tuple[str, ...] = ()) -> bun_source.Export:
        with bun_source.open_checkout(VERSION) as checkout:
            return bun_source.new_patch(
                checkout, self.folder, name=name, title=f"Do {name}", reason="a fact", add=add
            )


@contextlib.contextmanager
def serve_repositories(folder: Path, *, filters: bool = True) -> Iterator[str]:
    """Serve the repositories below ``folder`` on the loopback address, and yield the URL."""
    programs = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
    if not (Path(programs.stdout.strip()) / "git-daemon").exists():
        pytest.skip("git daemon is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"safe.directory": "*", "uploadpack.allowFilter": str(filters).lower()}
    flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    daemon = subprocess.Popen(
        [
            *("git", *flags, "daemon", "--export-all", "--listen=127.0.0.1", f"--port={port}"),
            *(f"--base-path={folder}", "--reuseaddr", str(folder)),
        ],
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"git://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(daemon.pid, 9)
        daemon.wait()
