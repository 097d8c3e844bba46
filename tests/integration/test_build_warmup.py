"""The warm-up libraries are really built, reproduced, rejected, loaded and called."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import lief
import msgspec
import pytest
from commands import (
    arm64_bun,
    bun,
    cache_with_warm_compilers,
    copy_checkout,
    invoke,
    run_script,
    succeed,
)

from gobun import audit, build, paths, runtimes, toolchain
from gobun.build import macho
from gobun.errors import BuildError
from gobun.targets import TARGETS, host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)
CALLS = """
const { dlopen } = require("bun:ffi");
const { symbols } = dlopen(process.argv[2], {
  Warmup: { args: [], returns: "i32" },
  WarmupGoRuntime: { args: [], returns: "i32" },
});
console.log(process.arch, symbols.Warmup(), symbols.WarmupGoRuntime(), symbols.Warmup());
process.exit(0);
"""
DLCALLS = """
const { call } = require(process.argv[2]);
const [library, missing] = process.argv.slice(3);
const said = ["Warmup", "WarmupGoRuntime", "Warmup"].map((name) => call(library, name));
for (const [path, name] of [[missing, "Warmup"], [library, "Nothing"], [library]]) {
  try {
    call(path, name);
  } catch (error) {
    said.push(error.name);
  }
}
console.log(process.arch, ...said);
"""
# Compiles with a tool that only waits, and has a child that only waits.
INTERRUPTED = """
import sys
from gobun import build, process
from gobun.build import macho
from gobun.build import compile as compiling
from gobun.targets import TARGETS

WAIT = '''
import os, subprocess, sys
number = os.open(sys.argv[1], os.O_WRONLY)
child = subprocess.Popen(["sleep", "60"], pass_fds=[number])
os.write(number, b"up")
child.wait()
'''
compiling.go_shared = lambda *_, **__: process.run_tool([sys.executable, "-c", WAIT, sys.argv[1]])
build.build_warmup([TARGETS["linux-x64"], TARGETS["darwin-x64"]])
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "dist"
    output = succeed(invoke("build-warmup", "--out", out))
    assert len(output.splitlines()) == len(TARGETS)
    return out


def sums(dist: Path) -> dict[str, str]:
    lines = [
        line.split("  ")
        for name in ("SHA256SUMS", "SHA256SUMS-darwin")
        if (dist / name).is_file()
        for line in (dist / name).read_text().splitlines()
    ]
    return {file: digest for digest, file in lines}


def test_build_warmup_writes_libraries_sums_and_manifest(dist: Path) -> None:
    checked = [
        subprocess.run(
            ["sha256sum", "-c", name],
            cwd=dist,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        for name in ("SHA256SUMS", "SHA256SUMS-darwin")
    ]
    assert [succeed(done).count(": OK\n") for done in checked] == [4, 2]
    assert len(sums(dist)) == 6  # so every line is checked: busybox has no --strict
    libraries = msgspec.json.decode((dist / "manifest.json").read_bytes())["libraries"]
    assert {library["target"] for library in libraries} == set(TARGETS)
    for library in libraries:
        most = 1_300_000 if TARGETS[library["target"]].libc != "musl" else 1_350_000
        assert library["size"] == (dist / library["file"]).stat().st_size <= most
        assert library["sha256"] == sums(dist)[library["file"]]
        assert (library["go"], library["zig"]) == (
            toolchain.pins()["go"],
            toolchain.pins()["zig"],
        )
        assert "int Warmup(void);" in (dist / library["header"]).read_text()


@pytest.mark.parametrize("name", TARGETS)
def test_build_warmup_each_library_passes_its_audit(dist: Path, name: str) -> None:
    target = TARGETS[name]
    library = dist / f"go-warmup-{name}{target.library_suffix}"
    report = audit.inspect(library)
    assert audit.check(report, audit.warmup_rules(target, file_name=library.name)) == []
    if target.os == "linux":
        assert set(report.exports) == {"Warmup", "WarmupGoRuntime"}
        assert (report.relro, report.nodelete) == ("full", True)
    else:
        assert {"Warmup", "WarmupGoRuntime"} <= set(report.exports)


def test_build_warmup_header_compiles_and_links(dist: Path, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        '#include "it.h"\nint main(void) { return Warmup() + WarmupGoRuntime() - 2; }\n'
    )
    shutil.copy(dist / "go-warmup-linux-x64.h", tmp_path / "it.h")
    command = [str(toolchain.zig().program), "cc", "-Wall", "-Werror", "-std=c99", "-pedantic"]
    library = dist / "go-warmup-linux-x64.so"
    completed = subprocess.run(
        [*command, "-target", TARGETS["linux-x64"].zig_triple, "main.c", str(library), "-o", "it"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    succeed(completed)
    if host_target().name == "linux-x64":
        ran = subprocess.run(
            ["./it"], cwd=tmp_path, env={"LD_LIBRARY_PATH": str(dist)}, timeout=60, check=False
        )
        assert ran.returncode == 0


def test_build_warmup_bytes_are_the_same_anywhere(dist: Path, tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "another's check out")
    (tmp_path / "tem, porary").mkdir()
    # Go compiles everything again. Zig does not make each C library again, which takes minutes.
    cache = cache_with_warm_compilers(tmp_path / "ca che", "zig")
    environment = {
        "CC": "/no/such/compiler",
        "CGO_CFLAGS": "-g3",
        "GOAMD64": "v3",
        "GOBUN_CACHE": str(cache),
        "GOFLAGS": "-race",
        "HOME": str(tmp_path / "home"),
        "LANG": "de_DE.UTF-8",
        "TMPDIR": str(tmp_path / "tem, porary"),
        "USER": "somebody",
    }
    targets = "linux-x64,linux-x64-musl,darwin-arm64"
    words = ("build-warmup", "--target", targets, "--out", tmp_path / "out")
    succeed(invoke(*words, root=root, env=environment))
    digests = sums(tmp_path / "out")
    assert len(digests) == 3
    assert digests == {file: sums(dist)[file] for file in digests}
    assert list((tmp_path / "tem, porary").iterdir()) == []
    assert not (root / "dist").exists()


def deterministic_parts(path: Path) -> tuple[int, int, int]:
    """Return the offset and count of indirect symbols, and the offset of the UUID."""
    universal = lief.MachO.parse(path)
    library = universal.at(0) if universal is not None else None
    assert library is not None
    symbols, uuid = library.dynamic_symbol_command, library.uuid
    assert symbols is not None
    assert uuid is not None
    return symbols.indirect_symbol_offset, symbols.nb_indirect_symbols, uuid.command_offset + 8


def test_build_warmup_linker_output_is_made_deterministic(dist: Path, tmp_path: Path) -> None:
    built = (dist / "go-warmup-darwin-arm64.dylib").read_bytes()
    table, count, uuid = deterministic_parts(dist / "go-warmup-darwin-arm64.dylib")
    for noise in (b"\0\0\0\0", b"\xff\xff\xff\x7f", b"RApH"):
        scribbled = bytearray(built)
        scribbled[table : table + 4 * count] = noise * count
        scribbled[uuid : uuid + 16] = noise * 4
        path = tmp_path / "go-warmup-darwin-arm64.dylib"
        path.write_bytes(scribbled)
        macho.make_deterministic(path)
        assert path.read_bytes() == built


@pytest.mark.parametrize(
    ("field", "value"), [(68, b"\xff\xff\xff\x7f"), (72, b"\0\0\0\0")], ids=["first", "stub size"]
)
def test_build_warmup_linker_output_of_other_form_is_an_error(
    dist: Path, tmp_path: Path, field: int, value: bytes
) -> None:
    path = tmp_path / "go-warmup-darwin-arm64.dylib"
    data = bytearray((dist / path.name).read_bytes())
    header = data.index(b"__stubs\0")
    data[header + field : header + field + 4] = value
    path.write_bytes(data)
    with pytest.raises(BuildError, match="not a dylib of the form that Zig links"):
        macho.make_deterministic(path)
    assert path.read_bytes() == data


def test_build_warmup_unchanged_libraries_are_not_recompiled(
    dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("something was run")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    built = build.build_warmup(list(TARGETS.values()))
    build.publish(built, tmp_path / "again")
    assert sums(tmp_path / "again") == sums(dist)


def test_build_warmup_older_names_are_accepted(tmp_path: Path) -> None:
    out = tmp_path / "dist"
    for name in ("bun_warmup_minimal", "go-runtime-warmup"):
        words = ("build-warmup", "--target", "linux-x64", "--name", name, "--out", out)
        succeed(invoke(*words))
    files = ["bun_warmup_minimal-linux-x64.so", "go-runtime-warmup-linux-x64.so"]
    assert sorted(sums(out)) == files


class TestRefused:
    """Builds that must fail, in a copy with a separate cache."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return copy_checkout(tmp_path / "copy")

    @pytest.fixture
    def cache(self, tmp_path: Path) -> Path:
        return cache_with_warm_compilers(tmp_path / "cache")

    def fail(self, root: Path, cache: Path, target: str, old: str, new: str) -> str:
        source = root / "go" / "warmup" / "main.go"
        assert old in source.read_text()
        source.write_text(source.read_text().replace(old, new))
        words = ("build-warmup", "--target", target, "--out", root / "out")
        completed = invoke(*words, root=root, env={"GOBUN_CACHE": str(cache)})
        assert completed.returncode == 6, completed.stderr
        assert completed.stdout == ""
        assert "Traceback" not in completed.stderr
        assert not (root / "out").exists()
        assert [path for path in (cache / "build").iterdir() if path.is_dir()] == []
        return completed.stderr

    def test_build_warmup_source_that_does_not_compile_fails(self, root: Path, cache: Path) -> None:
        message = self.fail(root, cache, "linux-x64", "return 1 }", "return one }")
        assert "could not build go/warmup for linux-x64" in message
        assert "undefined: one" in message

    def test_build_warmup_library_that_fails_audit_is_rejected(
        self, root: Path, cache: Path
    ) -> None:
        more = "//export Extra\nfunc Extra() {}\n\nfunc main"
        message = self.fail(root, cache, "darwin-x64", "func main", more)
        assert "go-warmup-darwin-x64.dylib does not pass its audit" in message
        assert "exports: Extra is exported" in message


def test_build_warmup_interrupted_ends_the_compilers(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    harness = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(fifo)],
        cwd=paths.ROOT,
        env={**os.environ, "GOBUN_CACHE": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        output = b""
        while output != b"upup":
            assert select.select([reader], [], [], 60)[0]
            output += os.read(reader, 10)
        harness.send_signal(signal.SIGINT)
        assert select.select([reader], [], [], 30)[0]
        assert os.read(reader, 10) == b""  # no process is left that could write
        assert "KeyboardInterrupt" in harness.communicate(timeout=30)[1]
    finally:
        harness.kill()
        harness.communicate()
        os.close(reader)
    assert [path for path in (tmp_path / "cache" / "build").iterdir() if path.is_dir()] == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run")
class TestCalled:
    """The libraries in real runtimes."""

    def test_warmup_library_works_in_bun(self, dist: Path, tmp_path: Path) -> None:
        library = str(dist / f"go-warmup-{host_target().name}.so")
        output = run_script([bun().program], CALLS, tmp_path, library)
        assert output == f"{host_target().arch} 1 1 1\n"

    def test_warmup_library_works_in_node(self, dist: Path, tmp_path: Path) -> None:
        node = runtimes.provide_node(host_target())
        library = dist / f"go-warmup-{host_target().name}.so"
        words = [str(node.dlcall), str(library), "/no/such/library.so"]
        output = run_script([node.program], DLCALLS, tmp_path, *words)
        assert output == f"{host_target().arch} 1 1 1 Error Error TypeError\n"

    def test_warmup_library_on_arm64_runs_under_qemu(self, dist: Path, tmp_path: Path) -> None:
        command = arm64_bun()
        output = run_script(command, CALLS, tmp_path, str(dist / "go-warmup-linux-arm64.so"))
        assert output == "arm64 1 1 1\n"
