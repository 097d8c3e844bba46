"""The guard embedded in published addons and libraries."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from commands import bun, succeed

from gobun import embed, toolchain
from gobun.process import tool_environment
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.network,
    pytest.mark.skipif(host_target().name != "linux-x64", reason="they are published for x64"),
]
BRIDGE = "@typescript-native-bridge/linux-x64"
BRIDGE_VERSION = "6.0.3-bridge.17.tsgo.7.0.2"
TLS_CLIENT = "tls-client==2.0.0"
TURNING_SCRIPT = """
const file = process.argv[2];
if (file.endsWith(".node")) require(file);
else require("bun:ffi").dlopen(file, { freeMemory: { args: ["cstring"], returns: "void" } });
let turns = 0;
setInterval(() => {
  if (++turns < 20) return;
  console.log("turns");
  process.exit(0);
}, 50);
"""


def download(folder: Path, *command: str | Path) -> None:
    completed = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env=tool_environment({"npm_config_cache": str(folder / ".cache")}),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    succeed(completed)


def bridge(folder: Path) -> Path:
    (folder / "package.json").write_text('{"name": "app", "private": true}')
    words = ["install", "--no-audit", "--no-fund", "--ignore-scripts", f"{BRIDGE}@{BRIDGE_VERSION}"]
    download(folder, *toolchain.npm_command(), *words)
    return folder / "node_modules" / BRIDGE / "native" / "bridge.node"


def tls_client(folder: Path) -> Path:
    download(folder, sys.executable, "-m", "pip", "download", "--no-deps", "-q", TLS_CLIENT)
    [wheel] = folder.glob("*.whl")
    name = "tls_client/dependencies/tls-client-linux-ubuntu-amd64.so"
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(name, folder)
    return folder / name


@pytest.mark.parametrize("fetched", [bridge, tls_client], ids=["bridge", "tls-client"])
def test_published_library_hangs_only_without_embedded_guard(
    fetched: Callable[[Path], Path], tmp_path: Path
) -> None:
    library = fetched(tmp_path)
    guarded = embed.embed_guard(library, tmp_path / "guarded" / library.name)
    (tmp_path / "event-loop.cjs").write_text(TURNING_SCRIPT)
    codes = {}
    for file in (library, guarded):
        completed = subprocess.run(
            ["timeout", "-s", "KILL", "10", bun("1.2.19").program, "event-loop.cjs", file],
            cwd=tmp_path,
            env={"HOME": str(tmp_path), "PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        codes[file] = (completed.returncode, completed.stdout)
    assert codes[guarded] == (0, "turns\n")
    assert codes[library][1] == ""
    assert codes[library][0] != 0
