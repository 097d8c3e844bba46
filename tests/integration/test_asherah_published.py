"""The library that asherah's maintainers publish, with cobhan-go. Ours must behave like it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import bun, deno
from stresses import run_stress
from test_asherah import CALLS, EXPECTED_EXPORTS

from gobun import audit, build, runtimes
from gobun.targets import TARGETS, host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run"),
]

OURS_ALONE = {
    *("a bad configuration", "set up then", "room below zero", "its reason, too", "a file"),
    *("a file that is not there", "a name beyond all", "a result in a file"),
    *("its length is below zero", "the file", "no room for a name", "files left"),
    "results while it is shut down and set up",
}
"""Checks for which the published library has no function, or ends the process."""
OTHER_RESULTS = {
    "its reason": "",
    "that reason": "",
    "estimates are enough": [False, True],
    "estimates beyond an int32": [1417339467, -2147483389, 258, 259],
    "a partition that is no UTF-8": 0,
    "the environment": [0, -5, -5, 0],
}

ENDS_THE_PROCESS = """
import ctypes, struct, sys
library = ctypes.CDLL(sys.argv[1])
def buffer(content, length=None):
    head = struct.pack("<iI", len(content) if length is None else length, 0)
    return ctypes.create_string_buffer(head + content + bytes(100))
config = b'{"ServiceName":"s","ProductID":"p","Metastore":"memory","KMS":"static"}'
"""
ENDING_CALLS = [
    ("library.Shutdown()", "nil pointer dereference"),
    ("library.SetupJson(buffer(config.replace(b'memory', b'paper')))", "Unknown metastore type"),
    (
        "library.SetupJson(buffer(config))\n"
        "record = buffer(bytes(1000))\n"
        "library.EncryptToJson(buffer(b'p'), buffer(b'd'), record)\n"
        "length, _ = struct.unpack('<iI', record.raw[:8])\n"
        "library.DecryptFromJson(buffer(b'p'), record, buffer(bytes(12), -12))",
        "len out of range",
    ),
]


@pytest.fixture(scope="module")
def published() -> Path:
    return build.published_asherah(host_target())


def test_published_asherah_files_are_the_published_ones(published: Path) -> None:
    assert {path.name for path in published.parent.iterdir()} == {
        f"libasherah-{target.arch}{target.library_suffix}" for target in TARGETS.values()
    }
    text = published.read_bytes()
    assert b"path\tgithub.com/godaddy/asherah-cobhan\n" in text
    [cobhan] = set(re.findall(rb"dep\tgithub.com/godaddy/cobhan-go\t(\S+)", text))
    assert cobhan == b"v0.4.2"
    report = audit.inspect(published).go
    assert report is not None
    assert report.version == "go1.20.12"


@pytest.fixture(scope="module")
def loadable() -> Path:
    """Return the published library as this machine loads it: on musl it is converted."""
    library = build.build_fixture(build.PUBLISHED, host_target()).published
    assert library is not None
    return library


def test_published_asherah_reads_buffers_like_cobhan_go(loadable: Path, tmp_path: Path) -> None:
    words = [sys.executable, str(CALLS), str(loadable), str(tmp_path)]
    completed = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert completed.returncode == 0, completed.stderr[-2000:]
    expected = {name: value for name, value in EXPECTED_EXPORTS.items() if name not in OURS_ALONE}
    assert json.loads(completed.stdout) == expected | OTHER_RESULTS


@pytest.mark.parametrize(("misuse", "message"), ENDING_CALLS)
@pytest.mark.slow
def test_published_asherah_misuse_ends_the_process(
    loadable: Path, misuse: str, message: str
) -> None:
    own_library = build.build_fixture(build.ASHERAH, host_target()).library
    ended = {}
    for library in (loadable, own_library):
        words = [sys.executable, "-c", ENDS_THE_PROCESS + misuse, str(library)]
        completed = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        ended[library] = completed.returncode
        assert (message in completed.stderr) is (library == loadable)
    assert ended[own_library] == 0
    assert ended[loadable] != 0


@pytest.mark.parametrize("module", [build.ASHERAH, build.PUBLISHED])
@pytest.mark.parametrize("name", ["bun", "deno"])
def test_published_asherah_raw_buffers_work(module: str, name: str, tmp_path: Path) -> None:
    runtime: runtimes.Runtime = bun() if name == "bun" else deno()
    settings = runtime.settings(build.build_fixture(module, host_target()))
    assert run_stress(runtime, "cobhan", tmp_path, load="ffi", **settings).outcome == "pass"


def test_published_asherah_without_reasons_is_skipped(tmp_path: Path) -> None:
    fixture = build.build_fixture(build.PUBLISHED, host_target())
    assert fixture.published is not None
    assert fixture.published.parent == fixture.addon.parent
    settings = {**bun().settings(fixture), "published": str(fixture.published)}
    report = run_stress(bun(), "asherah", tmp_path, **settings)
    assert report.outcome == "skip: the published library gives no reasons, which this asks for"
