"""A series on a checkout is applied whole or not at all, exported exactly, and ported."""

from __future__ import annotations

import os
import resource
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
from gobun.errors import PatchError, PrerequisiteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

SERIES = up.SERIES
POOL = up.POOL


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., up.Bench]:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "the cache"))
    monkeypatch.setenv("HOME", str(tmp_path))  # no identity, no settings of the person
    return lambda **settings: up.Bench(tmp_path / "a place", **settings)


@pytest.fixture
def bench(make: Callable[..., up.Bench]) -> up.Bench:
    return make()


def test_patch_bun_series_applies_and_exports_byte_for_byte(bench: up.Bench) -> None:
    applied = bench.apply()
    bench.check_is("after")
    assert applied.patches == ("pool-stacks", "bindings", "warm-up")
    assert bench.export().changed_files == ()
    assert up.contents(bench.folder) == up.contents(SERIES / "patches")
    assert bench.apply() == applied
    bench.apply(without=applied.patches)
    bench.check_is("before")


def test_patch_bun_commits_are_reproducible(
    make: Callable[..., up.Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = {make().apply().head}
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_EMAIL", "GIT_DIR"):
        monkeypatch.setenv(name, "somebody else")
    (tmp_path / ".gitconfig").write_text(
        "[user]\nname = Me\n[core]\nautocrlf = true\nhooksPath = /nowhere\n[commit]\ngpgsign = 1\n"
    )
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "other"))
    shutil.rmtree(tmp_path / "a place")
    heads.add(make().apply().head)
    assert len(heads) == 1


def test_patch_bun_partial_series_has_its_own_identity(bench: up.Bench) -> None:
    whole = bench.apply()
    part = bench.apply("warm-up")
    assert part.patches == ("warm-up",)
    assert part.identity != whole.identity
    assert "warmUp" in (bench.tree / "src/main.zig").read_text()
    assert "8 * 1024" not in (bench.tree / POOL).read_text()
    with pytest.raises(UsageError, match=r"lacks patches of .*: pool-stacks, bindings"):
        bench.export()


def spoil_patch(bench: up.Bench, patch: str, old: bytes, new: bytes) -> None:
    path = bench.folder / f"{patch}.patch"
    path.write_bytes(path.read_bytes().replace(old, new))


def test_patch_bun_failed_hunk_leaves_checkout_untouched(bench: up.Bench) -> None:
    before = bench.apply("pool-stacks").head
    spoil_patch(bench, "bindings", b"-\treturn 2;", b"-\treturn two;")
    with pytest.raises(PatchError) as caught:
        bench.apply()
    message = str(caught.value)
    assert "patch bindings of v9.9.1 does not apply to Bun 9.9.1" in message
    assert "c-bindings.cpp, hunk 1 (line 9): the nearest place is line 9" in message
    assert "the patch expects: \treturn two;" in message
    assert bench.head() == before
    assert up.git(bench.tree, "status", "--porcelain") == ""


def test_patch_bun_ambiguous_hunk_is_rejected(make: Callable[..., up.Bench]) -> None:
    bench = make(content={POOL: b"// moved\n" + (SERIES / "before" / POOL).read_bytes() * 2})
    with pytest.raises(PatchError, match=r"fits in 2 places \(lines 9, 24\)"):
        bench.apply("pool-stacks")


def test_patch_bun_already_upstream_is_reported(make: Callable[..., up.Bench]) -> None:
    with pytest.raises(PatchError, match=r"ThreadPool.zig, hunk 1 .* in the file already"):
        make(content=SERIES / "after").apply("pool-stacks")


def test_patch_bun_different_line_endings_are_reported(make: Callable[..., up.Bench]) -> None:
    text = (SERIES / "before" / POOL).read_bytes().replace(b"\n", b"\r\n")
    bench = make(content={POOL: text})
    assert (bench.tree / POOL).read_bytes() == text
    with pytest.raises(PatchError, match="would fit at line 8, but the file has CRLF"):
        bench.apply("pool-stacks")


def test_patch_bun_file_with_crlf_keeps_its_line_endings(make: Callable[..., up.Bench]) -> None:
    bench = make(content={POOL: b"one\r\ntwo\r\n", "src/main.zig": b"a\n"})
    shutil.rmtree(bench.folder)
    (bench.tree / POOL).write_bytes(b"one\r\nTWO\r\n")
    bench.new_patch("crlf")
    content = (bench.folder / "crlf.patch").read_bytes()
    assert b"-two\r\n+TWO\r\n" in content
    bench.apply(without=("crlf",))
    bench.apply()
    assert (bench.tree / POOL).read_bytes() == b"one\r\nTWO\r\n"
    assert bench.export().changed_files == ()


def test_patch_export_context_is_minimal_and_unique(make: Callable[..., up.Bench]) -> None:
    block = b"a\nb\nc\nd\n"
    bench = make(content={POOL: b"top\n" + block * 3, "src/main.zig": b"one\ntwo\nthree\nfour\n"})
    shutil.rmtree(bench.folder)
    (bench.tree / POOL).write_bytes(b"top\n" + block + b"a\nB\nc\nd\n" + block)
    bench.new_patch("among-equals")
    (bench.tree / "src/main.zig").write_bytes(b"one\ntwo\nTHREE\nfour\n")
    bench.new_patch("alone")
    assert (
        b"@@ -4,7 +4,7 @@\n c\n d\n a\n-b\n" in (bench.folder / "among-equals.patch").read_bytes()
    )
    assert b"@@ -2,3 +2,3 @@\n two\n-three\n" in (bench.folder / "alone.patch").read_bytes()


def test_patch_bun_renamed_file_is_reported(make: Callable[..., up.Bench]) -> None:
    text = (SERIES / "before" / POOL).read_bytes()
    bench = make(content={"src/ThreadPool.zig": text})
    with pytest.raises(PatchError, match=r"it is src/ThreadPool\.zig now, where it fits at line 8"):
        bench.apply("pool-stacks")


def test_patch_bun_missing_mirror_file_matters_when_touched(
    make: Callable[..., up.Bench],
) -> None:
    bench = make(lost=("src/main.zig",))
    bench.apply(without=("warm-up",))
    assert "8 * 1024" in (bench.tree / POOL).read_text()
    with pytest.raises(PatchError, match=r"src/main\.zig: the source that .* has no content of it"):
        bench.apply()


def test_patch_bun_local_changes_are_rejected_and_kept(bench: up.Bench) -> None:
    (bench.tree / POOL).write_text("mine\n")
    for act in (bench.apply, bench.export):
        with pytest.raises(UsageError, match=r"not committed: src/threading/ThreadPool\.zig"):
            act()
    assert (bench.tree / POOL).read_text() == "mine\n"
    up.commit_all(bench.tree, "Mine")
    with pytest.raises(UsageError, match="has commits that are not in the series"):
        bench.apply()


def test_patch_bun_untracked_file_is_rejected_and_kept(bench: up.Bench) -> None:
    (bench.tree / "src/warm_up.zig").write_text("mine\n")
    before = bench.head()
    with pytest.raises(UsageError, match=r"src/warm_up\.zig"):
        bench.apply()
    assert (bench.head(), (bench.tree / "src/warm_up.zig").read_text()) == (before, "mine\n")
    (bench.tree / "src/warm_up.zig").unlink()
    bench.apply()
    bench.check_is("after")


def test_patch_bun_killed_midway_is_rolled_back(bench: up.Bench) -> None:
    start, end = bench.head(), bench.apply().head
    back = bench.apply("warm-up").head
    private = Path(up.git(bench.tree, "rev-parse", "--absolute-git-dir"))
    assert start != back != end
    # The state after a kill while files were written: one is complete, one truncated, and a lock.
    (private / "gobun-moving").write_text(f"{back} {end}\n")
    shutil.copy(SERIES / "after" / POOL, bench.tree / POOL)
    (bench.tree / "src/bun.js/bindings/c-bindings.cpp").write_text("#inc")
    (private / "index.lock").touch()
    bench.apply()
    bench.check_is("after")
    assert not (private / "gobun-moving").exists()


def test_patch_bun_rollback_spares_other_changes(bench: up.Bench) -> None:
    end = bench.apply().head
    back = bench.apply("pool-stacks").head
    private = Path(up.git(bench.tree, "rev-parse", "--absolute-git-dir"))
    (private / "gobun-moving").write_text(f"{back} {end}\n")
    (bench.tree / POOL).write_text("mine\n")
    with pytest.raises(UsageError, match=r"cannot be undone.*ThreadPool\.zig"):
        bench.apply()
    assert (bench.tree / POOL).read_text() == "mine\n"


def test_patch_bun_killed_anywhere_is_whole_or_absent(make: Callable[..., up.Bench]) -> None:
    many = {f"src/{number:03}.zig": b"old\n" + b"same\n" * 20_000 for number in range(25)}
    bench = make(content=many)
    shutil.rmtree(bench.folder)
    for name in many:
        (bench.tree / name).write_bytes(b"new\n" + b"same\n" * 20_000)
    bench.new_patch("all-of-them")
    code = (
        "from gobun import bun_source as b; from pathlib import Path; import sys\n"
        f"s = b.read_series(Path({str(bench.folder)!r}))\n"
        "def on(patches):\n"
        f"    with b.open_checkout({up.VERSION!r}) as c: b.apply_series(c, s, patches)\n"
        "on(()); print('ready', flush=True); on(s.bun_patches); on(())"
    )
    private = Path(up.git(bench.tree, "rev-parse", "--absolute-git-dir"))
    for delay_ms in (0, 8):
        child = subprocess.Popen(
            [sys.executable, "-c", code], cwd=paths.ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        while not (private / "gobun-moving").exists():
            assert child.poll() is None
        time.sleep(delay_ms / 1000)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        bench.apply()
        assert all((bench.tree / name).read_bytes().startswith(b"new\n") for name in many)
        assert up.git(bench.tree, "status", "--porcelain") == ""


def test_patch_bun_full_disk_leaves_checkout_untouched(make: Callable[..., up.Bench]) -> None:
    bench = make(content={"src/large.zig": b"%s\n" % os.urandom(150_000).hex().encode()})
    shutil.rmtree(bench.folder)
    (bench.tree / "src/large.zig").write_bytes(os.urandom(150_000).hex().encode())
    bench.new_patch("large")
    before = bench.apply(without=("large",)).head
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(PrerequisiteError, match=r"cannot write|no space|too large|grow"):
            bench.apply()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert bench.head() == before
    bench.apply()
    assert bench.export().changed_files == ()


def test_patch_new_changes_become_the_last_patch(bench: up.Bench) -> None:
    bench.apply()
    with pytest.raises(UsageError, match="there are no changes"):
        bench.new_patch("more")
    (bench.tree / POOL).write_text("all new\n")
    (bench.tree / "src/new.zig").write_text("// new\n")
    (bench.tree / "notes").write_text("not of the patch\n")
    export = bench.new_patch("more", add=("src/new.zig",))
    assert sorted(export.changed_files) == ["more.patch", "series.toml"]
    series = bun_source.read_series(bench.folder)
    assert series.patches[-1].files == ("src/new.zig", POOL)
    with pytest.raises(UsageError, match="has a patch more already"):
        bench.new_patch("more")
    (bench.tree / "notes").unlink()
    bench.apply(without=("more",))
    bench.check_is("after")
    bench.apply()
    assert bench.export().changed_files == ()


def test_patch_export_personal_commits_are_exported(bench: up.Bench) -> None:
    bench.apply()
    (bench.tree / "src/main.zig").write_text("mine\n")
    up.commit_all(bench.tree, "My own change")
    assert sorted(bench.export().changed_files) == ["my-own-change.patch", "series.toml"]
    patch = bun_source.read_series(bench.folder).patches[-1]
    assert (patch.title, patch.why) == ("My own change", "TODO: reason")
    # An amended commit keeps its id and its other fields.
    up.git(bench.tree, "reset", "--quiet", "--hard", "HEAD~1")
    (bench.tree / "src/warm_up.zig").write_text("// amended\n")
    up.git(bench.tree, "commit", "--quiet", "--all", "--amend", "--no-edit")
    with pytest.raises(UsageError, match=r"lacks patches of .*: my-own-change"):
        bench.export()
    assert sorted(bench.export(drop=True).changed_files) == [
        "my-own-change.patch",
        "series.toml",
        "warm-up.patch",
    ]
    assert not (bench.folder / "my-own-change.patch").exists()
    bench.apply()
    assert bench.export().changed_files == ()


def test_patch_rebase_moves_series_to_another_release(bench: up.Bench, tmp_path: Path) -> None:
    moved = {
        **up.contents(SERIES / "before"),
        POOL: (SERIES / "after" / POOL).read_bytes(),
        "src/main.zig": b"// one\n// two\n" + (SERIES / "before/src/main.zig").read_bytes(),
    }
    newer = up.make_upstream(tmp_path / "newer", moved)
    origin = bun_source.parse_origin(str(newer.folder))
    bun_source.fetch_checkout("9.9.2", origin, release=newer.release)
    series = bun_source.read_series(bench.folder)
    with bun_source.open_checkout("9.9.2") as checkout:
        done = bun_source.rebase(checkout, series, series.bun_patches)
    assert {step.patch: step.state for step in done.steps} == {
        "pool-stacks": "upstream has it",
        "bindings": "applies",
        "warm-up": "applies",
    }
    folder = bench.folder.parent / "v9.9.2"
    bun_source.write_rebased(folder, "9.9.2", done, series, [])
    rebased = bun_source.read_series(folder)
    assert [patch.id for patch in rebased.patches] == ["bindings", "warm-up"]
    assert [(entry.id, entry.since) for entry in rebased.without] == [("pool-stacks", "9.9.2")]
    with bun_source.open_checkout("9.9.2") as checkout:
        bun_source.apply_series(checkout, rebased, rebased.bun_patches)
        assert bun_source.export_series(checkout, folder).changed_files == ()


def test_patch_rebase_conflict_is_reported_and_rest_continues(
    bench: up.Bench, tmp_path: Path
) -> None:
    changed = {**up.contents(SERIES / "before"), "src/main.zig": b"pub fn main() void {}\n"}
    newer = up.make_upstream(tmp_path / "newer", changed)
    origin = bun_source.parse_origin(str(newer.folder))
    bun_source.fetch_checkout("9.9.2", origin, release=newer.release)
    series = bun_source.read_series(bench.folder)
    with bun_source.open_checkout("9.9.2") as checkout:
        rebased = bun_source.rebase(checkout, series, series.bun_patches)
    (conflict,) = rebased.conflicts
    assert conflict.patch == "warm-up"
    assert "src/main.zig, hunk 1" in conflict.problem
    assert [patch.id for patch in rebased.patches] == ["pool-stacks", "bindings"]


def test_patch_export_without_checkout_gives_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path))
    with (
        pytest.raises(UsageError, match="there is no checkout of Bun"),
        bun_source.open_checkout(up.VERSION),
    ):
        pass
