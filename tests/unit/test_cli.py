"""The real ``invoke``: it reports wrong arguments at once, without a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from invoke.main import program

from gobun import paths, toolchain
from gobun.targets import host_target

GLIBC = pytest.mark.skipif(
    host_target().libc == "musl", reason="the lock file names one release of Node for musl"
)


def invoke(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


Here = Callable[..., tuple[object, str, str]]
"""Runs `invoke` in this process; returns the exit code and both outputs."""


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Here]:
    monkeypatch.chdir(paths.ROOT)
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    handlers = {
        each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }

    def run(*words: str) -> tuple[object, str, str]:
        code: object = 0
        try:
            program.run(["invoke", *words])
        except SystemExit as error:
            code = error.code
        return (code, *capsys.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("words", "message"),
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
        pytest.param("matrix --runtime node --versions 20.1.0", "did you mean: 20.", marks=GLIBC),
        (
            f"matrix --runtime node --versions {toolchain.pins()['node']},twenty",
            "'twenty' is not a version or a range",
        ),
        ("matrix --runtime node --versions canary", "unknown Node version 'canary'"),
        ("matrix --runtime deno --versions 1", "unknown Deno version '1'"),
        ("matrix --versions node@22", "add node to --runtime, which is bun"),
        ("matrix --runtime bun,node --versions 1.2.19,nod@22", "did you mean: node"),
        ("matrix --runtime bun,node --versions node@", "'node@' has no version"),
        ("matrix --runtime node,deno --versions 22", "write node@22 or deno@22"),
        ("bisect --stress idle --runtime nod", "did you mean: node"),
        ("matrix --jobs 0", "--jobs 0 would run nothing"),
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
def test_invoke_bad_arguments_exit_2(
    words: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GOBUN_CACHE", str(cache))
    completed = invoke(*words.split())
    assert completed.returncode == 2, completed.stderr
    assert message in completed.stderr
    assert completed.stderr.startswith("error: ")
    assert "Traceback" not in completed.stderr
    assert completed.stdout == ""
    assert list(cache.iterdir()) == []


def test_suite_under_invoke_writes_bytecode() -> None:
    """Invoke sets the switch before it loads the tasks."""
    code = (
        "import sys; sys.dont_write_bytecode = True; import gobun; print(sys.dont_write_bytecode)"
    )
    for flags, off in (([], "False"), (["-B"], "True")):
        command = [sys.executable, *flags, "-c", code]
        completed = subprocess.run(
            command, cwd=paths.ROOT, capture_output=True, text=True, check=True
        )
        assert completed.stdout.strip() == off


def test_invoke_list_names_every_task() -> None:
    completed = invoke("--list")
    assert completed.returncode == 0
    names = {line.split()[0] for line in completed.stdout.splitlines() if line.startswith("  ")}
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


def test_invoke_help_describes_every_task() -> None:
    completed = invoke("--help", "matrix")
    assert completed.returncode == 0
    for flag in ("--versions", "--treatment", "--module", "--load", "--stress", "--jobs", "--out"):
        assert flag in completed.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("matrix --jbs 3", "unknown matrix flag '--jbs'\n  next: did you mean: --jobs"),
        ("matrix --jbs=3", "unknown matrix flag '--jbs'"),
        ("--lsit", "unknown flag '--lsit'\n  next: did you mean: --list"),
        ("build-warmpu", "unknown task 'build-warmpu'\n  next: did you mean: build-warmup"),
        ("--help matrx", "unknown task 'matrx'\n  next: did you mean: matrix"),
        ("fetch-bun --vesion 1.2.19", "unknown fetch-bun flag '--vesion'\n  next: did you mean"),
        ("verify-release --no-rebuid x", "did you mean: --no-rebuild"),
        ("fetch-bun", "fetch-bun needs --version"),
        ("matrix --jobs", "--jobs needs a value"),
        ("doctor now", "doctor does not take 'now'"),
        ("matrix -- x", "matrix takes nothing after --"),
        ("audit", "no file is named\n  next: invoke audit FILE…"),
        ("audit -o x pyproject.toml", "unknown audit flag '-o'"),
        ("audit tasks.py pyproject.toml", "tasks.py is a text file"),
        ("doctor audit tasks.py --lbc", "unknown audit flag '--lbc'"),
        ("report -o audit", "cannot read audit/results.jsonl"),
        ("diagnose", "there is no process, and there is no command to start"),
        ("diagnose --", "there is no command to start"),
        ("diagnose 1 -- true", "give a process or a command, not both"),
        ("diagnose 1 --end", "--end is only for a command"),
        ("diagnose 1 2", "diagnose does not take '2'"),
        ("diagnose 999999999", "there is no process 999999999"),
    ],
)
def test_invoke_unknown_or_missing_arguments_exit_2(words: str, message: str, here: Here) -> None:
    code, out, err = here(*words.split())
    assert (code, out) == (2, "")
    # The first task with a fresh cache builds, and logs that, before it checks anything.
    assert any(line.startswith("error: ") for line in err.splitlines())
    assert message in err


def test_invoke_without_a_task_gives_a_starting_point(here: Here) -> None:
    completed = invoke()
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.startswith("Where to start:\n")
    assert completed.stdout.endswith(here("--list")[1])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("diagnose -- bun --json -o x", {"command": ["bun", "--json", "-o", "x"], "pid": ""}),
        ("diagnose --end -- a\\ b", {"command": ["a\\", "b"], "end": True}),
        ("diagnose 7 --json", {"pid": "7", "json": True, "command": []}),
        ("audit a.so doctor", {"path": ["a.so", "doctor"]}),
        ("audit --path a.so -p b.so", {"path": ["a.so", "b.so"]}),
        ("convert-musl a.so b.so -o out", {"path": ["a.so", "b.so"], "out": "out"}),
        ("doctor merge s1 s2 --out r", {"path": ["s1", "s2"], "out": "r"}),
    ],
)
def test_invoke_positional_arguments_reach_their_parameter(
    words: str, expected: dict[str, object], here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: dict[str, object] = {}
    monkeypatch.setattr(
        program, "execute", lambda: received.update(program.tasks[-1].as_kwargs), raising=False
    )
    here(*words.split())
    assert received.items() >= expected.items()


@pytest.mark.parametrize("words", ["fetch-bun --help", "fetch-bun -h", "--help fetch-bun"])
def test_invoke_help_with_required_flag_is_printed(words: str, here: Here) -> None:
    code, out, err = here(*words.split())
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert "--version=STRING version of the release (required)" in text


def test_invoke_completion_lists_tasks_and_flags(here: Here) -> None:
    assert "build-warmup" in here("--complete", "--", "invoke", "")[1].split()
    assert "--jobs" in here("--complete", "--", "invoke", "matrix", "--j")[1].split()
    assert "invoke --complete" in here("--print-completion-script=bash")[1]


@pytest.mark.parametrize("task", ["patch-lint", "--list"])
def test_invoke_closed_output_exits_quietly(task: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "invoke", task]
    completed = subprocess.run(
        words, cwd=paths.ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (completed.returncode, completed.stderr) == (128 + signal.SIGPIPE, b"")
