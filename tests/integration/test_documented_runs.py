"""Commands of the pages run as printed; `documented_commands.toml` lists those that do not run."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import documented
import pytest
from commands import bun
from machine import SHELL

from docsite.example import RECORDED_RESULTS
from gobun import build, paths
from gobun.targets import host_target

if TYPE_CHECKING:
    from documented import Command

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run")

LIMIT_S = 120
# Runs a session of noxfile.py in the environment of the tests and in the folder of the reader.
NOX = """#!{python}
import os, subprocess, sys
sys.path.insert(0, {root!r})
here = os.getcwd()
os.chdir({root!r})
import noxfile
os.chdir(here)

class Session:
    posargs = sys.argv[sys.argv.index("--") + 1:] if "--" in sys.argv else []
    def install(self, *_, **__): pass
    def run(self, *command, **_):
        where = ["--search-root", {root!r}] if command[0] == "invoke" else []
        done = subprocess.run([sys.executable, "-m", command[0], *where, *command[1:]]
                              if command[0] != "python" else [sys.executable, *command[1:]],
                              cwd=None if where else {root!r})
        if done.returncode: sys.exit(done.returncode)

if sys.argv[1] == "-l":
    sys.exit(subprocess.run([sys.executable, "-m", "nox", "-l"], cwd={root!r}).returncode)
getattr(noxfile, sys.argv[2])(Session())
"""
INVOKE = """#!/bin/sh
exec {python} -m invoke --search-root {root} "$@"
"""
APP = "setTimeout(() => {}, 100);\n"


def runnable() -> dict[str, list[Command]]:
    """Return the commands to run, by page, each only for the first page that has it."""
    pages: dict[str, list[Command]] = {}
    texts = set()
    for command in documented.commands():
        if not documented.reason_of(command) and command.text not in texts:
            texts.add(command.text)
            pages.setdefault(command.page, []).append(command)
    return pages


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """A folder with everything that the pages assume: the suite's commands, an addon and a run."""
    folder = tmp_path / "checkout"
    for name, text in {".venv/bin/nox": NOX, "bin/nox": NOX, "bin/invoke": INVOKE}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(python=sys.executable, root=str(paths.ROOT)))
        path.chmod(0o755)
    (folder / "app.js").write_text(APP)
    (folder / "bin" / "bun").symlink_to(bun("1.4.5").program)
    simple = build.build_fixture("simple", host_target())
    for name in ("addon.node", "my-addon.node"):
        shutil.copy(simple.addon, folder / name)
    shutil.copy(simple.library, folder / "libasherah-x64.so")
    (folder / "report").mkdir()
    (folder / "report" / "results.jsonl").write_bytes(
        lzma.decompress(RECORDED_RESULTS.read_bytes())
    )
    return folder


def write_files(page: str, folder: Path) -> None:
    """Save the files of a page, as its reader does."""
    kinds = {"go": "add.go", "js": "smoke.cjs"}
    for block in documented.blocks():
        name = kinds.get(block.kind, "")
        if block.page == page and name and not (folder / name).exists():
            (folder / name).write_text(block.body)


@pytest.mark.parametrize("page", runnable())
def test_documented_commands_run_as_printed(page: str, reader: Path) -> None:
    write_files(page, reader)
    path = f"{reader / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command in runnable()[page]:
        completed = subprocess.run(
            [SHELL, "-c", command.text],
            cwd=reader,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        expected = documented.table().exit_codes.get(command.text, 0)
        assert completed.returncode == expected, (
            f"{command.text}\n{completed.stdout}\n{completed.stderr}"
        )
        assert ("unexpected outcomes" in completed.stderr) == (expected == 1)
