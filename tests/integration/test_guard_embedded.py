"""The guard put into finished libraries: built here by several linkers, and published ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import bun, invoke, succeed
from machine import ON_MUSL, embeds_guard

from gobun import audit, build, embed, paths, toolchain
from gobun.build.compile import zig_environment
from gobun.elf import Image
from gobun.errors import UsageError
from gobun.process import tool_environment
from gobun.targets import TARGETS, host_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)
SIMPLE_SOURCE = "int Run(void) { return 42; }\n"
THREADED = """
#include <pthread.h>
static __thread int counter = 41;
static void *nothing(void *x) { return x; }
__attribute__((constructor)) static void start(void) {
  pthread_t thread;
  pthread_create(&thread, 0, nothing, 0);
  pthread_join(thread, 0);
}
int Run(void) { return ++counter; }
"""
TURNING_SCRIPT = """
const { dlopen } = require("bun:ffi");
const { Run } = dlopen(process.argv[2], { Run: { args: [], returns: "i32" } }).symbols;
const result = Run();
let turns = 0;
setInterval(() => {
  if (++turns < 20) return;
  console.log(result, turns);
  process.exit(0);
}, 50);
"""


def run(*command: str | Path, **env: str) -> str:
    completed = subprocess.run(
        [*map(str, command)],
        env=tool_environment({**zig_environment(), **env}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return succeed(completed)


def compile_library(folder: Path, text: str, compiler: list[str], *flags: str) -> Path:
    (folder / "library.c").write_text(text)
    library = folder / "library.so"
    source, output = str(folder / "library.c"), str(library)
    words = ["-shared", "-fPIC", *flags, source, "-lpthread", "-o", output]
    run(*compiler, *words)
    return library


def gcc() -> list[str]:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    return ["gcc"]


def zig() -> list[str]:
    return [str(toolchain.zig().program), "cc", "-O2", "-target", host_target().zig_triple]


@pytest.fixture(scope="module")
def load_order(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("program") / "load_order"
    source = paths.ROOT / "tests" / "native" / "load_order.c"
    # By default Zig links programs for musl statically, and such a program loads no library.
    flags = ["-rdynamic", *(["-dynamic"] if ON_MUSL else []), "-ldl", "-lpthread"]
    run(*zig(), source, *flags, "-o", program)
    return program


def check_hangs(script: Path, library: Path) -> None:
    """Check that ``script`` never ends in Bun 1.2.19 with the published ``library``."""
    words: list[str | Path] = ["timeout", "-s", "KILL", "8", bun("1.2.19").program]
    command = [*words, script, library]
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


@embeds_guard
@pytest.mark.parametrize(
    ("linker", "text"),
    [
        ("gcc", SIMPLE_SOURCE),
        ("gcc", THREADED),
        ("zig", SIMPLE_SOURCE),
        ("zig", THREADED),
    ],
    ids=["gcc-simple", "gcc-threaded", "zig-simple", "zig-threaded"],
)
def test_embedded_library_installs_before_its_constructors(
    linker: str, text: str, load_order: Path, tmp_path: Path
) -> None:
    library = compile_library(tmp_path, text, gcc() if linker == "gcc" else zig())
    content = library.read_bytes()
    out = embed.embed_guard(library, tmp_path / "out" / "guarded.so")
    thread = "never" if text is SIMPLE_SOURCE else "unguarded"
    assert run(load_order, library) == f"42 {thread} unguarded\n"
    assert run(load_order, out) == f"42 {thread.removeprefix('un')} guarded\n"
    assert run(load_order, out, GO_WARMUP_GUARD="0") == f"42 {thread} unguarded\n"
    assert library.read_bytes() == content
    assert out.stat().st_mode == library.stat().st_mode


def test_embedded_library_survives_strip(load_order: Path, tmp_path: Path) -> None:
    if shutil.which("strip") is None:
        pytest.skip("needs strip")
    out = embed.embed_guard(compile_library(tmp_path, THREADED, gcc()), tmp_path / "guarded.so")
    run("strip", "-o", tmp_path / "stripped.so", out)
    assert run(load_order, tmp_path / "stripped.so") == "42 guarded guarded\n"


@embeds_guard
@pytest.mark.slow
def test_embedded_go_library_leaves_the_event_loop_turning(tmp_path: Path) -> None:
    library = build.build_fixture("simple", host_target()).library
    out = tmp_path / "guarded.so"
    relative = os.path.relpath(out, paths.ROOT)
    output = succeed(invoke("embed-guard", library, "-o", relative))
    assert (paths.ROOT / output.strip()).resolve() == out
    script = tmp_path / "event-loop.cjs"
    script.write_text(TURNING_SCRIPT)
    for version in ("1.0.4", "1.2.19", ""):
        assert run(bun(version).program, script, out) == "0 20\n"
    # The original library hangs that release, so the guard is needed.
    check_hangs(script, library)


@pytest.mark.slow
def test_embedded_arm64_library_keeps_its_tables(tmp_path: Path) -> None:
    library = build.build_fixture("simple", TARGETS["linux-arm64"]).library
    out = embed.embed_guard(library, tmp_path / "guarded.so")
    before, after = (Image(path, path.read_bytes()) for path in (library, out))
    assert len(after.loads) == len(before.loads) + 2
    # The largest page that an arm64 kernel may have.
    code, data = after.loads[-2:]
    assert (code.address + code.memory_size - 1) // 0x10000 < data.address // 0x10000
    assert audit.inspect(out).exports == audit.inspect(library).exports


@embeds_guard
@pytest.mark.slow
def test_embedded_guard_in_libasherah_guards_it(tmp_path: Path, load_order: Path) -> None:
    library = build.published_asherah(host_target())
    out = embed.embed_guard(library, tmp_path / "libasherah.so")
    reports = (audit.inspect(library), audit.inspect(out))
    assert reports[0].exports == reports[1].exports
    script = tmp_path / "event-loop.cjs"
    script.write_text(
        TURNING_SCRIPT.replace("Run: {", "EstimateBuffer: {")
        .replace("{ Run }", "{ EstimateBuffer }")
        .replace("Run()", "EstimateBuffer(0, 0)")
        .replace("args: []", 'args: ["i32", "i32"]')
    )
    assert run(bun("1.2.19").program, script, out).endswith(" 20\n")
    check_hangs(script, library)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("no library"), "is a text file"),
        (lambda path: shutil.copy("/bin/true", path), "is an executable"),
        (
            lambda path: shutil.copy(build.build_guard([TARGETS["linux-x64"]])[0].library, path),
            "has a guard inside already",
        ),
        (
            lambda path: shutil.copy(
                build.build_fixture("simple", TARGETS["darwin-arm64"]).library, path
            ),
            "the guard is for Linux",
        ),
    ],
    ids=["text", "executable", "guard", "darwin"],
)
def test_embed_guard_unsupported_library_gives_its_reason(
    make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    library, out = tmp_path / "library.so", tmp_path / "out.so"
    make(library)
    completed = invoke("embed-guard", library, "-o", out)
    assert completed.returncode == 2
    assert message in completed.stderr
    assert not out.exists()


def test_embed_guard_output_equal_to_input_is_rejected(tmp_path: Path) -> None:
    library = compile_library(tmp_path, SIMPLE_SOURCE, zig())
    content = library.read_bytes()
    (tmp_path / "link.so").symlink_to(library)
    for out in (library, tmp_path / "link.so"):
        with pytest.raises(UsageError, match="is the library itself"):
            embed.embed_guard(library, out)
    assert library.read_bytes() == content


def test_embed_guard_large_dynamic_thread_memory_is_rejected(tmp_path: Path) -> None:
    text = "__thread char large[4096];\nchar *Run(void) { return large; }\n"
    with pytest.raises(UsageError, match="every thread has 4,096 bytes"):
        embed.embed_guard(compile_library(tmp_path, text, gcc()), tmp_path / "out.so")


def test_embed_guard_damaged_library_leaves_nothing(tmp_path: Path) -> None:
    library = compile_library(tmp_path, THREADED, zig())
    data = bytearray(library.read_bytes())
    for size in range(64, len(data), max(1, len(data) // 40)):
        library.write_bytes(data[:size])
        with pytest.raises(UsageError):
            embed.embed_guard(library, tmp_path / "out.so")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library.c", "library.so"]
