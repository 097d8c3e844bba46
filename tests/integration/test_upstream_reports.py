"""The repros of docs/upstream, run as the pages print them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import bun

from gobun import paths, toolchain
from gobun.process import tool_environment
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(host_target().name != "linux-x64", reason="they are for Linux x64"),
]
LONGEST = 20
BUNS = {"bun": "1.4.5", "httpcloak": "1.2.19", "typescript-native-bridge": "1.2.19"}
PAGES = sorted(
    path.stem for path in (paths.ROOT / "docs" / "upstream").glob("*.md") if path.stem != "README"
)
FETCHES = {"httpcloak", "typescript-native-bridge"}


def blocks(page: str) -> tuple[dict[str, str], str]:
    """Return the files of a repro, by name, and what it prints."""
    text = (paths.ROOT / "docs" / "upstream" / f"{page}.md").read_text()
    found = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    [printed] = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found, printed


def tools(folder: Path, page: str) -> Path:
    """Make a folder of the programs that pages run by their names."""
    compiler = [shutil.which("cc") or ""]
    if compiler == [""]:
        compiler = [str(toolchain.zig().program), "cc"]
    npm = shlex.join(str(word) for word in toolchain.npm_command())
    commands = {
        "bun": shlex.quote(str(bun(BUNS.get(page, "1.4.5")).program)),
        "go": shlex.quote(str(toolchain.go().program)),
        "cc": shlex.join(compiler),
        "npm": npm,
    }
    folder.mkdir()
    for name, command in commands.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_upstream_page_has_a_short_repro_and_the_three_parts(page: str) -> None:
    files, printed = blocks(page)
    assert sum(len(text.splitlines()) for text in files.values()) <= LONGEST
    assert "run.sh" in files
    assert printed
    assert not re.search(r"gobun|invoke|GuardInstall", "".join(files.values()))
    text = (paths.ROOT / "docs" / "upstream" / f"{page}.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["Repro", "Cause", "Fix"]


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.network] * (page in FETCHES)) for page in PAGES],
)
def test_upstream_repro_prints_what_its_page_says(page: str, tmp_path: Path) -> None:
    files, printed = blocks(page)
    folder = tmp_path / "repro"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    cache = paths.cache_root()
    done = subprocess.run(
        ["sh", "run.sh"],
        cwd=folder,
        env=tool_environment(
            {
                "PATH": f"{tools(tmp_path / 'bin', page)}:{os.defpath}",
                "GOCACHE": str(cache / "go-build"),
                "ZIG_GLOBAL_CACHE_DIR": str(cache / "zig"),
                "npm_config_cache": str(tmp_path / ".npm"),
            }
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.stdout == printed, done.stderr
