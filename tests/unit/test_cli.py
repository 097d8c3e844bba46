"""The real ``invoke``: what is wrong in its arguments is said at once, without a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from gobun import paths


def invoke(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("build-warmup --target linux-x46", "did you mean: linux-x64"),
        ("build-warmup --target linux-x64,,", "known: linux-x64, linux-arm64, linux-x64-musl"),
        ("build-warmup --name go-warmpu", "did you mean: go-warmup"),
        ("build-warmup --go latest", "'latest' is not a Go release"),
        ("build-warmup --go ../1.26.0", "is not a Go release"),
        ("matrix --module crypot", "did you mean: crypto"),
        ("matrix --module simple,simple", "'simple' is given twice"),
        ("matrix --stress wsm", "did you mean: wasm"),
        ("matrix --load fii", "did you mean: ffi"),
        ("matrix --treatment warmpu", "did you mean: warmup"),
        ("matrix --runtime bnu", "did you mean: bun"),
        ("matrix --runtime node --versions 21", "unknown Node version '21'"),
        ("matrix --runtime node --versions 20.1.0", "did you mean: 20."),
        ("matrix --runtime node --versions 22,twenty", "'twenty' is not a version or a range"),
        ("matrix --runtime node --versions canary", "unknown Node version 'canary'"),
        ("matrix --runtime deno --versions 1", "unknown Deno version '1'"),
        ("matrix --versions node@22", "add node to --runtime, which is bun"),
        ("matrix --runtime bun,node --versions 1.2.19,nod@22", "did you mean: node"),
        ("matrix --runtime bun,node --versions node@", "'node@' names no version"),
        ("matrix --runtime node,deno --versions 22", "write node@22 or deno@22"),
        ("bisect --stress idle --runtime nod", "did you mean: node"),
        ("matrix --jobs 0", "--jobs 0 runs nothing"),
        ("matrix --jobs x", "--jobs 'x' is not a number"),
        ("matrix --jobs nan", "--jobs 'nan' is not a number"),
        ("matrix --jobs 1.5", "--jobs '1.5' is not a whole number"),
        ("matrix --limit=-1", "the limit is -1 seconds"),
        ("matrix --limit 0", "the limit is 0 seconds"),
        ("matrix --limit x", "--limit 'x' is not a number"),
        ("matrix --limit inf", "--limit 'inf' is not a number"),
        ("audit no/such/file.so", "no/such/file.so does not exist"),
        ("audit pyproject.toml", "pyproject.toml is a text file"),
        ("audit .", "is a folder"),
        ("audit ,", "does not exist"),
        ("report --out no/such/folder", "cannot read no/such/folder/results.jsonl"),
        ("repro --out no/such/folder", "cannot read no/such/folder/results.jsonl"),
        ("cache --evict --kind nonesuch", "unknown kind of cache entry 'nonesuch'"),
        ("cache --evict --older-than nan", "--older-than 'nan' is not a number"),
        ("cache --evict --older-than=-1", "--older-than -1 is in the future"),
    ],
)
def test_bad_arguments(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GOBUN_CACHE", str(cache))
    done = invoke(*words.split())
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(cache.iterdir()) == []


def test_the_list_names_every_task() -> None:
    done = invoke("--list")
    assert done.returncode == 0
    names = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    tasks = {
        "audit",
        "bisect",
        "build-warmup",
        "cache",
        "claims",
        "diagnose",
        "doctor",
        "expect",
        "lock",
        "matrix",
        "merge",
        "plan",
        "report",
        "repro",
    }
    assert tasks <= names


def test_every_task_says_what_it_takes() -> None:
    done = invoke("--help", "matrix")
    assert done.returncode == 0
    for flag in ("--versions", "--treatment", "--module", "--load", "--stress", "--jobs", "--out"):
        assert flag in done.stdout


def test_who_has_read_enough_is_not_told_of_it() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "invoke", "patch-lint"]
    done = subprocess.run(words, cwd=paths.ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")
