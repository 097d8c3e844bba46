"""Other releases of Node, and pip's messages about wheels, with the real pip and the real
runtime."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from machine import ON_MUSL
from stresses import run_stress

from gobun import build, paths, runtimes, toolchain, wheels
from gobun.errors import FetchError
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.timeout(300), pytest.mark.network]


@pytest.mark.skipif(ON_MUSL, reason="the lock file has no other release of Node for musl")
@pytest.mark.parametrize("line", ["20", "22"])
def test_wheels_install_node_by_version(line: str, tmp_path: Path) -> None:
    [version] = runtimes.choose_versions("node", line, host_target())
    [node] = runtimes.provide_runtimes("node", [version], host_target())
    assert version.startswith(f"{line}.")
    completed = subprocess.run(
        [node.program, "--version"], capture_output=True, text=True, check=True
    )
    assert completed.stdout == f"v{version}\n"
    settings = node.settings(build.build_fixture("simple", host_target()))
    for load in ("ffi", "napi-async"):
        assert run_stress(node, "idle", tmp_path, load=load, **settings).outcome == "pass"


def test_wheels_with_wrong_bytes_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "wheels.lock.toml"
    [digest] = wheels.read_lock()["asherah"][toolchain.pip_pins()["asherah"]]
    lock.write_text(paths.WHEELS_LOCK_FILE.read_text().replace(digest, f"sha256:{'0' * 64}"))
    monkeypatch.setattr(paths, "WHEELS_LOCK_FILE", lock)
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FetchError, match=r"asherah==\S+ is not what wheels\.lock\.toml names"):
        build.published_asherah(host_target())
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix == ".so"]


def test_wheels_pip_offers_the_locked_releases(tmp_path: Path) -> None:
    shipped = wheels.read_lock()
    lock = tmp_path / "wheels.lock.toml"
    shutil.copyfile(paths.WHEELS_LOCK_FILE, lock)
    text = lock.read_text()
    begin, end = text.index("[asherah]"), text.index("[deno]")
    lock.write_text(text[:begin] + text[end:])
    added = wheels.update_lock(toolchain.pip_pins(), path=lock)
    assert wheels.AddedRelease("asherah", toolchain.pip_pins()["asherah"]) in added
    offered = wheels.read_lock(lock)
    assert {
        name: {v: offered[name][v] for v in releases} for name, releases in shipped.items()
    } == shipped
