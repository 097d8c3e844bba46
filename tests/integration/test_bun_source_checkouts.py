"""A user's work in a checkout stays. An interrupted or moved checkout is repaired."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import bun_upstream as up
import pytest

from gobun import bun_source, paths
from gobun.errors import FetchError, UsageError

if TYPE_CHECKING:
    from gobun.bun_source import Fetched

NEW_FILE = "src/warm_up.zig"
"""The file that the golden series creates."""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> up.Bench:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "the cache"))
    monkeypatch.setenv("HOME", str(tmp_path))  # no identity, no settings of the person
    return up.Bench(tmp_path / "a place")


def fetch(
    bench: up.Bench, source: Path | None = None, ref: str = "", *, discard: bool = False
) -> Fetched:
    origin = bun_source.parse_origin(str(source or bench.upstream.folder))
    release = bench.upstream.release
    return bun_source.fetch_checkout(up.VERSION, origin, release=release, ref=ref, discard=discard)


def private_folder(bench: up.Bench) -> Path:
    return Path(up.git(bench.tree, "rev-parse", "--absolute-git-dir"))


def test_checkout_new_file_counts_as_work(bench: up.Bench) -> None:
    (bench.tree / "src/mine.zig").write_text("mine\n")
    with pytest.raises(UsageError, match=r"not committed: src/mine\.zig"):
        fetch(bench, ref="main")
    assert (bench.tree / "src/mine.zig").read_text() == "mine\n"
    bench.apply()


def test_checkout_ignored_file_is_not_overwritten(bench: up.Bench) -> None:
    exclude = private_folder(bench).parent.parent / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("*.zig\n")
    (bench.tree / NEW_FILE).write_text("mine\n")
    with pytest.raises(UsageError, match=r"where the patches add files: src/warm_up\.zig"):
        bench.apply()
    assert (bench.tree / NEW_FILE).read_text() == "mine\n"


def test_checkout_commit_below_last_patch_is_not_work(bench: up.Bench) -> None:
    bench.apply()
    up.git(bench.tree, "checkout", "--quiet", "--detach", "HEAD~1")
    bench.apply()
    bench.check_is("after")


def test_checkout_with_pending_rebase_is_not_moved(
    bench: up.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.apply()
    edit = ("-c", "sequence.editor=sed -i 1s/pick/edit/", "rebase", "--interactive")
    up.git(bench.tree, *edit, bench.upstream.commit)
    head = bench.head()
    for act in (bench.apply, bench.export, lambda: bench.new_patch("more")):
        with pytest.raises(UsageError, match="in the middle of a rebase"):
            act()
    assert bench.head() == head
    up.git(bench.tree, "rebase", "--abort")
    assert bench.export().changed_files == ()


def test_checkout_git_settings_change_no_patch(bench: up.Bench) -> None:
    bench.apply()
    (bench.tree / up.POOL).write_text("one\n\ntwo\n\nthree\n")
    bench.new_patch("rewrite")
    (bench.tree / up.POOL).write_text("one\n\nTWO\n\nthree\n")
    bench.new_patch("among-blanks")
    whole = bench.apply().head
    bench.apply("pool-stacks")
    for name, value in (
        ("color.ui", "always"),
        ("diff.suppressBlankEmpty", "true"),
        ("i18n.commitEncoding", "latin1"),
    ):
        up.git(bench.tree, "config", name, value)
    assert bench.apply().head == whole
    assert bench.export().changed_files == ()


def test_patch_new_rejected_patch_commits_nothing(bench: up.Bench) -> None:
    before = bench.apply("pool-stacks").head
    (bench.tree / "src/main.zig").write_text("mine\n")
    with pytest.raises(UsageError, match=r"lacks patches of .*: bindings, warm-up"):
        bench.new_patch("mine")
    assert (bench.head(), (bench.tree / "src/main.zig").read_text()) == (before, "mine\n")


@pytest.mark.parametrize("add", ["../mine", str(paths.ROOT / "tasks.py")])
def test_patch_new_files_outside_checkout_are_rejected(bench: up.Bench, add: str) -> None:
    bench.apply()
    (bench.tree.parent / "mine").write_text("mine\n")
    with pytest.raises(UsageError, match="there is no such file in"):
        bench.new_patch("mine", add=(add,))


def test_patch_export_unexportable_commits_are_rejected(bench: up.Bench) -> None:
    before = bench.apply().head
    up.git(bench.tree, "commit", "--quiet", "--allow-empty", "--message", "Nothing")
    with pytest.raises(UsageError, match="the patch nothing, changes nothing"):
        bench.export()
    up.git(bench.tree, "reset", "--quiet", "--hard", before)
    (bench.tree / up.POOL).unlink()
    (bench.tree / up.POOL).symlink_to("elsewhere")
    up.commit_all(bench.tree, "A link")
    with pytest.raises(UsageError, match="the patch a-link, turns a file into a link"):
        bench.export()
    assert up.contents(bench.folder) == up.contents(up.SERIES / "patches")


def test_patch_bun_interrupted_before_first_file_is_undone(bench: up.Bench) -> None:
    shutil.rmtree(bench.folder)
    (bench.tree / "src/new.zig").write_text("new\n")
    bench.new_patch("new", add=("src/new.zig",))
    bench.apply(without=("new",))
    # Git writes this file slowly, and holds its lock meanwhile.
    store = private_folder(bench).parent.parent
    up.git(store, "config", "filter.slow.smudge", "sleep 1; cat")
    attributes = store / "info" / "attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text("*.zig filter=slow\n")
    code = (
        "from gobun import bun_source as b; from pathlib import Path; import sys\n"
        "series = b.read_series(Path(sys.argv[1]))\n"
        f"with b.open_checkout({up.VERSION!r}) as c: b.apply_series(c, series, series.bun_patches)"
    )
    words = [sys.executable, "-c", code, str(bench.folder)]
    child = subprocess.Popen(words, cwd=paths.ROOT, stderr=subprocess.DEVNULL)
    lock = private_folder(bench) / "index.lock"
    while not lock.exists():
        assert child.poll() is None
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    child.wait()
    assert lock.exists()
    attributes.unlink()
    bench.apply()
    assert (bench.tree / "src/new.zig").read_text() == "new\n"
    assert not lock.exists()


def test_checkout_locked_by_other_git_is_reported_and_left(bench: up.Bench) -> None:
    lock = private_folder(bench) / "index.lock"
    lock.touch()
    with pytest.raises(UsageError, match=r"another git process runs in .*\n.*remove .*index\.lock"):
        bench.apply()
    lock.unlink()
    bench.apply()


def test_checkout_in_moved_or_copied_cache_works(
    bench: up.Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.apply()
    (bench.tree / "src/main.zig").write_text("mine\n")
    moved = paths.cache_root().rename(tmp_path / "moved")
    monkeypatch.setenv("GOBUN_CACHE", str(moved))
    origin = bun_source.parse_origin(str(bench.upstream.folder))
    bun_source.fetch_checkout("9.9.2", origin, release=None, ref="main")  # which prunes
    bench.tree = up.tree_of(moved)
    with pytest.raises(UsageError, match=r"not committed: src/main\.zig"):
        bench.apply()
    up.git(bench.tree, "restore", ".")
    whole = bench.apply().head
    elsewhere = tmp_path / "elsewhere" / up.VERSION  # a person's work tree with the same name
    up.git(bench.tree, "worktree", "add", "--quiet", "--detach", str(elsewhere))
    assert bench.apply().head == whole
    assert up.git(elsewhere, "rev-parse", "HEAD") == whole
    monkeypatch.setenv("GOBUN_CACHE", str(shutil.copytree(moved, tmp_path / "copy", symlinks=True)))
    assert bench.apply("pool-stacks").folder == up.tree_of(tmp_path / "copy")
    assert bench.head() == whole
    bench.check_is("after")


def test_checkout_damaged_is_discarded(bench: up.Bench) -> None:
    shutil.rmtree(private_folder(bench))
    with pytest.raises(FetchError, match=r"not a git repository(.|\n)*fetch-bun --discard"):
        fetch(bench)
    fetch(bench, discard=True)
    bench.apply()
    bench.check_is("after")


def test_checkout_damaged_store_is_not_a_network_error(bench: up.Bench) -> None:
    for pack in (private_folder(bench).parent.parent / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o644)
        os.truncate(pack, pack.stat().st_size - 30)
    with pytest.raises(FetchError, match="cache --evict --kind bun-source"):
        fetch(bench, discard=True)


def test_checkout_partial_clone_serves_its_files(bench: up.Bench, tmp_path: Path) -> None:
    upstream = bench.upstream.folder
    up.git(upstream, "config", "uploadpack.allowFilter", "true")
    clone = ("clone", "--quiet", "--bare", "--filter=blob:none", f"file://{upstream}", "partial")
    up.git(tmp_path, *clone)
    up.git(tmp_path / "partial", "cat-file", "-e", f"{bench.upstream.commit}:{up.POOL}")
    shutil.rmtree(paths.cache_root())
    shutil.move(upstream, tmp_path / "gone")
    fetched = fetch(bench, tmp_path / "partial")
    assert set(fetched.missing) == {
        "README.md",
        "src/main.zig",
        "src/bun.js/bindings/c-bindings.cpp",
    }
    bench.apply("pool-stacks")


@pytest.mark.parametrize("imported", ["the same version", "another version"])
def test_checkout_omitted_file_arrives_with_its_content(
    bench: up.Bench, tmp_path: Path, imported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lossy = up.lossy_copy(bench.upstream, tmp_path, "src/main.zig")
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "other"))
    bench.tree = up.tree_of(tmp_path / "other")
    assert fetch(bench, lossy).missing == ("src/main.zig",)
    if imported == "the same version":
        assert fetch(bench, lossy).missing == ("src/main.zig",)
        assert fetch(bench).missing == ()
    else:
        origin = bun_source.parse_origin(str(bench.upstream.folder))
        bun_source.fetch_checkout("9.9.2", origin, release=None, ref="main")
        bench.apply()
        assert os.path.lexists(bench.tree / "src/main.zig")
        bench.check_is("after")
    assert (bench.tree / "src/main.zig").is_file()
    assert up.git(bench.tree, "status", "--porcelain") == ""
