"""A Bun of the make era is built in stages, first without patches and then with them."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import bun_upstream as up
import msgspec
import pytest
from commands import bun
from machine import OLD_BUN, ON_MUSL

from gobun import bun_source, patched, runtimes, toolchain
from gobun.bun_source import read_layout
from gobun.errors import BuildError, PrerequisiteError, UsageError
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSION = "1.0.4"
PINNED_COMMIT = "f8aa36d4737faee92bd2d1e337a2fd01a5437c61"


@pytest.fixture
def webkit(tmp_path: Path) -> Path:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    return make_webkit(tmp_path / "webkit")


def make_webkit(folder: Path) -> Path:
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "libJavaScriptCore.a").touch()
    return folder


@pytest.fixture
def series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bun_source.Series:
    """A checkout of the small make upstream, and a series of one build patch and one change."""
    stock = bun(OLD_BUN if ON_MUSL else VERSION).program
    monkeypatch.setattr("gobun.patched.build.stock_release", lambda _: runtimes.Bun(VERSION, stock))
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "the cache"))
    upstream = up.make_upstream(tmp_path / "upstream", up.GOLDEN / "build-make")
    commits = {VERSION: upstream.release}
    monkeypatch.setattr(bun_source, "commit_of_release", commits.__getitem__)
    origin = bun_source.parse_origin(str(upstream.folder))
    tree = bun_source.fetch_checkout(VERSION, origin, release=upstream.release).folder
    folder = tmp_path / "patches" / f"v{VERSION}"
    edits = {
        "zig-release": ("build.zig", "// compiles\n"),
        "pool-stacks": ("src/pool.h", "#define POOL_STACK_MIB 8\n"),
    }
    for name, (path, text) in edits.items():
        (tree / path).write_text(text)
        with bun_source.open_checkout(VERSION) as checkout:
            bun_source.new_patch(
                checkout, folder, name=name, title=f"Do {name}", reason="a", add=()
            )
    toml = folder / "series.toml"
    toml.write_text(
        toml.read_text().replace('id = "zig-release"', 'id = "zig-release"\nkind = "build"')
    )
    return bun_source.read_series(folder)


def build_request(
    series: bun_source.Series, webkit: Path, *, unpatched: bool = False
) -> patched.BuildRequest:
    zig = str(toolchain.zig().program)
    return patched.BuildRequest(series, unpatched=unpatched, zig=zig, webkit=str(webkit), jobs=2)


def test_make_checkout_is_recognised(series: bun_source.Series, tmp_path: Path) -> None:
    layout = read_layout(up.tree_of(tmp_path / "the cache", VERSION))
    assert (layout.era, layout.version) == ("make", VERSION)
    assert layout.pins["webkit"].startswith("f8aa36d4737f")
    assert layout.pins["zig"] == "0.12.0-dev.163+6780a6bbf"
    assert layout.llvm_range == ((16,), (17,))


def test_build_bun_control_and_patched_are_registered_separately(
    series: bun_source.Series, webkit: Path, tmp_path: Path
) -> None:
    control = patched.build_patched(build_request(series, webkit, unpatched=True))
    assert (control.label, control.treatment) == ("1.0.4+self-built", "self-built")
    assert control.patches == ("zig-release",)
    assert control.revision == f"{VERSION}+{control.commit}"
    assert subprocess.check_output([control.program]) == b"4\n"
    libraries = (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text()
    registered = patched.build_patched(build_request(series, webkit))
    assert (registered.label, registered.treatment) == ("1.0.4+patched", "patched")
    assert registered.patches == ("zig-release", "pool-stacks")
    assert subprocess.check_output([registered.program]) == b"8\n"
    # With HEAD in it, each change of a C++ patch would recompile all Zig code.
    assert registered.revision == control.revision
    assert runtimes.provide_bun([registered.label], host_target())[0].dlcall is None
    assert set(runtimes.registered_buns()) == {control, registered}
    # The libraries are built once: a patch of Bun's own code does not touch them.
    assert (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text() == libraries


def test_build_bun_debug_profile_is_built_and_registered(
    series: bun_source.Series, webkit: Path, tmp_path: Path
) -> None:
    debug = msgspec.structs.replace(build_request(series, webkit), profile="debug")
    registered = patched.build_patched(debug)
    assert (registered.label, registered.profile) == ("1.0.4+patched", "debug")
    assert registered.revision == f"{VERSION}-debug+{registered.commit}"
    (bun,) = runtimes.provide_bun([registered.label], host_target())
    assert bun.dlcall is not None  # its own foreign function calls end it
    assert b"[SYS]" in subprocess.check_output([registered.program], env={})
    again = patched.register(registered.program, series, series.bun_patches)
    assert (again.revision, again.identity) == (registered.revision, registered.identity)


def test_build_bun_failed_stage_is_named_and_resumed(
    series: bun_source.Series, webkit: Path, tmp_path: Path
) -> None:
    library = webkit / "lib" / "libJavaScriptCore.a"
    library.unlink()
    with pytest.raises(BuildError, match="in the stage release-bindings"):
        patched.build_patched(build_request(series, webkit))
    libraries = (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text()
    library.touch()
    patched.build_patched(build_request(series, webkit))
    assert (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text() == libraries


def copy_without_dates(source: str, target: str) -> str:
    return shutil.copy(source, target)


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
@pytest.mark.parametrize("copy", [shutil.copy2, copy_without_dates])
def test_build_bun_copied_cache_continues_the_build(
    series: bun_source.Series,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    copy: Callable[[str, str], str],
) -> None:
    original, copied = tmp_path / "the cache", tmp_path / "elsewhere"
    webkit = make_webkit(original / "webkit")
    patched.build_patched(build_request(series, webkit, unpatched=True))
    configured = "src/deps/boringssl/build"
    tree = up.tree_of(original, VERSION)
    (tree / "src/deps/libssl.a").unlink()  # as if the build had ended in this stage
    before = up.contents(tree)
    shutil.copytree(original, copied, symlinks=True, copy_function=copy)
    monkeypatch.setenv("GOBUN_CACHE", str(copied))
    capsys.readouterr()
    patched.build_patched(build_request(series, copied / "webkit"))
    (notice,) = (line for line in capsys.readouterr().err.splitlines() if "cache was at" in line)
    assert f"at {original}: unfinished stages configure CMake anew in {configured}" in notice
    moved = up.tree_of(copied, VERSION)
    assert (moved / "built").read_text() == before["built"].decode() + "building boringssl\n"
    assert f"={moved / configured}\n" in (moved / configured / "CMakeCache.txt").read_text()
    assert up.contents(tree) == before
    # An object of an older source may look new in a copy that lost the files' dates.
    undated = copy is copy_without_dates
    assert ("lost the files' dates" in notice) == undated
    assert (moved / "compiled").read_text().count("compiling") == 1 + undated
    patched.build_patched(build_request(series, copied / "webkit"))
    assert "cache was at" not in capsys.readouterr().err
    assert (moved / "compiled").read_text().count("compiling") == 1 + undated


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_build_bun_moved_cache_keeps_finished_stages(
    series: bun_source.Series,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    webkit = make_webkit(tmp_path / "the cache" / "webkit")
    patched.build_patched(build_request(series, webkit, unpatched=True))
    built = (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text()
    (tmp_path / "the cache").rename(tmp_path / "moved")
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "moved"))
    registered = patched.build_patched(build_request(series, tmp_path / "moved" / "webkit"))
    assert subprocess.check_output([registered.program]) == b"8\n"
    moved = up.tree_of(tmp_path / "moved", VERSION)
    assert (moved / "built").read_text() == built
    assert (moved / "compiled").read_text().count("compiling") == 1
    (moved / "src/bun.js/bindings/root.h").touch()
    patched.build_patched(build_request(series, tmp_path / "moved" / "webkit"))
    assert (moved / "compiled").read_text().count("compiling") == 2
    assert not (moved / "src/deps/boringssl/build/CMakeCache.txt").exists()
    assert capsys.readouterr().err.count("cache was at") == 1


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            "ld.lld: error: failed to write to the output file: No space left on device",
            "free some 10 GB",
        ),
        ("error: unable to update file from 'a.o' to 'b.o': NoSpaceLeft", "free some 10 GB"),
        ("error: unable to build object: OutOfMemory", "memory ran out"),
        ("make: *** [Makefile:698: build-obj] Killed", "memory ran out"),
    ],
)
def test_build_bun_shortage_is_named_and_resumed(
    series: bun_source.Series, webkit: Path, tmp_path: Path, message: str, advice: str
) -> None:
    short = tmp_path / "short"
    zig = tmp_path / "zig"
    zig.write_text(
        f'#!/bin/sh\nif [ -e "{short}" ] && [ "$1" = cc ]; then echo "{message}" >&2; exit 1; fi\n'
        f'exec "{toolchain.zig().program}" "$@"\n'
    )
    zig.chmod(0o755)
    short.touch()
    request = patched.BuildRequest(series, zig=str(zig), webkit=str(webkit), jobs=2)
    with pytest.raises(BuildError) as caught:
        patched.build_patched(request)
    assert message in caught.value.what
    assert advice in (caught.value.hint or "")
    libraries = (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text()
    short.unlink()
    patched.build_patched(request)
    assert (up.tree_of(tmp_path / "the cache", VERSION) / "built").read_text() == libraries


def test_build_bun_webkit_of_another_commit_is_rejected(
    series: bun_source.Series, webkit: Path
) -> None:
    package = webkit / "package.json"
    package.write_text(f'{{"name": "bun-webkit-linux-amd64", "version": "0.0.1-{"9" * 40}"}}')
    with pytest.raises(
        UsageError, match=r"is built from commit 9{40}, and Bun 1\.0\.4 pins f8aa36d47"
    ):
        patched.build_patched(build_request(series, webkit))
    package.write_text(package.read_text().replace("9" * 40, PINNED_COMMIT))
    patched.build_patched(build_request(series, webkit))


def test_build_bun_file_added_by_hand_is_kept(series: bun_source.Series, tmp_path: Path) -> None:
    release = bun_source.commit_of_release(series.version)
    upstream = up.Upstream(tmp_path / "upstream", release)
    mirror = up.lossy_copy(upstream, tmp_path, "src/bun.c")
    origin = bun_source.parse_origin(str(mirror))
    shutil.rmtree(tmp_path / "the cache")
    fetched = bun_source.fetch_checkout(VERSION, origin, release=upstream.release)
    request = patched.BuildRequest(series, webkit=str(tmp_path))
    rows = {row.name: row for row in patched.preflight(request)}
    assert (rows["files"].state, rows["files"].found) == (
        "missing",
        "1 without content: src/bun.c",
    )
    own_file = fetched.folder / "src" / "bun.c"
    own_file.write_text("int main(void) { return 0; }\n")
    rows = {row.name: row for row in patched.preflight(request)}
    assert rows["files"].state == "note"
    assert rows["files"].found == "put in by hand, not compared with upstream: src/bun.c"
    with bun_source.open_checkout(VERSION) as checkout:
        bun_source.apply_series(checkout, series, series.bun_patches)
    assert own_file.read_text() == "int main(void) { return 0; }\n"


def test_plan_build_quick_profile_keeps_objects_apart(
    series: bun_source.Series, tmp_path: Path
) -> None:
    tree = up.tree_of(tmp_path / "the cache", series.version)
    layout = read_layout(tree)
    words = {}
    for profile in ("release", "quick", "debug"):
        options = bun_source.BuildOptions(profile=profile, jobs=2, bun=tmp_path / "bun")
        plan = bun_source.plan_build(layout, tree, options)
        words[profile] = {stage.name: stage.arguments for stage in plan.stages}
    differ = [name for name in words["quick"] if words["quick"][name] != words["release"][name]]
    assert differ == ["release-bindings", "bun-link-lld-release"]
    for name in differ:
        assert "OBJ_DIR=src/bun.js/bindings-obj-quick" in words["quick"][name]
        assert "OPTIMIZATION_LEVEL=-O1" in words["quick"][name]
        assert "OBJ_DIR=src/bun.js/bindings-obj" in words["release"][name]
    quick, debug = words["quick"], words["debug"]
    assert [name for name in debug if debug[name] != quick.get(name)] == [
        "folder",
        "dev-obj-notrack",
        "bun-link-lld-debug",
    ]
    assert "DEBUG_OBJ_DIR=src/bun.js/bindings-obj-quick" in debug["bun-link-lld-debug"]


def test_build_bun_finds_clang_outside_of_path(
    series: bun_source.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upstream's Makefile takes the first clang in PATH, which may be of another version."""
    llvm, older = tmp_path / "llvm-16" / "bin", tmp_path / "older"
    for folder, version in ((llvm, "16.0.6"), (older, "14.0.6")):
        folder.mkdir(parents=True)
        for name in ("clang", "clang++", "ld.lld", "llvm-ar", "llvm-ranlib"):
            (folder / name).write_text(f"#!/bin/sh\necho clang version {version}\n")
            (folder / name).chmod(0o755)
    monkeypatch.setattr("gobun.bun_source.build_programs.llvm_folders", lambda _: [str(llvm)])
    monkeypatch.setenv("PATH", f"{older}:{os.environ['PATH']}")
    rows = {row.name: row for row in patched.preflight(patched.BuildRequest(series))}
    assert (rows["clang++"].state, rows["clang++"].found) == ("ok", f"16.0.6, {llvm / 'clang++'}")
    tree = up.tree_of(tmp_path / "the cache", series.version)
    options = bun_source.BuildOptions(profile="quick", jobs=2, bun=tmp_path / "bun")
    plan = bun_source.plan_build(read_layout(tree), tree, options)
    assert shutil.which("clang++", path=plan.env["PATH"]) == str(llvm / "clang++")


def test_build_bun_other_clang_major_gives_a_hint(
    series: bun_source.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, git = tmp_path / "older", shutil.which("git")
    assert git
    older.mkdir()
    (older / "git").symlink_to(git)
    for name in ("clang", "clang++", "clang-16", "clang++-16"):
        (older / name).write_text("#!/bin/sh\necho clang version 14.0.6\n")
        (older / name).chmod(0o755)
    monkeypatch.setattr("gobun.bun_source.build_programs.llvm_folders", lambda _: [])
    monkeypatch.setenv("PATH", str(older))
    rows = patched.preflight(patched.BuildRequest(series, webkit=str(tmp_path)))
    (row,) = (row for row in rows if row.name == "clang++")
    assert row.state == "missing"
    assert row.found == f"14.0.6, {older / 'clang++'}: not of the range"
    with pytest.raises(
        PrerequisiteError, match=r"clang\+\+: >= 16, < 17 wanted, 14\.0\.6"
    ) as caught:
        bun_source.check_preflight(rows)
    assert "clang-16" in (caught.value.hint or "")


def test_build_bun_build_patch_is_required(series: bun_source.Series) -> None:
    with pytest.raises(UsageError, match=r"unknown patch of the series v1\.0\.4 'zig-release'"):
        series.select_patches(without=("zig-release",))
    (patch,) = series.select_patches(without=("pool-stacks",))
    assert patch.id == "zig-release"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"webkit": "/no/such/folder"}, "--webkit /no/such/folder: there is no such folder"),
        ({"zig": "/no/such/zig"}, "--zig /no/such/zig: there is no such file"),
        ({"jobs": 0}, "--jobs 0 would build nothing"),
        ({"profile": "fast"}, "unknown profile 'fast'"),
    ],
)
def test_build_bun_wrong_flags_are_rejected(
    series: bun_source.Series, webkit: Path, flags: dict[str, object], message: str
) -> None:
    arguments: dict[str, object] = {"series": series, "webkit": str(webkit), **flags}
    with pytest.raises(UsageError) as caught:
        patched.build_patched(patched.BuildRequest(**arguments))  # type: ignore[arg-type]
    assert message in str(caught.value)
