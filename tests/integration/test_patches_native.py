"""Extracts the C++ that the patches add, compiles it with substitutes for WTF, and runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from machine import ON_MUSL

from gobun import bun_source, toolchain
from gobun.bun_source.hunks import parse_patch
from gobun.targets import host_target

SOURCES = Path(__file__).parent.parent / "native" / "suspend"
LINES = [
    line
    for line in bun_source.lines()
    if "suspend-any-stack" in {patch.id for patch in bun_source.series_named(line).patches}
]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="JSC suspends by signals on Linux")


def added_text(line: str, patch: str, name: str) -> str:
    """Return the lines that a patch adds to a file."""
    series = bun_source.series_named(line)
    content = series.file(next(each for each in series.patches if each.id == patch)).read_bytes()
    diff = next(each for each in parse_patch(content, patch) if Path(each.path).name == name)
    return b"".join(text for hunk in diff.hunks for text in hunk.added).decode()


def suspender(folder: Path, handler: Path) -> Path:
    """Compile the program that suspends its own threads, or skip the test on musl."""
    if ON_MUSL:
        pytest.skip("musl has no makecontext, with which the program makes its stacks")
    return compile_program(folder, SOURCES / "suspend.cpp", handler)


def compile_program(folder: Path, *sources: Path) -> Path:
    """Compile C++ without further libraries."""
    program = folder / "program"
    command = [toolchain.zig().program, "c++", "-target", host_target().zig_triple]
    flags = ["-nostdlib++", "-fno-exceptions", "-fno-rtti", "-std=c++20", "-O2", "-g0"]
    flags += ["-Wall", "-Wextra", "-Werror", f"-I{SOURCES}"]
    completed = subprocess.run(
        [*map(str, command), *flags, *map(str, sources), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return program


def suspend(program: Path, *words: str) -> tuple[int, dict[str, int]]:
    """Run the suspender, and return its exit code and its counts."""
    completed = subprocess.run(
        [str(program), *words], capture_output=True, text=True, check=False, timeout=100
    )
    counted = re.findall(r"(\w+) (\d+)", completed.stdout)
    return completed.returncode, {name: int(count) for name, count in counted}


@pytest.fixture(scope="module", params=LINES)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suspend")
    handler = folder / "SuspendHandler.cpp"
    handler.write_text(added_text(request.param, "suspend-any-stack", handler.name))
    return suspender(folder, handler)


class TestSuspendHandler:
    def test_patch_thread_with_alternate_stack_always_stops(self, program: Path) -> None:
        code, counted = suspend(program, "own", "200")
        assert code == 0
        assert counted["stopped"] == 200
        assert counted["wrong"] == 0
        assert counted["others"] > 0

    def test_patch_thread_without_alternate_stack_always_stops(self, program: Path) -> None:
        code, counted = suspend(program, "none", "200")
        assert (code, counted["stopped"], counted["wrong"]) == (0, 200, 0)

    def test_patch_small_alternate_stack_is_rejected(self, program: Path) -> None:
        code, counted = suspend(program, "goroutine", "60")
        assert (code, counted["refused"], counted["wrong"]) == (0, 60, 0)

    def test_unpatched_thread_on_alternate_stack_never_stops(self, program: Path) -> None:
        _, counted = suspend(program, "own", "20", "stock")
        assert (counted["stopped"], counted["refused"]) == (0, 200)

    def test_unpatched_alternate_stack_is_overwritten(self, tmp_path: Path) -> None:
        whole = added_text(LINES[0], "suspend-any-stack", "SuspendHandler.cpp")
        uncut = whole.replace("frame - bottom < alternate.ss_size", "false")
        assert uncut != whole
        handler = tmp_path / "uncut.cpp"
        handler.write_text(uncut)
        broken = suspender(tmp_path, handler)
        try:
            completed = subprocess.run([str(broken), "own", "200"], check=False, timeout=10)
        except subprocess.TimeoutExpired:
            return
        assert completed.returncode != 0


@pytest.mark.parametrize("line", LINES)
def test_new_thread_inherits_its_creators_mask(line: str, tmp_path: Path) -> None:
    functions = tmp_path / "functions.cpp"
    functions.write_text(
        "#include <signal.h>\n#define OS(name) 0\n"
        + added_text(line, "block-signals", "c-bindings.cpp")
    )
    program = compile_program(tmp_path, SOURCES / "mask.cpp", functions)
    completed = subprocess.run(
        [str(program)], capture_output=True, text=True, check=False, timeout=30
    )
    assert (completed.returncode, completed.stdout) == (0, "wrong 0\n")
