"""Every task with every kind of invalid input ends at once, with one of our exit codes."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
from typing import TYPE_CHECKING, NoReturn

import pytest
import requests
from invoke.context import Context

import tasks
from gobun import pipeline, process
from gobun.errors import GobunError, PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CODES = {each.exit_code for each in GobunError.__subclasses__()} | {0}
SECONDS = 20
"""Generous: only a read that blocks for ever takes so long."""
HUGE_NUMBER = "9" * 5000
TEXTS = {
    "comma": ",",
    "long name": "n" * 300,
    "long path": "n/" * 2500,
    "not UTF-8": os.fsdecode(b"na\xffme"),
    "huge number": HUGE_NUMBER,
    "huge float": "1e300",
    "negative": "-1",
    "nan": "nan",
    "escape": "\x1b[2J\u202e",
    "newline": "a\nb",
    "space": " a b.node",
    "quote": 'it\'s "a"',
    "arabic digit": "\u0661",
    "braces": "{version}{0}",
    "device": "/dev/zero",
    "null device": "/dev/null",
    "address": "http://[::1",
}
NEEDED_FLAGS = {
    "addon": "x.node",
    "smoke": "x.cjs",
    "series": "v1.2.19",
    "version": "1.2.19",
    "versions": "1.2.19",
    "from_": "https://127.0.0.1/{version}",
    "stress": "idle",
    "id": "new-patch",
    "title": "t",
    "onto": "1.2.20",
    "path": "x",
    "pid": "1",
    "name": "x",
    "where": "x",
    "file": "x",
    "out": "x",
}
"""The required flags of a task, for tests with the junk in another flag."""

LISTS = {"runtime", "treatment", "module", "load", "stress", "jobs", "limit", "repeat", "shard"}
"""Flags that take no file, and that are all split and looked up in the same way."""
FEW_INPUTS = ("comma", "not UTF-8", "huge number", "escape", "braces")


@pytest.fixture
def junk_files(tmp_path: Path) -> dict[str, str]:
    """Make invalid files of each kind in the current folder."""
    os.mkfifo(tmp_path / "fifo")
    for name in ("results.jsonl", "series.toml", "SHA256SUMS", "manifest.json"):
        folder = tmp_path / f"with-{name}"
        folder.mkdir()
        os.mkfifo(folder / name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "nested.json").write_text("[" * 100_000)
    (tmp_path / "other.jsonl").write_text('{"suite": 1, "started": []}\n{"outcome": "new"}\n')
    (tmp_path / "digits.toml").write_text(f"[addon]\nfile = {HUGE_NUMBER}\n")
    (tmp_path / "nul.toml").write_text('[addon]\nfile = "a\\u0000b"\nsmoke = "c"\n')
    return {child.name: str(child) for child in tmp_path.iterdir()}


@pytest.fixture(autouse=True)
def nothing_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Reject every process and connection. A task that starts one has accepted invalid input."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PrerequisiteError("this test starts nothing")

    def fail_to_connect(*_: object, **__: object) -> NoReturn:
        raise requests.RequestException("this test reaches no host")

    monkeypatch.setattr(requests.Session, "send", fail_to_connect)
    monkeypatch.setattr(process, "start_command", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr("runpy.run_path", refuse)
    monkeypatch.setattr(pipeline, "run_plan", refuse)
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _deadline() -> Iterator[None]:
    def blocked(*_: object) -> NoReturn:
        raise TimeoutError("a task with junk did not end")

    before = signal.signal(signal.SIGALRM, blocked)
    terminated = signal.getsignal(signal.SIGTERM)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    signal.signal(signal.SIGTERM, terminated)


def flags_of(body: Callable[..., None]) -> dict[str, object]:
    parameters = list(inspect.signature(body).parameters.values())[1:]
    return {each.name: each.default for each in parameters}


def end_of(body: Callable[..., None], arguments: dict[str, object]) -> object:
    """Run a task, and return its exit code or an unexpected exception."""
    signal.alarm(SECONDS)
    try:
        body(Context(), **arguments)
    except SystemExit as error:
        return error.code
    except BaseException as error:  # noqa: BLE001 - this is what is looked for
        return error
    finally:
        signal.alarm(0)
    return 0


@pytest.mark.parametrize("name", sorted(tasks.__all__))
def test_task_junk_in_a_flag_raises_our_error(
    name: str,
    junk_files: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    body = getattr(tasks, name).body
    flags = flags_of(body)
    wrong = []
    for flag, default in flags.items():
        if isinstance(default, bool):
            continue
        junk_here = (
            {kind: TEXTS[kind] for kind in FEW_INPUTS} if flag in LISTS else TEXTS | junk_files
        )
        for kind, junk in junk_here.items():
            needed = {
                each: [NEEDED_FLAGS[each]] if value is None else NEEDED_FLAGS[each]
                for each, value in flags.items()
                if each in NEEDED_FLAGS
                and value in (None, inspect.Parameter.empty)
                and each != flag
            }
            end = end_of(body, {**needed, flag: [junk] if default is None else junk})
            output = capsys.readouterr()
            if (
                end not in CODES
                or not (output.out + output.err).replace("\n", "").replace("\t", "").isprintable()
            ):
                wrong.append(f"--{flag} {kind}: {end!r} {output.err[-200:]!r}")
    assert wrong == []
