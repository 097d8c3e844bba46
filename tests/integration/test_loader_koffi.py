"""A plain Go library that koffi or ffi-napi loads, with and without the package go-warmup."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import bun, succeed

from gobun import build, release, toolchain
from gobun.fetch import archive
from gobun.process import tool_environment
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.timeout(300), pytest.mark.network]
KOFFI = "koffi@2.9.0"
"""Newer ones end Bun 1.2 with a failed assertion, without Go too."""
FFI_NAPI = "ffi-napi@4.0.3"
"""Its last release."""
FFI_SCRIPT = """
const { Library } = require("ffi-napi");
console.log(Library(process.argv[2], { Run: ["int", []] }).Run());
"""
SCRIPT = """
if (process.argv[2] === "guarded") require("./package/index.js").warmup();
const run = require("koffi").load(process.argv[3]).func("int Run()");
const result = run();
let turns = 0;
setInterval(() => {
  if (++turns < 20) return;
  console.log(result, turns);
  process.exit(0);
}, 50);
"""


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    (folder / "package.json").write_text('{"name": "app", "private": true}')
    words = ["install", "--no-audit", "--no-fund", "--ignore-scripts", KOFFI, FFI_NAPI]
    completed = subprocess.run(
        [*map(str, toolchain.npm_command()), *words],
        cwd=folder,
        env=tool_environment({"npm_config_cache": str(folder / ".cache")}),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    succeed(completed)
    guards = build.build_guard([host_target()])
    packed = release.pack_loader("1.2.3", guards, [], folder)[0]
    archive.unpack(packed.tarball, folder / "package", packed.tarball.name)
    (folder / "script.cjs").write_text(SCRIPT)
    (folder / "ffi.cjs").write_text(FFI_SCRIPT)
    return folder


def run(
    application: Path, *words: str, program: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["timeout", "-s", "KILL", "10", program or bun("1.2.19").program, *words],
        cwd=application,
        env={"HOME": str(application), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_koffi_with_guard_leaves_the_event_loop_turning(application: Path) -> None:
    library = str(build.build_fixture("simple", host_target()).library)
    assert succeed(run(application, "script.cjs", "guarded", library)) == "0 20\n"
    # Without the guard it hangs.
    assert run(application, "script.cjs", "plain", library).returncode != 0
    control = str(build.build_fixture(build.CONTROL, host_target()).library)
    assert succeed(run(application, "script.cjs", "plain", control)) == "0 20\n"


def test_ffi_napi_runs_in_node_and_ends_bun(application: Path) -> None:
    """In Bun the process ends without Go too, so there is nothing to guard."""
    library = str(build.build_fixture("simple", host_target()).library)
    completed = run(application, "ffi.cjs", library, program=toolchain.node().program)
    assert succeed(completed) == "0\n"
    control = str(build.build_fixture(build.CONTROL, host_target()).library)
    for version in ("1.2.19", ""):
        completed = run(application, "ffi.cjs", control, program=bun(version).program)
        assert (completed.stdout, completed.returncode != 0) == ("", True)
