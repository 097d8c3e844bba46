"""Submodules of a checkout: found, fetched whole, verified, and never silently left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import bun_upstream as up
import msgspec
import pytest

from gobun import bun_source
from gobun.bun_source.submodules import read_submodules
from gobun.errors import FetchError, UsageError

ZLIB = "src/deps/zlib"


class PinnedUpstream(msgspec.Struct, frozen=True):
    """An upstream that pins one library, and the folder that has the library's repository."""

    upstream: up.Upstream
    mirrors: Path
    commit: str

    def fetch(self, *words: str) -> bun_source.Fetched:
        origin = bun_source.parse_origin(str(self.upstream.folder))
        return bun_source.fetch_checkout(
            up.VERSION,
            origin,
            release=self.upstream.release,
            sources=bun_source.parse_sources(words),
        )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "the cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "the cache"


@pytest.fixture
def pinned(tmp_path: Path) -> PinnedUpstream:
    library = tmp_path / "mirrors" / "zlib"
    library.mkdir(parents=True)
    up.git(library, "init", "--quiet", "--initial-branch=main")
    up.put(library, {"zlib.h": b"#define ZLIB\n", "test/big.txt": b"test data\n"})
    commit = up.commit_all(library, "The library")
    up.put(library, {"zlib.h": b"newer\n"})
    up.commit_all(library, "Newer")
    root = tmp_path / "upstream"
    modules = '[submodule "z"]\npath = src/deps/zlib\nurl = https://example.invalid/z/zlib.git\n'
    modules += '[submodule "w"]\npath = src/WebKit\nurl = https://example.invalid/WebKit\n'
    modules += "update = none\n"
    upstream = up.make_upstream(root, {".gitmodules": modules.encode(), "src/main.c": b"\n"})
    up.git(root, "checkout", "--quiet", upstream.commit)
    for path, link in ((ZLIB, commit), ("src/WebKit", "1" * 40)):
        up.git(root, "update-index", "--add", "--cacheinfo", f"160000,{link},{path}")
    up.git(root, "commit", "--quiet", "--message", "Pin libraries")
    up.git(root, "branch", "pinned")
    head = up.git(root, "rev-parse", "HEAD")
    release = bun_source.BunCommit(head, up.git(root, "rev-parse", "HEAD^{tree}"))
    return PinnedUpstream(up.Upstream(root, release), library.parent, commit)


def test_submodules_are_read_from_commit_and_gitmodules(pinned: PinnedUpstream) -> None:
    pinned.fetch(str(pinned.mirrors))
    with bun_source.open_checkout(up.VERSION) as checkout:
        webkit, zlib = read_submodules(checkout.git, checkout.base)
    assert (webkit.name, webkit.optional) == ("WebKit", True)
    assert (zlib.name, zlib.path, zlib.commit, zlib.optional) == (
        "zlib",
        ZLIB,
        pinned.commit,
        False,
    )


@pytest.mark.parametrize("pair", [False, True])
def test_fetch_submodule_writes_pinned_files(
    pinned: PinnedUpstream, cache: Path, *, pair: bool
) -> None:
    words = (f"zlib={pinned.mirrors / 'zlib'}",) if pair else (str(pinned.mirrors),)
    fetched = pinned.fetch(*words)
    tree = up.tree_of(cache)
    assert (tree / ZLIB / "zlib.h").read_text() == "#define ZLIB\n"
    assert [(each.submodule.path, each.there_before) for each in fetched.submodules] == [
        (ZLIB, False)
    ]
    assert up.git(tree, "status", "--porcelain") == ""
    (pinned.mirrors / "zlib").rename(pinned.mirrors / "gone")  # no source is needed any more
    again = pinned.fetch()
    assert [each.there_before for each in again.submodules] == [True]


def test_fetch_submodule_missing_test_file_is_left_out(
    pinned: PinnedUpstream, tmp_path: Path, cache: Path
) -> None:
    source = up.Upstream(pinned.mirrors / "zlib", bun_source.BunCommit(pinned.commit))
    mirror = up.lossy_copy(source, tmp_path, "test/big.txt")
    fetched = pinned.fetch(f"zlib={mirror}")
    assert not (up.tree_of(cache) / ZLIB / "test/big.txt").exists()
    assert fetched.submodules[0].missing == ()
    assert (up.tree_of(cache) / ZLIB / "zlib.h").is_file()


def test_fetch_submodule_source_without_commit_leaves_nothing(
    pinned: PinnedUpstream, tmp_path: Path, cache: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    up.git(other, "init", "--quiet")
    up.put(other, {"file": b"x"})
    up.commit_all(other, "Something else")
    with pytest.raises(FetchError, match=f"the submodule {ZLIB}: .* has no commit") as caught:
        pinned.fetch(f"zlib={other}")
    assert "--submodules NAME=SOURCE" in str(caught.value)
    assert list((up.tree_of(cache) / ZLIB).glob("*")) == []
    with bun_source.open_checkout(up.VERSION) as checkout:
        assert bun_source.missing_submodules(checkout) == (ZLIB,)
    pinned.fetch(str(pinned.mirrors))
    with bun_source.open_checkout(up.VERSION) as checkout:
        assert bun_source.missing_submodules(checkout) == ()


def test_fetch_submodule_archive_of_wrong_commit_is_rejected(
    pinned: PinnedUpstream, tmp_path: Path, cache: Path
) -> None:
    library = pinned.mirrors / "zlib"
    named, unnamed = tmp_path / "named.tar", tmp_path / "unnamed.tar"
    up.git(library, "archive", f"--output={named}", "--prefix=z/", pinned.commit)
    up.git(library, "archive", f"--output={unnamed}", "--prefix=z/", f"{pinned.commit}^{{tree}}")
    with pytest.raises(FetchError, match="does not name its commit"):
        pinned.fetch(f"zlib={unnamed}")
    newer = tmp_path / "newer.tar"
    up.git(library, "archive", f"--output={newer}", "--prefix=z/", "main")
    with pytest.raises(FetchError, match=f"has commit .* not {pinned.commit}"):
        pinned.fetch(f"zlib={newer}")
    assert list((up.tree_of(cache) / ZLIB).glob("*")) == []
    pinned.fetch(f"zlib={named}")


def test_fetch_submodule_existing_folder_is_kept(pinned: PinnedUpstream, cache: Path) -> None:
    with pytest.raises(UsageError, match="has no repository zlib"):
        pinned.fetch(str(pinned.mirrors.parent))
    own_file = up.tree_of(cache) / ZLIB / "mine.c"
    own_file.write_text("my work\n")
    with pytest.raises(UsageError, match="is not empty"):
        pinned.fetch(str(pinned.mirrors))
    assert own_file.read_text() == "my work\n"


def test_fetch_submodule_at_another_commit_is_rejected(pinned: PinnedUpstream, cache: Path) -> None:
    with pytest.raises(UsageError, match="has no repository zlib"):
        pinned.fetch(str(pinned.mirrors.parent))
    folder = up.tree_of(cache) / ZLIB
    up.git(cache, "clone", "--quiet", str(pinned.mirrors / "zlib"), str(folder))
    with pytest.raises(UsageError, match=f"not at commit {pinned.commit[:12]} of zlib") as caught:
        pinned.fetch(str(pinned.mirrors))
    assert caught.value.hint == "move it away, or check out that commit there"
    with bun_source.open_checkout(up.VERSION) as checkout:
        assert bun_source.missing_submodules(checkout) == (ZLIB,)
    up.git(folder, "checkout", "--quiet", pinned.commit)
    assert [each.there_before for each in pinned.fetch().submodules] == [True]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("zlip={}/zlib",), "unknown submodule 'zlip'"),
        (("/no/such/folder",), "there is no such folder"),
        (("{}", "/"), "--submodules /: {} is given already"),
        (("zlib=/no/such/folder",), "--submodules /no/such/folder: there is no such file"),
    ],
)
def test_wrong_submodules_flag_is_rejected(
    pinned: PinnedUpstream, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        pinned.fetch(*(word.format(pinned.mirrors) for word in words))
    assert message.format(pinned.mirrors) in caught.value.what


def test_fetch_submodule_killed_midway_is_completed_next_run(
    pinned: PinnedUpstream, cache: Path
) -> None:
    code = (
        "import sys, time, gobun.bun_source.submodules as s\n"
        "from gobun import bun_source as b\n"
        "real = s.write_files\n"
        "def slow(*words):\n"
        "    real(*words); print('half', flush=True); time.sleep(60)\n"
        "s.write_files = slow\n"
        f"b.fetch_checkout({up.VERSION!r}, b.parse_origin(sys.argv[1]), "
        "release=b.BunCommit(*sys.argv[2:4]), sources=b.parse_sources((sys.argv[4],)))"
    )
    release = pinned.upstream.release
    words = [str(pinned.upstream.folder), release.commit, str(release.tree), str(pinned.mirrors)]
    child = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"GOBUN_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"half\n"
        os.killpg(child.pid, signal.SIGKILL)
    assert list((up.tree_of(cache) / ZLIB).glob("*")) == []
    fetched = pinned.fetch(str(pinned.mirrors))
    assert not fetched.submodules[0].there_before
    assert (up.tree_of(cache) / ZLIB / "zlib.h").read_text() == "#define ZLIB\n"
    assert list((cache / "bun-source").rglob(".gobun-submodule.*")) == []
    assert up.git(up.tree_of(cache), "status", "--porcelain") == ""
