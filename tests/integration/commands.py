"""Runs the suite's commands, here or in a copy, and scripts on real runtimes."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import semver
from machine import FIRST_BUN_WITH_FFI_ON_MUSL, ON_MUSL

from gobun import doctor, fetch, paths, runtimes, toolchain
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LIMIT_S = 540
"""From empty caches, the libraries for all platforms take four minutes of both cores."""
TURNING_SCRIPT = """
const { wrap } = require("go-warmup");
const done = wrap(() => require(process.argv[2])).runSync();
let turns = 0;
setInterval(() => {
  if (++turns < 20) return;
  console.log(JSON.stringify({ done, turns }));
  process.exit(0);
}, 50);
"""
"""Calls an addon through the npm package, and prints how often the event loop turned."""
runs_musl = pytest.mark.skipif(
    host_target().name not in {"linux-x64", "linux-x64-musl"},
    reason="musl's programs are fetched for x64",
)
"""Skips tests of programs for musl, unless a sysroot or a musl machine can run them."""


def invoke(
    *words: str | Path,
    root: Path = paths.ROOT,
    env: Mapping[str, str] | None = None,
    limit_s: float = LIMIT_S,
) -> subprocess.CompletedProcess[str]:
    """Run ``invoke`` as a person does, in a checkout."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", *map(str, words)],
        cwd=root,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=limit_s,
    )


def wait_until(condition: Callable[[], bool], within_s: float) -> None:
    """Wait until ``condition`` holds. Fail after that many seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def succeed(completed: subprocess.CompletedProcess[str]) -> str:
    """Return the output of a command. Fail if the command failed."""
    assert completed.returncode == 0, f"{completed.args}\n{completed.stdout}\n{completed.stderr}"
    return completed.stdout


def type_check(script: Path) -> None:
    """Check the types of a script and of its imports with Deno."""
    completed = subprocess.run(
        [deno().program, "check", "--quiet", "--no-lock", script.name],
        cwd=script.parent,
        env={"NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1", "DENO_DIR": str(script.parent / "deno")},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert completed.returncode == 0, completed.stderr


def copy_checkout(to: Path) -> Path:
    """Copy the parts of this repository that the builds need."""
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("gobun", "go", "js", "native", "scenarios", "expectations"):
        shutil.copytree(paths.ROOT / name, to / name, ignore=leave)
    for name in ("tasks.py", "pyproject.toml", "LICENSE"):
        shutil.copy(paths.ROOT / name, to / name)
    return to


def copy_with_claims(to: Path) -> Path:
    """Copy a checkout with its claims, and the patches that they name."""
    copy_checkout(to)
    for name in ("claims", "patches"):
        shutil.copytree(paths.ROOT / name, to / name)
    return to


def cache_with_warm_compilers(folder: Path, *names: str) -> Path:
    """Make a cache that holds only the compilers' own caches, or those in ``names``."""
    folder.mkdir()
    for name in names or ("go-build", "zig"):
        compiler_cache = paths.cache_root() / name
        compiler_cache.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(compiler_cache)
    return folder


def newest_locked(package: str) -> str:
    """Return the newest release of a package that the lock file names."""
    versions = [semver.Version.parse(version) for version in fetch.read_lock().versions(package)]
    return str(max(version for version in versions if version.prerelease is None))


def bun(version: str = "", *, ffi: bool = False) -> runtimes.Bun:
    """Return stock Bun, by default the newest locked one.

    Skips the test on musl if the release has no build for musl. With ``ffi`` the test opens a
    library by ``bun:ffi``, and is also skipped if the release cannot do that on musl.
    """
    target = host_target()
    chosen = version or newest_locked(fetch.bun_package(target.name))
    if ON_MUSL and ffi and semver.Version.parse(chosen) < FIRST_BUN_WITH_FFI_ON_MUSL:
        pytest.skip(f"bun:ffi of Bun {chosen} opens no library on musl")
    provided = runtimes.provide_runtimes("bun", [chosen], target)[0]
    if not isinstance(provided, runtimes.Bun):
        pytest.skip(provided.lack)
    return provided


def deno() -> runtimes.Deno:
    """Return the pinned Deno, or skip the test on musl."""
    provided = runtimes.provide_runtimes("deno", [toolchain.pins()["deno"]], host_target())[0]
    if not isinstance(provided, runtimes.Deno):
        pytest.skip(provided.lack)
    return provided


def arm64_emulator() -> list[str]:
    """Return the command that runs an arm64 program here, or skip the test."""
    program = shutil.which("qemu-aarch64-static")
    if program is None or not doctor.ARM64_LIBRARIES.is_dir():
        pytest.skip("needs qemu-user-static and libc6-arm64-cross (Debian)")
    return [program, "-L", str(doctor.ARM64_LIBRARIES)]


def arm64_bun() -> list[str]:
    """Return the command that runs the newest locked Bun for arm64 here, or skip the test."""
    emulator = arm64_emulator()
    name = fetch.bun_package("linux-arm64")
    package = fetch.Package(name, newest_locked(name))
    return [*emulator, str(fetch.fetch_packages([package])[package] / "bin" / "bun")]


@functools.cache
def runtime(name: str) -> runtimes.Runtime:
    """Return a runtime by its name: the newest locked Bun, or the pinned release of another
    runtime."""
    if name == "bun":
        return bun()
    return deno() if name == "deno" else runtimes.provide_node(host_target())


def run_script(command: Sequence[str | Path], script: str, folder: Path, *words: str) -> str:
    """Run a script with a runtime, and return its output. The script must succeed."""
    path = folder / "script.cjs"
    path.write_text(script)
    completed = subprocess.run(
        [*map(str, command), str(path), *words],
        cwd=folder,
        env={"HOME": str(folder), "PATH": os.defpath, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return succeed(completed)
