"""The repros of docs/upstream run as the pages print them, then again with the cure."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import bun

from gobun import build, paths, runtimes, sysroot, toolchain
from gobun.errors import FetchError, PrerequisiteError
from gobun.process import tool_environment
from gobun.targets import TARGETS, host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(host_target().name != "linux-x64", reason="they are for Linux x64"),
]
LONGEST_LINES = 20
FOLDER = paths.ROOT / "docs" / "upstream"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
GO = ("go-notify", "go-sa-onstack")
"""Not about Bun."""
LOCAL_REPORTS = (*GO, "bun")
"""The reports that fetch nothing."""
NEWEST_REPORTS = ("bun", "golar")
MUSL = "golar"
OUTCOME = re.compile(r"would print `(\w+)` and exit code 0")


def page(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text()


def blocks(name: str) -> tuple[dict[str, str], str]:
    """Return the files of a repro, by name, and its output."""
    text = page(name)
    block = r"`([\w.]+)`:\n\n```\w+\n(.*?)^```$"
    scripts = dict(re.findall(block, text, re.MULTILINE | re.DOTALL))
    [printed_text] = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return scripts, printed_text


def musl_bun() -> Path:
    """Return Bun for musl if this machine can run it, or skip the test."""
    try:
        folder = sysroot.sysroot_for("linux-x64-musl")
        version = "1.4.5"
        [runtime] = runtimes.provide_bun([version], TARGETS["linux-x64-musl"])
    except (PrerequisiteError, FetchError) as error:
        pytest.skip(f"no Bun for musl: {error.what}")
    return folder.program(runtime.program)


def program(name: str) -> Path:
    """Return the Bun release of a page."""
    return (
        musl_bun() if name == MUSL else bun("1.4.5" if name in NEWEST_REPORTS else "1.2.19").program
    )


class Repro:
    """The repro of a page in a new folder, and the programs that it runs by name."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / "repro"
        self.bin = folder / "bin"
        self.cache = folder / ".npm"
        self.folder.mkdir()
        self.bin.mkdir()
        files, self.printed = blocks(name)
        for file, text in files.items():
            (self.folder / file).write_text(text)
        compiler = [shutil.which("cc") or ""]
        if compiler == [""]:
            compiler = [str(toolchain.zig().program), "cc"]
        self.provide("bun", program(name))
        self.provide("go", toolchain.go().program)
        self.provide("cc", *compiler)
        self.provide("npm", *toolchain.npm_command())
        self.provide("pip", sys.executable, "-m", "pip")
        self.provide("python3", sys.executable)

    def provide(self, name: str, *command: str | Path) -> None:
        (self.bin / name).write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
        (self.bin / name).chmod(0o755)

    def run(self, script: str) -> str:
        cache = paths.cache_root()
        completed = subprocess.run(
            ["sh", "-c", script],
            cwd=self.folder,
            env=tool_environment(
                {
                    "PATH": f"{self.bin}:{os.defpath}",
                    "GOCACHE": str(cache / "go-build"),
                    "ZIG_GLOBAL_CACHE_DIR": str(cache / "zig"),
                    "npm_config_cache": str(self.cache),
                }
            ),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        return completed.stdout or completed.stderr

    def cure(self) -> None:
        """Put the guard into the Bun of the page, or convert the library that it loads."""
        if self.name == MUSL:
            addon = self.folder / "package" / "golar.node"
            build.convert_file(addon, self.folder / "converted.node")
            (self.folder / "converted.node").replace(addon)
            return
        guard = build.build_guard([host_target()])[0].library
        preload = self.bin / "guard.cjs"
        preload.write_text(f"process.dlopen({{ exports: {{}} }}, {str(guard)!r});\n")
        self.provide("bun", program(self.name), "--preload", preload)


@pytest.mark.parametrize("name", PAGES)
def test_upstream_page_has_short_repro_and_three_parts(name: str) -> None:
    files, printed = blocks(name)
    assert sum(len(text.splitlines()) for text in files.values()) <= LONGEST_LINES
    assert "run.sh" in files
    assert printed
    assert not re.search(r"gobun|invoke|GuardInstall", "".join(files.values()))
    assert re.findall(r"^## (.*)$", page(name), re.MULTILINE) == ["Repro", "Cause", "Fix"]


def test_upstream_pages_are_in_list_and_navigation() -> None:
    listed = re.findall(r"^\| \[([\w-]+)\]\(\1\.md\) \|", page("README"), re.MULTILINE)
    assert sorted(listed) == PAGES
    navigation = (paths.ROOT / "mkdocs.yml").read_text()
    assert re.findall(r"upstream/([\w-]+)\.md", navigation) == ["README", *listed]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.network] * (name not in LOCAL_REPORTS))
        for name in PAGES
    ],
)
def test_upstream_repro_prints_its_documented_output(name: str, tmp_path: Path) -> None:
    repro = Repro(name, tmp_path)
    assert repro.run(". ./run.sh") == repro.printed
    if name in GO:
        return
    # With the cure it prints the text that the page predicts.
    repro.cure()
    [would] = OUTCOME.findall(page(name))
    first = [] if name == MUSL else repro.printed.splitlines()[:1]
    last = (repro.folder / "run.sh").read_text().splitlines()[-1]
    assert repro.run(last).splitlines() == [*first, would, "exit code 0"]
