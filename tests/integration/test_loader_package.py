"""The package go-warmup: packed, installed, and run with each runtime."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from commands import TURNING_SCRIPT, bun, deno, invoke, succeed
from machine import OLD_BUN, ON_MUSL, OTHER_RUNTIMES

from gobun import build, paths, toolchain
from gobun.fetch import archive
from gobun.process import tool_environment
from gobun.targets import TARGETS, host_target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)
IDLE_HANGS = "1.2.19"
LIBRARY = f"go-guard-{host_target().name}{host_target().library_suffix}"
MOST_BYTES = 150_000
COMMON = """
const { GoWarmupError, warmup, wrap } = require("go-warmup");
const said = { runtime: null, error: null };
try {
  Object.assign(said, warmup({ force: process.env.FORCE === "1" }));
  said.wrapped = wrap(() => [warmup() === require("go-warmup/auto"), 42]);
} catch (error) {
  said.error = [error instanceof GoWarmupError, error.code, error.message, error.path];
}
console.log(JSON.stringify(said));
process.exit(0);
"""
MODULE = """
import auto from "go-warmup/auto";
import whole, { warmup, wrap } from "go-warmup";
console.log(JSON.stringify({ same: auto === warmup() && whole.warmup === warmup, ...auto,
  wrapped: wrap(() => 42) }));
process.exit(0);
"""
THREADS = """
import { warmup } from "go-warmup";
const { warmed, library } = warmup({ force: true });
const worker = new Worker(new URL(process.argv[2], import.meta.url).href, { type: "module" });
worker.onmessage = ({ data }) => {
  console.log(JSON.stringify({ warmed, same: data === library }));
  process.exit(0);
};
"""
WORKER = """
import { warmup } from "go-warmup";
postMessage(warmup({ force: true }).library);
"""


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed")
    relative = os.path.relpath(out, paths.ROOT)
    succeed(invoke("pack-loader", "--version", "1.2.3-rc.1", "--out", relative))
    return out / "go-warmup-1.2.3-rc.1.tgz"


@pytest.fixture(scope="module")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an application in which npm has installed the tarball, without a network."""
    app = application(tmp_path_factory.mktemp("app"))
    command = [*toolchain.npm_command(), "install", "--offline", "--no-audit", "--no-fund", tarball]
    succeed(run(command, app, **tool_environment({"npm_config_cache": str(app / ".cache")})))
    return app


def newest_command(name: str) -> list[str | Path]:
    """Return the command of a runtime: the newest Bun, or the pinned one of the others."""
    if name == "deno":
        return [deno().program, "run", "--no-lock", "--allow-all"]
    return [bun().program if name == "bun" else toolchain.node().program]


def application(folder: Path) -> Path:
    scripts = {"app.cjs": COMMON, "app.mjs": MODULE, "threads.mjs": THREADS, "worker.mjs": WORKER}
    scripts["event-loop.cjs"] = TURNING_SCRIPT
    for name, script in scripts.items():
        (folder / name).write_text(script)
    (folder / "package.json").write_text('{"name": "app", "private": true}')
    return folder


@pytest.fixture
def private_install(installed: Path, tmp_path: Path) -> Path:
    """Return a copy of the application. A test may damage the package in it."""
    shutil.copytree(installed, tmp_path / "app")
    return tmp_path / "app"


def run(
    command: Sequence[str | Path], folder: Path, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={"HOME": str(folder), "PATH": os.defpath, "TMPDIR": str(folder), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def answer_of(command: Sequence[str | Path], folder: Path, **env: str) -> dict[str, Any]:
    answer = json.loads(succeed(run(command, folder, **env)))
    assert isinstance(answer, dict)
    return answer


def test_loader_tarball_has_libraries_and_no_npm_hooks(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        content = {
            member.name.removeprefix("package/"): archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
        }
    about = json.loads(content["package.json"])
    assert (about["name"], about["version"]) == ("go-warmup", "1.2.3-rc.1")
    assert not {"dependencies", "scripts", "bin"} & set(about)
    apple = [each for each in TARGETS.values() if each.os == "darwin"]
    packages = {f"@go-warmup/{each.name}": "1.2.3-rc.1" for each in apple}
    assert about["optionalDependencies"] == packages
    assert sum(map(len, content.values())) <= MOST_BYTES
    libraries = {
        name.removeprefix("lib/"): data for name, data in content.items() if "lib/" in name
    }
    linux = [each for each in TARGETS.values() if each.os == "linux"]
    assert set(libraries) == {f"go-guard-{each.name}.so" for each in linux}
    for target in TARGETS.values():
        library = f"go-warmup-{target.name}{target.library_suffix}"
        with tarfile.open(tarball.with_name(f"go-warmup-{target.name}-1.2.3-rc.1.tgz")) as archive:
            libraries[library] = archive.extractfile(f"package/{library}").read()  # type: ignore[union-attr]
            about = json.load(archive.extractfile("package/package.json"))  # type: ignore[arg-type]
        assert (about["name"], about["version"]) == (f"@go-warmup/{target.name}", "1.2.3-rc.1")
        assert (about["os"], about["cpu"]) == ([target.os], [target.arch])
        assert about.get("libc") == ([target.libc] if target.libc else None)
    assert json.loads(content["sums.json"]) == {
        name: hashlib.sha256(data).hexdigest() for name, data in libraries.items()
    }
    sources = {
        str(each.relative_to(paths.LOADER_SOURCES)) for each in paths.LOADER_SOURCES.rglob("*.*")
    }
    assert sources <= set(content)


@pytest.mark.parametrize("debug", ["", "1"], ids=["fast", "debug"])
@pytest.mark.parametrize("version", [OLD_BUN, IDLE_HANGS, ""])
@pytest.mark.parametrize("script", ["app.cjs", "app.mjs"])
def test_loader_every_bun_is_guarded(
    installed: Path, version: str, script: str, debug: str
) -> None:
    runtime = bun(version)
    completed = run([runtime.program, script], installed, GO_WARMUP_DEBUG=debug)
    answer = json.loads(succeed(completed))
    library = installed / "node_modules" / "go-warmup" / "lib" / LIBRARY
    assert answer.pop("why")
    expected = {
        "runtime": "bun",
        "version": runtime.version,
        "target": f"{host_target().os}-{host_target().arch}",
        "need": "required",
        "warmed": True,
        "guard": "installed",
        "library": str(library),
    }
    if script == "app.cjs":
        assert answer == {**expected, "error": None, "wrapped": [True, 42]}
    else:
        assert answer == {**expected, "same": True, "wrapped": 42}
    message = f"go-warmup: loaded {library}: the signal guard is installed\n"
    assert completed.stderr.endswith(message if debug else "")
    assert completed.stderr.count("go-warmup: ") == (2 if debug else 0)


@pytest.mark.parametrize("name", ["node", "deno"])
@pytest.mark.parametrize("script", ["app.cjs", "app.mjs"])
def test_loader_other_runtimes_are_left_alone(installed: Path, name: str, script: str) -> None:
    completed = run([*newest_command(name), script], installed, GO_WARMUP_DEBUG="1")
    answer = json.loads(succeed(completed))
    values = [answer[key] for key in ("runtime", "need", "warmed", "library", "guard")]
    assert values == [name, "none", False, None, "absent"]
    assert answer.get("error") is None
    assert completed.stderr.count("go-warmup: ") == completed.stderr.count("nothing to do") == 1


def test_loader_deno_without_permissions_stays_silent(installed: Path) -> None:
    refused = [deno().program, "run", "--no-lock", "--no-prompt"]
    for command in (refused, newest_command("node"), [bun(OLD_BUN).program]):
        completed = run([*command, "app.mjs"], installed)
        assert json.loads(succeed(completed))["same"]
        assert completed.stderr == ""


def test_loader_deno_with_force_loads(installed: Path) -> None:
    answer = answer_of([*newest_command("deno"), "app.cjs"], installed, FORCE="1")
    assert (answer["warmed"], answer["need"]) == (True, "none")


@pytest.mark.parametrize("name", [OLD_BUN, IDLE_HANGS, "", "deno"])
def test_loader_workers_share_the_process_guard(installed: Path, name: str) -> None:
    command = newest_command("deno") if name == "deno" else [bun(name).program]
    assert answer_of([*command, "threads.mjs", "./worker.mjs"], installed) == {
        "warmed": True,
        "same": True,
    }


def test_loader_wrapped_module_leaves_event_loop_turning(installed: Path) -> None:
    addon = build.build_fixture("simple", host_target()).addon
    command = [str(bun(IDLE_HANGS).program), "event-loop.cjs", str(addon)]
    assert answer_of([*command], installed) == {"done": 0, "turns": 20}
    # Without the guard this hangs.
    assert run(["timeout", "-s", "KILL", "8", *command], installed, GO_WARMUP_GUARD="0").returncode


def test_loader_installed_by_bun_works(tarball: Path, tmp_path: Path) -> None:
    app = application(tmp_path)
    succeed(
        run(
            [*newest_command("bun"), "add", tarball], app, BUN_INSTALL_CACHE_DIR=str(app / ".cache")
        )
    )
    assert answer_of([bun(OLD_BUN).program, "app.cjs"], app)["warmed"]


@pytest.mark.parametrize("version", [OLD_BUN, IDLE_HANGS, ""])
def test_loader_bundled_and_moved_works(installed: Path, version: str, tmp_path: Path) -> None:
    program = bun(version).program
    out = tmp_path / "out"
    words = ["build", "app.cjs", "threads.mjs", "worker.mjs", "--target=bun", "--outdir"]
    succeed(run([program, *words, out], installed))
    # The package is at another path, as on another machine.
    moved = tmp_path / "moved"
    out.rename(moved)
    (installed / "node_modules").rename(installed / "aside")
    try:
        answer = answer_of([program, moved / "app.js"], tmp_path, FORCE="1")
        words = [str(moved / "threads.js"), "./worker.js"]
        threads = answer_of([program, *words], tmp_path)
    finally:
        (installed / "aside").rename(installed / "node_modules")
    assert answer["warmed"]
    assert os.path.dirname(answer["library"]) == str(moved)  # noqa: PTH120
    assert threads == {"warmed": True, "same": True}


@pytest.mark.parametrize("version", [OLD_BUN, IDLE_HANGS, ""])
def test_loader_compiled_executable_works_alone(
    installed: Path, version: str, tmp_path: Path
) -> None:
    words = ["build", "--compile", "app.cjs", "--outfile", "app.exe"]
    succeed(run([bun(version).program, *words], installed))
    (installed / "app.exe").rename(tmp_path / "app.exe")
    (installed / "node_modules").rename(installed / "aside")
    try:
        answers = [answer_of([tmp_path / "app.exe"], tmp_path, FORCE="1") for _ in range(2)]
    finally:
        (installed / "aside").rename(installed / "node_modules")
    assert answers[0] == answers[1]
    assert (answers[0]["error"], answers[0]["warmed"]) == (None, True)
    folder = tmp_path / f"go-warmup-{os.getuid()}"
    assert [str(path) for path in folder.iterdir()] == [answers[0]["library"]]
    assert folder.stat().st_mode & 0o077 == 0
    # A name that another user can take must not stop the application.
    folder.chmod(0o777)
    answer = answer_of([tmp_path / "app.exe"], tmp_path, FORCE="1")
    assert (answer["error"], answer["warmed"]) == (None, True)
    assert answer["library"].startswith(str(tmp_path / ".cache" / "go-warmup"))


def test_loader_missing_library_is_reported_only_where_needed(private_install: Path) -> None:
    shutil.rmtree(private_install / "node_modules" / "go-warmup" / "lib")
    for name in OTHER_RUNTIMES:
        completed = run([*newest_command(name), "app.cjs"], private_install)
        assert (json.loads(succeed(completed))["error"], completed.stderr) == (None, "")
    is_ours, code, text, path = answer_of([bun(OLD_BUN).program, "app.cjs"], private_install)[
        "error"
    ]
    assert (is_ours, code) == (True, "ERR_GO_WARMUP_MISSING")
    assert path == str(private_install / "node_modules" / "go-warmup" / "lib" / LIBRARY)
    assert path in text
    assert "next: install go-warmup again" in text
    named = str(private_install / "nowhere.so")
    # A library that the user names is loaded even if it is not needed.
    for version, force in ((OLD_BUN, "0"), ("", "1")):
        env = {"GO_WARMUP_LIBRARY": named, "FORCE": force}
        error = answer_of([bun(version).program, "app.cjs"], private_install, **env)["error"]
        assert error[1::2] == ["ERR_GO_WARMUP_MISSING", named]
        assert "GO_WARMUP_LIBRARY names it" in error[2]


def test_loader_corrupt_library_is_rejected(private_install: Path) -> None:
    library = private_install / "node_modules" / "go-warmup" / "lib" / LIBRARY
    data = bytearray(library.read_bytes())
    data[-100] ^= 1
    library.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    copy = private_install / LIBRARY
    library.rename(copy)
    for env in ({}, {"GO_WARMUP_LIBRARY": str(copy)}):
        if not env:
            shutil.copy(copy, library)
        error = answer_of([bun(OLD_BUN).program, "app.cjs"], private_install, **env)["error"]
        assert error[:2] == [True, "ERR_GO_WARMUP_CORRUPT"]
        assert digest in error[2]
    # A file with another name belongs to the user.
    copy.rename(private_install / "mine.so")
    answer = answer_of(
        [bun(OLD_BUN).program, "app.cjs"], private_install, GO_WARMUP_LIBRARY="mine.so"
    )
    assert answer["library"] == str(private_install / "mine.so")


def test_loader_other_library_is_rejected_as_warmup(private_install: Path) -> None:
    control = build.build_fixture(build.CONTROL, host_target()).library
    (private_install / "text.so").write_text("no library")
    (private_install / "folder.so").mkdir()
    for name in (str(control), "text.so", "folder.so"):
        answer = answer_of(
            [bun(OLD_BUN).program, "app.cjs"], private_install, GO_WARMUP_LIBRARY=name
        )
        assert answer["error"][:2] == [True, "ERR_GO_WARMUP_LOAD"], name
        assert "cannot be loaded" in answer["error"][2]


FAST_LINES = [
    line.replace("go-guard-linux-x64.so", LIBRARY)
    for line in (paths.ROOT / "docs" / "loader.md").read_text().splitlines()
    if line.startswith("process.dlopen(")
]
"""The documented lines that load the guard without a script of the package."""
AFTER_FAST_LINE = """
const before = require("fs").readFileSync("/proc/self/maps", "utf8").includes("go-guard-");
const { guardStats, warmup } = require("go-warmup");
const { guard } = warmup();
console.log(JSON.stringify({ before, guard, reason: guardStats().reason }));
process.exit(0);
"""


@pytest.mark.parametrize("version", [OLD_BUN, IDLE_HANGS, ""])
@pytest.mark.parametrize("name", ["fast.cjs", "fast.mjs"])
@pytest.mark.parametrize("line", FAST_LINES, ids=["path", "resolved"])
def test_loader_documented_line_loads_guard_without_scripts(
    installed: Path, line: str, name: str, version: str
) -> None:
    (installed / name).write_text(line + AFTER_FAST_LINE)
    answer = answer_of([bun(version, ffi=True).program, name], installed)
    assert answer == {"before": True, "guard": "installed", "reason": "installed"}


STATS = """
const { guardStats, warmup } = require("go-warmup");
const before = guardStats();
warmup({ force: true });
console.log(JSON.stringify({ before, after: guardStats() }));
process.exit(0);
"""


@pytest.mark.parametrize("name", [OLD_BUN, IDLE_HANGS, "", "deno", "node"])
def test_loader_guard_stats_report_guarded_signals(installed: Path, name: str) -> None:
    (installed / "stats.cjs").write_text(STATS)
    command = newest_command(name) if name in {"deno", "node"} else [bun(name, ffi=True).program]
    answer = answer_of([*command, "stats.cjs"], installed)
    assert answer["before"] is None
    if name == "node":
        assert answer["after"] is None
        return
    after = answer["after"]
    suspends = {OLD_BUN: [10], IDLE_HANGS: [30], "": [30], "deno": []}
    assert after["signals"] == suspends[name]
    assert after["reason"] == ("no-handler" if name == "deno" else "installed")
    assert after["others"] == []
    assert {type(value) for key, value in after.items() if key != "reason"} == {int, list}


UNWATCHED_SCRIPT = """
const { guardStats, warmup } = require("go-warmup");
const { guard, guardLibrary } = warmup({ library: process.argv[2] });
console.log(JSON.stringify({ guard, guardLibrary, stats: guardStats() }));
process.exit(0);
"""
LIBC = "libc.so" if ON_MUSL else "libc.so.6"
LOSES_SCRIPT = """
const { guardStats, warmup } = require("go-warmup");
const { dlopen } = require("bun:ffi");
const { profile } = require("bun:jsc");
const states = [];
const note = () => {
  const { reason, lost, others } = guardStats();
  states.push([warmup().guard, reason, lost, others]);
};
warmup({ library: process.argv[2] });
note();
const libc = dlopen(process.env.LIBC, { signal: { args: ["i32", "u64"], returns: "u64" } });
libc.symbols.signal(30, 1n); // SIGPWR, SIG_IGN: past the guard, which intercepts sigaction
note();
profile(() => {
  const end = performance.now() + 100;
  while (performance.now() < end) JSON.stringify(states);
}, 500);
note();
console.log(JSON.stringify({ states, restored: guardStats().restored }));
process.exit(0);
"""


@pytest.mark.parametrize("version", [IDLE_HANGS, ""])
def test_loader_lost_handler_is_reported_until_restored(installed: Path, version: str) -> None:
    (installed / "loses.cjs").write_text(LOSES_SCRIPT)
    answer = answer_of([bun(version).program, "loses.cjs"], installed, LIBC=LIBC)
    assert answer["states"] == [
        ["installed", "installed", [], []],
        ["lost", "lost", [30], []],
        ["installed", "installed", [], []],
    ]
    assert answer["restored"] > 0


@pytest.mark.parametrize("version", [IDLE_HANGS, ""])
def test_loader_warmup_library_loses_handler_is_reported(installed: Path, version: str) -> None:
    (installed / "loses.cjs").write_text(LOSES_SCRIPT)
    warmup = build.build_warmup([host_target()])[0].library
    answer = answer_of([bun(version).program, "loses.cjs", warmup], installed, LIBC=LIBC)
    assert answer["states"] == [
        ["inside", "by-another", [], [30]],
        ["lost", "lost", [30], []],
        ["inside", "by-another", [], [30]],
    ]
    assert answer["restored"] == 0


def test_loader_warmup_without_guard_is_not_watched(private_install: Path) -> None:
    (private_install / "unwatched.cjs").write_text(UNWATCHED_SCRIPT)
    (private_install / "node_modules" / "go-warmup" / "lib" / LIBRARY).unlink()
    warmup = build.build_warmup([host_target()])[0].library
    answer = answer_of([bun("").program, "unwatched.cjs", warmup], private_install)
    assert answer == {"guard": "inside", "guardLibrary": None, "stats": None}


def test_loader_named_warmup_library_is_loaded(installed: Path, tarball: Path) -> None:
    target = host_target().name
    package = tarball.with_name(f"go-warmup-{target}-1.2.3-rc.1.tgz")
    folder = installed / "warmup-package"
    folder.mkdir()
    archive.unpack(package, folder / "package", package.name)
    script = f"""
    const {{ guardStats, warmup }} = require("go-warmup");
    const library = require("{folder}/package");
    console.log(JSON.stringify([warmup({{ library }}), guardStats()]));
    process.exit(0);
    """
    (installed / "named.cjs").write_text(script)
    outcome, stats = json.loads(succeed(run([bun(IDLE_HANGS).program, "named.cjs"], installed)))
    expected = str(folder / "package" / f"go-warmup-{target}.so")
    assert (outcome["guard"], outcome["library"]) == ("inside", expected)
    assert (stats["reason"], stats["signals"], stats["others"]) == ("by-another", [], [30])
    env = {"GO_WARMUP_LIBRARY": expected}
    assert answer_of([bun("").program, "app.cjs"], installed, **env)["library"] == expected


def test_loader_guard_disabled_by_environment_is_off(installed: Path) -> None:
    answer = answer_of([bun("").program, "app.cjs"], installed, GO_WARMUP_GUARD="0")
    assert [answer[key] for key in ("guard", "warmed", "library")] == ["off", False, None]


def test_loader_wrap_returns_what_its_function_returns(installed: Path) -> None:
    script = """
    const { wrap } = require("go-warmup");
    const said = [];
    for (const load of [() => require("./worker.json"), () => Promise.resolve(1), "./x.node"]) {
      try { said.push(wrap(load) instanceof Promise); } catch (error) { said.push(error.message); }
    }
    console.log(JSON.stringify({ said }));
    """
    (installed / "wrap.cjs").write_text(script)
    (installed / "worker.json").write_text("{}")
    assert answer_of([toolchain.node().program, "wrap.cjs"], installed)["said"] == [
        False,
        True,
        "wrap() takes a function that loads: wrap(() => require('./x.node'))",
    ]
