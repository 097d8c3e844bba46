"""A copied repro folder reproduces the outcome on its own."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample_results import result_of

from gobun import build, fetch, matrix, paths, reproduce, runtimes
from gobun.cells import Cell, Load
from gobun.cells.records import Ending, Header, Host
from gobun.matrix import repro_bundle
from gobun.runtimes import bun
from gobun.targets import host_target

if TYPE_CHECKING:
    from gobun.treatments import TreatmentName

on_x64 = pytest.mark.skipif(
    host_target().name != "linux-x64", reason="other platforms have one build"
)
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a hang")

HEADER = Header("0.1.0", "", Host("Linux", "6.1", "cpu", 2, "glibc 2.36"), {"go": "1.27.3"}, "", 1)
HANG = Ending("hang", "livelock: SIGPWR | and more")


def write(
    folder: Path,
    version: str,
    module: str,
    load: Load,
    treatment: TreatmentName = "stock",
) -> None:
    target = host_target()
    [runtime] = runtimes.provide_bun([version], target)
    fixture = build.build_fixture(module, target)
    cell = Cell("bun", version, treatment, module, load, "idle")
    library = build.build_preload([target])[0].library
    repro_bundle.write_repro(
        folder,
        [repro_bundle.ReproCell(cell, HANG)],
        runtime=runtime,
        argument={"load": load, "stress": "idle", **runtime.settings(fixture)},
        environment=runtimes.treated_environment(runtime, treatment, library),
        package=f"@oven/{target.bun_package}",
        header=HEADER,
    )


def run(folder: Path, version: str, limit: str) -> subprocess.CompletedProcess[str]:
    [runtime] = runtimes.provide_bun([version], host_target())
    environment = {
        "PATH": os.defpath,
        "BUN": str(runtime.program),
        "LIMIT": limit,
        "HOME": str(folder),
    }
    return subprocess.run(
        [folder / "run.sh"], env=environment, cwd="/", capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("load", ["ffi", "napi-sync"])
def test_repro_copied_folder_reproduces_the_cell(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "made", "1.2.19", "simple", load)
    copied = tmp_path / "else where" / "repro"
    shutil.copytree(tmp_path / "made", copied)
    shutil.rmtree(tmp_path / "made")
    hung = run(copied, "1.2.19", "5")
    assert hung.returncode == 124, hung.stdout + hung.stderr
    assert '"called"' in hung.stdout
    assert "HANG" in hung.stderr
    passed = run(copied, "1.4.5", "20")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert '"done"' in passed.stdout


def test_repro_folder_includes_its_treatment(tmp_path: Path) -> None:
    write(tmp_path / "made", "1.2.19", "simple", "ffi", "preload:suspend")
    copied = tmp_path / "else where"
    (tmp_path / "made").rename(copied)
    completed = run(copied, "1.2.19", "20")
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert '"done"' in completed.stdout
    script = (copied / "run.sh").read_text()
    assert " GO_GUARD_PRELOAD=suspend " in script
    assert str(paths.cache_root()) not in script


def test_repro_folder_contains_no_machine_paths(tmp_path: Path) -> None:
    write(tmp_path / "made", "1.2.19", "control", "ffi")
    text = "".join(
        path.read_text()
        for path in (tmp_path / "made").rglob("*")
        if path.suffix in {".cjs", ".sh", ".md"}
    )
    for name in (
        str(tmp_path),
        str(Path.home()),
        str(paths.cache_root()),
        platform.node(),
    ):
        assert f"{name}/" not in text
    readme = (tmp_path / "made" / "README.md").read_text()
    assert "npm install --no-save @oven/" in readme
    assert "livelock: SIGPWR \\| and more" in readme
    assert not (tmp_path / "made" / "libraries" / "control.node").exists()


def test_repro_existing_folder_is_rewritten(tmp_path: Path) -> None:
    for module in ("control", "simple"):
        write(tmp_path / "made", "1.2.19", module, "ffi")
    assert [path.name for path in (tmp_path / "made" / "libraries").iterdir()] == ["simple.so"]


@on_x64
@pytest.mark.parametrize(("flags", "ending"), [(set(), "-baseline"), ({"avx2"}, "")])
def test_repro_folder_names_the_tested_bun_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: set[str], ending: str
) -> None:
    """A processor without AVX2 gets the baseline build. Here the usual build replaces its file."""
    [usual] = runtimes.provide_bun(["1.2.19"], host_target())
    folder = usual.program.parent.parent
    monkeypatch.setattr(fetch, "fetch_packages", lambda packages: dict.fromkeys(packages, folder))
    monkeypatch.setattr(bun, "cpu_flags", lambda: flags)
    cell = Cell("bun", "1.2.19", "stock", "simple", "ffi", "idle")
    with matrix.Writer(tmp_path / matrix.FILE_NAME, matrix.new_header([cell])) as writer:
        writer.add(result_of(cell, "hang"))
    [repro_folder] = reproduce.folders(tmp_path)
    package = f"@oven/{host_target().bun_package}{ending}"
    readme = (repro_folder / "README.md").read_text()
    assert f"npm install --no-save {package}@1.2.19\n" in readme
    assert f"BUN=$PWD/node_modules/{package}/bin/bun ./run.sh" in readme
