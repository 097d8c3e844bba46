"""Workflows and the scripts in `ci/` call tasks, flags and sessions that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import tasks
from gobun import paths
from gobun.bun_source import BuildLayout, BuildPrerequisite, build_programs
from gobun.commands import bun_builds
from gobun.runtimes import RegisteredBun
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from invoke.tasks import Task

WORKFLOWS = paths.ROOT / ".github" / "workflows"
WORKFLOW = (WORKFLOWS / "bun-from-source.yml").read_text()
SCRIPT = (paths.ROOT / "ci" / "build-bun").read_text()
RUNNERS = {
    "ubuntu-24.04": "linux-x64",
    "ubuntu-24.04-arm": "linux-arm64",
    "macos-15": "darwin-arm64",
    "macos-15-intel": "darwin-x64",
}


def commands() -> list[list[str]]:
    """Return every task that is run, with its flags."""
    runs = re.findall(r"^ *(?:- )?run: (.*)$", WORKFLOW, re.MULTILINE) + SCRIPT.splitlines()
    pairs = []
    for line in runs:
        for part in re.split(r" && | \|\|? | > ", line.strip()):
            words = shlex.split(part)
            if words[:1] == ["shell"]:
                pairs.append(words[1:])
            elif words[:1] and words[0].endswith("nox") and "--" in words:
                session, flags = words[words.index("-s") + 1], words[words.index("--") + 1 :]
                if flags != ["$@"]:
                    pairs.append(flags if session == "shell" else ["matrix-patched", *flags])
    return pairs


def test_workflow_tasks_all_exist() -> None:
    named = [words[0] for words in commands()]
    assert named == [
        *("register-bun", "register-bun", "matrix-patched"),
        *("fetch-bun", "build-bun", "build-bun", "build-bun"),
    ]
    for name, *words in commands():
        task: Task[Any] = getattr(tasks, name.replace("-", "_"))
        flags = {flag for argument in task.get_arguments() for flag in argument.names}
        for word in words:
            if word.startswith("--"):
                assert word.removeprefix("--").replace("-", "_") in flags, (name, word)


def test_workflow_nox_sessions_exist_and_take_no_flags() -> None:
    sessions = set(
        re.findall(r"^def (\w+)\(session", (paths.ROOT / "noxfile.py").read_text(), re.MULTILINE)
    )
    count = 0
    for path in (*(paths.ROOT / "ci").iterdir(), *WORKFLOWS.iterdir()):
        for arguments in re.findall(r"/nox\b([^|&>;\n]*)", path.read_text()):
            words = shlex.split(arguments.partition(" -- ")[0], comments=True)
            assert words[:1] == ["-s"], f"{path.name}: nox{arguments}"
            assert set(words[1:]) <= sessions, f"{path.name}: nox{arguments}"
            count += 1
    assert count > 3


def test_workflow_jobs_run_on_every_platform() -> None:
    listed = re.findall(r"^ *os: \[(.*)\]$", WORKFLOW, re.MULTILINE)
    assert len(listed) == 2
    for runners in listed:
        assert {RUNNERS[name] for name in runners.split(", ")} == {
            name for name, target in TARGETS.items() if target.libc != "musl"
        }
    assert re.search(r"^  matrix:\n    needs: build$", WORKFLOW, re.MULTILINE)


def test_workflow_binary_is_downloaded_by_its_uploaded_name() -> None:
    names = re.findall(r"name: (bun-\$.*)$", WORKFLOW, re.MULTILINE)
    assert len(names) == 2
    assert len(set(names)) == 1


def test_ci_script_reads_json_from_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    function = re.search(r"^read_json\(\).*$", SCRIPT, re.MULTILINE)
    assert function
    of_layout, of_llvm, of_build, of_control = re.findall(
        r"read_json '([^']*)' < \w+\.json", SCRIPT
    )
    assert of_control == of_build

    def read(expression: str, printed: str) -> str:
        words = ["sh", "-c", f'{function[0]}\nread_json "$1"', "sh", expression]
        return subprocess.check_output(words, input=printed, text=True).strip()

    rows = [
        BuildPrerequisite("layout", "", "make"),
        BuildPrerequisite("cmake", ">= 3.24", "3.25.1", least=(3, 24)),
        BuildPrerequisite("clang", ">= 21.1, < 21.1.99", "not there", "missing", least=(21, 1)),
    ]
    bun_builds.show_build(rows, None)
    printed = capsys.readouterr().out
    assert read(of_layout, printed) == "make"
    assert read(of_llvm, printed) == "21"
    record = RegisteredBun("1.2.19", "v1.2.19", "0" * 16, "c" * 40, ("a",), True, "linux-x64")
    bun_builds.show_build(rows, record)
    assert read(of_build, capsys.readouterr().out) == str(record.program)


def test_ci_preflight_names_lowest_llvm_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build_programs, "llvm_folders", lambda _: [])
    layout = BuildLayout("build.ts", "1.2.19", {"llvm": "19.1.7"}, (), ())
    assert {row.name: row.least for row in build_programs.llvm_prerequisites(layout)}["clang"] == (
        19,
        1,
    )
