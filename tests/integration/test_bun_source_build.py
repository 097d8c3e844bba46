"""A small upstream is really built with a patch, and its binary is registered."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
from pathlib import Path

import bun_upstream as up
import msgspec
import pytest

from gobun import bun_source, patched, runtimes, toolchain
from gobun.bun_source import BuildOptions, BuildPlan, OfflineSources, plan_build, read_layout
from gobun.bun_source.upstream_build import first_error
from gobun.errors import BuildError, PrerequisiteError, UsageError
from gobun.targets import host_target

VERSION = "1.2.19"


@pytest.fixture
def stock() -> Path:
    return runtimes.provide_bun([VERSION], host_target())[0].program


@pytest.fixture
def series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stock: Path) -> bun_source.Series:
    """A checkout of the small upstream as Bun 1.2.19, and a series of one patch on it."""
    monkeypatch.setattr("gobun.patched.build.stock_release", lambda _: runtimes.Bun(VERSION, stock))
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "the cache"))
    monkeypatch.setenv("CC", str(toolchain.zig().program))
    upstream = up.make_upstream(tmp_path / "upstream", up.GOLDEN / "build")
    origin = bun_source.parse_origin(str(upstream.folder))
    fetched = bun_source.fetch_checkout(VERSION, origin, release=upstream.release)
    folder = tmp_path / "patches" / f"v{VERSION}"
    (fetched.folder / "src/pool.h").write_text("#define POOL_STACK_MIB 8\n")
    with bun_source.open_checkout(VERSION) as checkout:
        words = {"name": "pool-stacks", "title": "Give pool threads more", "reason": "C11"}
        bun_source.new_patch(checkout, folder, add=(), **words)
    return bun_source.read_series(folder)


def test_build_bun_patched_tree_is_built_and_registered(series: bun_source.Series) -> None:
    registered = patched.build_patched(patched.BuildRequest(series, jobs=3))
    assert (registered.label, registered.patches, registered.whole) == (
        "1.2.19+patched",
        ("pool-stacks",),
        True,
    )
    assert registered.revision == f"{VERSION}+{registered.head[:9]}"
    assert subprocess.check_output([registered.program]) == b"8\n"
    assert "-j3" in Path(registered.log).read_text()
    assert runtimes.registered_buns() == [registered]
    # Without its only patch it is a second runtime.
    bare = patched.build_patched(patched.BuildRequest(series, without_patches=("pool-stacks",)))
    assert (bare.label, bare.patches) == (f"1.2.19+patched.{bare.identity[:8]}", ())
    assert subprocess.check_output([bare.program]) == b"4\n"
    assert runtimes.registered_buns() == [registered, bare]
    assert runtimes.registered_as([bare.label]) == [bare]
    with pytest.raises(UsageError, match="unknown patched Bun"):
        runtimes.registered_as(["1.2.19+patchd"])


def test_build_bun_failure_shows_first_error_and_keeps_log(
    series: bun_source.Series, tmp_path: Path
) -> None:
    tree = up.tree_of(tmp_path / "the cache", VERSION)
    (tree / "src/pool.h").write_text("#define POOL_STACK_MIB eight\n")
    with bun_source.open_checkout(VERSION) as checkout:
        words = {"name": "broken", "title": "Break it", "reason": "to see"}
        bun_source.new_patch(checkout, series.folder, add=(), **words)
    broken = bun_source.read_series(series.folder)
    with pytest.raises(BuildError) as caught:
        patched.build_patched(patched.BuildRequest(broken))
    assert "use of undeclared identifier 'eight'" in caught.value.what
    assert "[1/2]" not in caught.value.what
    (log,) = (tmp_path / "the cache" / "logs").glob("*.log")
    assert str(log) in str(caught.value)
    assert runtimes.registered_buns() == []
    patched.build_patched(patched.BuildRequest(broken, only_patches=("pool-stacks",)))


def test_build_bun_repeated_continues_where_it_failed(
    series: bun_source.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    compiler = tmp_path / "compiler"
    compiler.write_text(
        f'#!/bin/sh\ncase " $* " in *" -c "*) ;; *) if [ -e "{full}" ]; then '
        f'echo "ld.lld: error: No space left"; exit 1; fi ;; esac\n'
        f'exec "{toolchain.zig().program}" "$@"\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    full.touch()
    with pytest.raises(BuildError, match="No space left") as caught:
        patched.build_patched(patched.BuildRequest(series))
    assert "the next run continues after the finished stages" in str(caught.value)
    (log,) = (tmp_path / "the cache" / "logs").glob("*.log")
    assert "[1/2] compiling" in log.read_text()
    full.unlink()
    registered = patched.build_patched(patched.BuildRequest(series))
    assert "[1/2] compiled before" in Path(registered.log).read_text()
    assert subprocess.check_output([registered.program]) == b"8\n"


def test_build_bun_checkout_stays_locked_until_registered(
    series: bun_source.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = up.tree_of(tmp_path / "the cache", VERSION)
    real, registered = runtimes.register, []

    def register(
        program: Path, record: runtimes.RegisteredBun, stock: Path
    ) -> runtimes.RegisteredBun:
        with tree.with_name(f"{tree.name}.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        registered.append(record)
        return real(program, record, stock)

    monkeypatch.setattr(runtimes, "register", register)
    patched.build_patched(patched.BuildRequest(series))
    assert len(registered) == 1


def test_build_bun_leftover_process_does_not_lock_checkout(
    series: bun_source.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler, pids = tmp_path / "compiler", tmp_path / "pids"
    compiler.write_text(
        f"#!/bin/sh\n(setsid sh -c 'echo $$ >> \"{pids}\"; exec sleep 30' >/dev/null 2>&1 &)\n"
        f'exec "{toolchain.zig().program}" "$@"\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    patched.build_patched(patched.BuildRequest(series))
    left = [int(pid) for pid in pids.read_text().split()]
    assert left
    try:
        tree = up.tree_of(tmp_path / "the cache", VERSION)
        with tree.with_name(f"{tree.name}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        for pid in left:
            os.kill(pid, signal.SIGKILL)


def test_register_bun_unpatched_executable_is_rejected(
    series: bun_source.Series, tmp_path: Path, stock: Path
) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(stock.read_bytes())
    copy.chmod(0o755)
    with pytest.raises(UsageError, match=r"is the stock Bun 1\.2\.19, byte for byte"):
        patched.register(copy, series, series.bun_patches)
    with copy.open("ab") as stream:
        stream.write(b"\0")
    registered = patched.register(copy, series, series.bun_patches)
    assert registered.revision == f"{VERSION}+aad3abead"
    for text, wrong in (
        ("echo 1.3.0+abcdef012", r"reports 1\.3\.0\+abcdef012, and the series"),
        ("echo hello", "prints no version"),
        ("exit 3", "exit code 3"),
    ):
        copy.write_text(f"#!/bin/sh\n{text}\n")
        with pytest.raises(UsageError, match=wrong):
            patched.register(copy, series, series.bun_patches)
    copy.chmod(0o644)
    with pytest.raises(UsageError, match="Permission denied") as caught:
        patched.register(copy, series, series.bun_patches)
    assert "executable for this machine" in str(caught.value)
    bare = msgspec.structs.replace(series, patches=())
    with pytest.raises(UsageError, match="carries no patch, so there is nothing to register"):
        patched.register(copy, bare, ())
    with pytest.raises(UsageError, match="carries no patch, so there is nothing to build"):
        patched.build_patched(patched.BuildRequest(bare))
    with pytest.raises(UsageError, match="there is no executable"):
        patched.register(tmp_path / "none", series, series.bun_patches)
    assert runtimes.registered_buns() == [registered]


def test_build_bun_preflight_lists_everything_missing(
    series: bun_source.Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gobun.bun_source.preflight._LEAST_DISK_GIB", 1 << 30)
    monkeypatch.setattr("gobun.bun_source.build_programs.llvm_folders", lambda _: [])
    git = shutil.which("git")
    assert git
    folder = series.folder.parent / "bin"
    folder.mkdir()
    (folder / "git").symlink_to(git)
    (folder / "clang-19").write_text("#!/bin/sh\necho clang version 18.1.8\n")
    (folder / "ninja").write_text("no program\n")
    (folder / "pkg-config").write_text("#!/bin/sh\nwhile :; do :; done\n")
    (folder / "cargo").write_text('#!/bin/sh\necho "error: no toolchain 1.2" >&2; exit 1\n')
    for name in ("clang-19", "ninja", "pkg-config", "cargo"):
        (folder / name).chmod(0o755)
    monkeypatch.setattr("gobun.bun_source.build_programs._ANSWERS_S", 1.0)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("https_proxy", "http://me:secret@127.0.0.1:9")
    rows = {row.name: row for row in patched.preflight(patched.BuildRequest(series))}
    assert rows["layout"].found == "cmake"
    assert rows["webkit"].found.startswith("0123456789")
    assert rows["bun"].found.startswith(VERSION)
    assert (rows["git"].state, rows["cmake"].state, rows["go"].state) == ("ok", "missing", "note")
    assert "18.1.8" in rows["clang"].found
    assert "Exec format error" in rows["ninja"].found
    assert (rows["cargo"].state, "no toolchain" in rows["cargo"].found) == ("missing", True)
    assert (rows["pkg-config"].state, "did not end" in rows["pkg-config"].found) == ("note", True)
    assert "host.invalid" in rows
    assert "https_proxy" in rows["proxies"].found
    assert "secret" not in bun_source.render_preflight(list(rows.values()))
    with pytest.raises(PrerequisiteError, match="cannot build Bun yet") as caught:
        bun_source.check_preflight(list(rows.values()))
    message = str(caught.value)
    for part in ("cmake: ", "ninja: ", "clang: ", "disk: ", "host.invalid: "):
        assert f"\n  {part}" in message
    assert "Debian: apt-get install " in message
    assert "clang-19 cmake lld-19 llvm-19 ninja-build" in message
    assert "macOS: brew install" in message
    with pytest.raises(UsageError, match="unknown profile 'fast'"):
        patched.preflight(patched.BuildRequest(series, profile="fast"))
    # With a folder of downloads, unreachable hosts are only a note. A WebKit alone is not enough.
    for offline, state in (
        (OfflineSources(cache=folder), "note"),
        (OfflineSources(webkit=folder), "missing"),
    ):
        wish = patched.BuildRequest(series, offline=offline)
        assert {row.name: row.state for row in patched.preflight(wish)}["host.invalid"] == state


def plan(tree: Path, **settings: Path | str) -> BuildPlan:
    """Return the plan for a checkout, with 4 jobs and a Bun in /usr/lib/bun."""
    options = BuildOptions(profile="release", jobs=4, bun=Path("/usr/lib/bun/bun"))
    return plan_build(read_layout(tree), tree, msgspec.structs.replace(options, **settings))


def test_build_bun_plan_for_cmake_is_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = up.GOLDEN / "build"
    monkeypatch.setenv("CCACHE_DIR", "kept here")
    (stage,) = (build_plan := plan(tree, webkit=tmp_path / "w", cache=tmp_path / "c")).stages
    assert stage.arguments[1:4] == ("run", "build:release", "-j4")
    assert stage.arguments[4:] == (
        "-DENABLE_CANARY=OFF",
        f"-DWEBKIT_PATH={tmp_path / 'w'}",
        f"-DCACHE_PATH={tmp_path / 'c'}",
    )
    # ccache is in a folder after this one.
    assert build_plan.env["PATH"].startswith(f"/usr/lib/bun{os.pathsep}")
    assert build_plan.env["CCACHE_DIR"] == "kept here"
    with pytest.raises(UsageError, match="unknown profile 'fast'"):
        plan(tree, profile="fast")
    with pytest.raises(UsageError, match="has no script build:debug"):
        plan(tree, profile="debug")
    for flag in ("prefetch", "zig"):
        with pytest.raises(
            UsageError, match=f"is built with cmake, which does not support --{flag}"
        ):
            plan(tree, **{flag: tmp_path})
    with pytest.raises(UsageError, match="none of the build systems known here"):
        read_layout(tmp_path)


def test_build_bun_plans_for_build_ts_and_cargo_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    scripts = tree / "scripts" / "build"
    (scripts / "deps").mkdir(parents=True)
    (scripts.parent / "build.ts").touch()
    (scripts / "deps" / "webkit.ts").write_text('export const WEBKIT_VERSION = "autobuild-1";\n')
    (scripts / "tools.ts").write_text('export const LLVM_VERSION = "21.1.8";\n')
    package = '{"version": "1.3.14", "scripts": {"build:release": "", "build:debug": ""}}'
    (tree / "package.json").write_text(package)
    newer = read_layout(tree)
    assert (newer.era, newer.version) == ("build.ts", "1.3.14")
    assert newer.pins == {"webkit": "autobuild-1", "llvm": "21.1.8"}
    assert newer.llvm_range == ((21, 1), (21, 1, 99))
    build_plan = plan(tree, profile="debug", webkit=tmp_path / "w", prefetch=tmp_path / "p")
    assert build_plan.stages[0].arguments[2:] == (
        "build:debug",
        "-j4",
        "--canary=off",
        "--webkit=local",
    )
    assert build_plan.env["BUN_BUILD_PREFETCH_DIR"] == str(tmp_path / "p")
    assert build_plan.program == "build/debug/bun-debug"
    (tree / "Cargo.toml").touch()
    (tree / "rust-toolchain.toml").write_text('channel = "nightly-2026-05-06"\n')
    newest = read_layout(tree)
    assert (newest.era, newest.pins["rust"]) == ("cargo", "nightly-2026-05-06")
    monkeypatch.setenv("PATH", str(tmp_path))
    preflight = bun_source.examine(
        newest,
        tmp_path,
        missing_paths=(),
        submodules=("src/deps/zlib",),
        bun=lambda: "1",
        zig=lambda: "",
        webkit=lambda: "",
        offline=OfflineSources(),
        version="1.3.14",
    )
    rows = {row.name: row for row in preflight}
    assert rows["submodules"].state == "missing"
    assert (rows["rustup"].state, rows["rustup"].wanted) == ("missing", "nightly-2026-05-06")


def test_build_bun_plan_for_first_cmake_reads_its_pins(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        'set(Bun_VERSION "1.0.36")\nset(WEBKIT_TAG 089023cc9078b3aa)\nset(LLVM_VERSION 16)\n'
    )
    (tmp_path / "Dockerfile").write_text('ARG ZIG_VERSION="0.12.0-dev.1828+225fe6ddb"\n')
    (tmp_path / "package.json").write_text('{"name": "bun", "scripts": {"build": ""}}')
    layout = read_layout(tmp_path)
    assert (layout.era, layout.version) == ("cmake-1", "1.0.36")
    assert layout.pins == {
        "webkit": "089023cc9078b3aa",
        "zig": "0.12.0-dev.1828+225fe6ddb",
        "llvm": "16",
    }
    assert layout.llvm_range == ((16,), (17,))
    build_plan = plan(tmp_path, zig=tmp_path / "zig", webkit=tmp_path / "w")
    assert [stage.name for stage in build_plan.stages] == ["dependencies", "configure", "compile"]
    assert f"-DZIG_COMPILER={tmp_path / 'zig'}" in build_plan.stages[1].arguments
    assert f"-DWEBKIT_DIR={tmp_path / 'w'}" in build_plan.stages[1].arguments
    assert build_plan.program == "build-release/bun"


@pytest.mark.parametrize(("gib", "jobs"), [(24.0, 12), (64.0, 16), (5.0, 2), (1.0, 1)])
def test_build_bun_jobs_fit_the_memory(
    monkeypatch: pytest.MonkeyPatch, gib: float, jobs: int
) -> None:
    monkeypatch.setattr("gobun.bun_source.preflight.memory_gib", lambda: gib)
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert bun_source.jobs_by_memory() == jobs


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("[1/9] a\nx.cpp:3:1: warning: error: no\nx.cpp:4:1: error: bad\nmore\n", "x.cpp:4:1"),
        ("a\nCMake Error at x:1\n", "CMake Error at x:1"),
        ("0 errors\nb\n", "0 errors\n  b"),
    ],
)
def test_build_bun_log_yields_its_first_real_error(tmp_path: Path, log: str, message: str) -> None:
    (tmp_path / "log").write_text(log)
    assert first_error(tmp_path / "log").strip().startswith(message)


def test_build_bun_huge_error_is_truncated(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"a.o: error: {'x' * (1 << 20)}\nmore\n")
    message = first_error(tmp_path / "log")
    assert message.endswith("\n  more")
    assert len(message) < 2000
