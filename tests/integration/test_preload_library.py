"""The preload library in a program that prints the state of its threads and handlers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import arm64_emulator
from machine import MOST_SIGNALS, ON_MUSL, needs

from gobun import build
from gobun.build import compile as compiling
from gobun.errors import PrerequisiteError
from gobun.targets import TARGETS, host_target

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs LD_PRELOAD")

SOURCES = Path(__file__).parent / "native"
DEFAULT_GUARD_KIB = 8 if ON_MUSL else 4
PLAIN_OUTPUT = f"""
thread small 4096 64 0 0
attributes 4096 64
thread detached 4096 64 1 0
thread default 8192 {DEFAULT_GUARD_KIB} 0 0
thread large 16384 {DEFAULT_GUARD_KIB} 0 0
thread own 1024 0 0 0
creator 0
handler plain own with-info restarts
handler flagged alternate on-stack with-info restarts
handler asked-for alternate on-stack with-info
handler fault alternate on-stack with-info
handler after-vfork alternate on-stack with-info restarts
handler in-fork alternate on-stack with-info restarts
replaced ours
replaced ours
replaced ours
replaced ours
replaced error
"""
MOST_UNDER_QEMU = 58
"""It keeps two more to itself than glibc does."""


def expected_lines(words: str, most: int = MOST_SIGNALS) -> list[str]:
    """Return the output of the program with the actions ``words``."""
    chosen, text = words.split(","), PLAIN_OUTPUT
    if "stack8m" in chosen:
        for name in ("small", "detached"):
            text = text.replace(f"thread {name} 4096", f"thread {name} 8192")
    if "suspend" in chosen:
        for name in ("flagged", "after-vfork", "in-fork"):
            text = text.replace(f"handler {name} alternate", f"handler {name} own")
    lines = text.strip().splitlines()
    if "sigmask-keep" in chosen:
        lines = [f"{line[:-2]} {most}" if line.startswith("thread") else line for line in lines]
    return lines


class Program:
    """The program, the library and the spy for one platform."""

    def __init__(self, name: str, folder: Path, emulator: tuple[str, ...] = ()) -> None:
        target = TARGETS[name]
        self.library = build.build_preload([target])[0].library
        self.spy = folder / f"spy-{name}.so"
        self.command = [*emulator, str(folder / f"preloaded-{name}")]
        compiling.c_program(
            SOURCES / "preloaded.c",
            target=target,
            output=Path(self.command[-1]),
            libraries=["pthread"],
        )
        compiling.c_shared(
            [SOURCES / "pthread_interposer.c"],
            target=target,
            output=self.spy,
            exports=["pthread_create"],
        )

    def run(self, *preloaded: Path, **settings: str) -> tuple[list[str], list[str]]:
        """Return the lines on standard output and on standard error."""
        # The emulator is linked statically, so it passes LD_PRELOAD on unchanged.
        listed = " ".join(map(str, preloaded))
        completed = subprocess.run(
            self.command,
            env={"PATH": os.defpath, "LD_PRELOAD": listed, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert completed.returncode == 0, completed.stderr
        return completed.stdout.splitlines(), completed.stderr.splitlines()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program(host_target().name, tmp_path_factory.mktemp("preload"))


def test_preload_absent_changes_nothing(program: Program) -> None:
    assert program.run() == (expected_lines(""), [])


@pytest.mark.parametrize(
    "words",
    ["", "suspend", "stack8m", "sigmask", "sigmask-keep", "stack8m,sigmask,suspend"],
)
def test_preload_actions_change_only_their_state(program: Program, words: str) -> None:
    out, err = program.run(program.library, program.spy, GO_GUARD_PRELOAD=words)
    assert out == expected_lines(words)
    blocked = MOST_SIGNALS if "sigmask" in words else 0
    assert err == [f"made {blocked}"] * 5


def test_preload_without_words_guards_suspend_only(program: Program) -> None:
    assert program.run(program.library) == (expected_lines("suspend"), [])


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("stack8m,sigmsk", "unknown word sigmsk"),
        ("Suspend", "unknown word Suspend"),
        (",suspend", "unknown word "),
        ("sigmask,sigmask-keep", "choose one of sigmask and sigmask-keep"),
    ],
)
def test_preload_unknown_action_is_reported_and_does_nothing(
    program: Program, words: str, problem: str
) -> None:
    out, [line] = program.run(program.library, GO_GUARD_PRELOAD=words)
    assert out == expected_lines("")
    assert line.endswith(
        f"]: GO_GUARD_PRELOAD: {problem}; the words are suspend,stack8m,sigmask,sigmask-keep;"
        " nothing is done"
    )


def test_preload_verbose_logs_its_actions(program: Program) -> None:
    _, err = program.run(program.library, GO_GUARD_PRELOAD="suspend,stack8m", GO_GUARD_DEBUG="1")
    messages = [line.partition("]: ")[2] for line in err]
    assert messages[0] == "does suspend,stack8m"
    assert messages.count("gives a thread 8 MiB of stack; requested bytes: 4194304") == 2
    assert messages.count("guards the handler of signal 30") == 2
    assert len(messages) == 5
    _, err = program.run(program.library, GO_GUARD_PRELOAD="", GO_GUARD_DEBUG="1")
    assert [line.partition("]: ")[2] for line in err] == ["does nothing"]


def test_preload_loaded_twice_acts_once(program: Program, tmp_path: Path) -> None:
    other = tmp_path / "other.so"
    shutil.copyfile(program.library, other)
    settings = {"GO_GUARD_PRELOAD": "stack8m,sigmask,suspend", "GO_GUARD_DEBUG": "1"}
    out, err = program.run(program.library, other, **settings)
    assert out == expected_lines(settings["GO_GUARD_PRELOAD"])
    assert sum("guards the handler of signal 30" in line for line in err) == 2


@pytest.mark.parametrize("shell", ["sh", pytest.param("bash", marks=needs("bash"))])
def test_preload_in_shell_keeps_its_traps(program: Program, shell: str) -> None:
    script = (
        "trap 'echo usr1' USR1; trap 'echo pwr' PWR; kill -USR1 $$; kill -PWR $$;"
        "(trap - USR1; kill -USR1 $(exec sh -c 'echo $PPID')) & wait $!; echo $?;"
        "exec true | cat; yes | head -n 1"
    )
    messages = [
        subprocess.run(
            [shell, "-c", script], env=environment, capture_output=True, text=True, check=False
        )
        for environment in (
            {"PATH": os.defpath},
            {"PATH": os.defpath, "LD_PRELOAD": str(program.library)},
        )
    ]
    assert messages[0].stdout.startswith("usr1\npwr\n")
    plain, treated = ((each.returncode, each.stdout, each.stderr) for each in messages)
    assert treated == plain


@pytest.mark.slow
def test_preload_on_arm64_runs_under_qemu(tmp_path: Path) -> None:
    arm64 = Program("linux-arm64", tmp_path, tuple(arm64_emulator()))
    assert arm64.run() == (expected_lines(""), [])
    words = "stack8m,sigmask,suspend"
    out, err = arm64.run(arm64.library, arm64.spy, GO_GUARD_PRELOAD=words)
    assert out == expected_lines(words)
    assert err == [f"made {MOST_UNDER_QEMU}"] * 5
    out, _ = arm64.run(arm64.library, GO_GUARD_PRELOAD="sigmask-keep")
    assert out == expected_lines("sigmask-keep", MOST_UNDER_QEMU)


def test_preload_builds_for_linux_only() -> None:
    with pytest.raises(PrerequisiteError, match="LD_PRELOAD is a feature of Linux"):
        build.build_preload([TARGETS["darwin-arm64"]])
