"""The guard inside a library: as a Go package, and as a static library, with every compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import invoke, succeed
from machine import ON_MUSL

import gobun
from gobun import audit, build, paths, toolchain
from gobun.build.compile import zig_environment
from gobun.process import tool_environment
from gobun.targets import host_target

pytestmark = pytest.mark.timeout(300)
MODULE = "example.com/fixture"
MAIN_SOURCE = """\
package main

import "C"
{imported}
//export Run
func Run() int32 {{ return 42 }}

func main() {{}}
"""
GLUE = "int Run(void);\nint Glue(void) { return Run(); }\n"
MARK = b"GoGuard1"


HOST_LIBC = "musl" if ON_MUSL else "gnu.2.17"


def compiler(name: str) -> list[str]:
    """Return the command of a C compiler, or skip the test."""
    if name.startswith("zig"):
        _, _, libc = name.partition("-")
        arch = "x86_64" if host_target().goarch == "amd64" else "aarch64"
        triple = f"{arch}-linux-{libc or HOST_LIBC}"
        # By default Zig links programs for musl statically. It would compile all of musl for that,
        # and a program that is linked statically loads no library.
        linkage = ["-dynamic"] if triple.endswith("musl") else []
        return [str(toolchain.zig().program), "cc", "-target", triple, *linkage]
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}")
    return [path]


def run(folder: Path, *command: str | Path, **env: str) -> str:
    completed = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env=tool_environment({**zig_environment(), **env}),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return succeed(completed)


def go(folder: Path, name: str, *words: str, **env: str) -> str:
    """Run Go as a maintainer does, with the maintainer's compiler."""
    cache = paths.cache_root()
    archiver = folder / "ar"  # Go runs one for an archive, and Zig has one
    archiver.write_text(f'#!/bin/sh\nexec "{toolchain.zig().program}" ar "$@"\n')
    archiver.chmod(0o755)
    settings = {
        "PATH": f"{os.environ['PATH']}{os.pathsep}{folder}",
        "CC": " ".join(compiler(name)),
        "CGO_ENABLED": "1",
        "GOCACHE": str(cache / "go-build"),
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }
    return run(folder, toolchain.go().program, *words, **{**settings, **env})


def module(folder: Path, *, guarded: bool) -> Path:
    imported = f'\nimport _ "{MODULE}/internal/goguard"\n' if guarded else ""
    folder.mkdir()
    (folder / "go.mod").write_text(f"module {MODULE}\n\ngo 1.18\n")
    (folder / "main.go").write_text(MAIN_SOURCE.format(imported=imported))
    (folder / "glue.c").write_text(GLUE)
    if guarded:
        relative = os.path.relpath(folder / "internal" / "goguard", paths.ROOT)
        succeed(invoke("vendor-guard", "--out", relative))
    return folder


@pytest.fixture(scope="module")
def vendored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return module(tmp_path_factory.mktemp("go") / "vendored", guarded=True)


@pytest.fixture(scope="module")
def plain_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = module(tmp_path_factory.mktemp("go") / "plain", guarded=False)
    go(folder, "zig", "build", "-buildmode=c-archive", "-o", "plain.a", ".")
    return folder / "plain.a"


@pytest.fixture(scope="module")
def load_order(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("program") / "load_order"
    source = paths.ROOT / "tests" / "native" / "load_order.c"
    flags = ["-rdynamic", "-ldl", "-lpthread"]
    run(program.parent, *compiler("zig"), source, *flags, "-o", program)
    return program


def loadable(library: Path) -> Path:
    """Return a library that contains Go as this machine can load it: on musl it is converted."""
    if ON_MUSL:
        build.convert_file(library, library)
    return library


@pytest.mark.parametrize("name", ["gcc", "clang", "zig"])
def test_vendored_package_in_shared_library_installs_before_go(
    vendored: Path, load_order: Path, name: str
) -> None:
    library = vendored / f"{name}.so"
    go(vendored, name, "build", "-buildmode=c-shared", "-o", library.name, ".")
    assert run(vendored, load_order, loadable(library)) == "42 guarded guarded\n"
    assert run(vendored, load_order, library, GO_WARMUP_GUARD="0") == "42 unguarded unguarded\n"
    assert not [each for each in audit.inspect(library).exports if "uard" in each]


@pytest.mark.parametrize("name", ["gcc", "clang", "zig"])
def test_vendored_package_in_archive_installs_before_go(
    vendored: Path, load_order: Path, name: str
) -> None:
    go(vendored, name, "build", "-buildmode=c-archive", "-o", f"{name}.a", ".")
    words = ["-shared", "-fPIC", "glue.c", f"{name}.a", "-lpthread", "-o", f"glue-{name}.so"]
    run(vendored, *compiler(name), *words)
    library = loadable(vendored / f"glue-{name}.so")
    assert run(vendored, load_order, library) == "42 guarded guarded\n"


@pytest.mark.parametrize("mode", ["c-shared", "c-archive"])
def test_vendored_package_builds_for_musl(vendored: Path, mode: str) -> None:
    out = vendored / f"musl-{mode}"
    go(vendored, "zig-musl", "build", f"-buildmode={mode}", "-o", out.name, ".")
    assert MARK in out.read_bytes()
    if mode == "c-shared":
        assert audit.inspect(out).libc == "musl"


@pytest.mark.parametrize("cgo", ["0", "1"])
@pytest.mark.parametrize(
    ("system", "arch"), [("darwin", "arm64"), ("windows", "amd64"), ("linux", "riscv64")]
)
def test_vendored_package_elsewhere_is_empty(
    vendored: Path, system: str, arch: str, cgo: str
) -> None:
    where = {"GOOS": system, "GOARCH": arch, "CGO_ENABLED": cgo}
    words = ("list", "-f", "{{.GoFiles}}{{.CgoFiles}}{{.CFiles}}", "./internal/goguard")
    assert go(vendored, "zig", *words, **where) == "[goguard.go][][]\n"
    if cgo == "0":
        go(vendored, "zig", "build", "./internal/goguard", **where)


def test_vendor_guard_repeated_replaces_and_rejects_other_code(tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in build.vendor_guard(tmp_path)}
    (tmp_path / "goguard.c").write_text("old")
    assert {path.name: path.read_bytes() for path in build.vendor_guard(tmp_path)} == first
    version, digest = (tmp_path / "VERSION").read_text().splitlines()
    assert version == gobun.__version__
    assert digest == f"{hashlib.sha256(first['goguard.c']).hexdigest()}  goguard.c"
    (tmp_path / "main.go").write_text("package main\n")
    completed = invoke("vendor-guard", "--out", tmp_path)
    assert completed.returncode == 2
    assert "holds another Go package already: main.go" in completed.stderr


@pytest.mark.parametrize("name", ["gcc", "clang", "zig"])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-Wl,-u,GuardVersion", "{}"], "42 guarded guarded\n"),
        (["-Wl,--whole-archive", "{}", "-Wl,--no-whole-archive"], "42 guarded guarded\n"),
        # The linker takes only referenced objects from an archive, as docs/loader.md warns.
        (["{}"], "42 unguarded unguarded\n"),
    ],
    ids=["undefined", "whole", "alone"],
)
def test_static_library_links_with_go_archive(
    plain_archive: Path, load_order: Path, name: str, flags: list[str], message: str
) -> None:
    library = build.build_static_guard([host_target()])[0].library
    linked = [flag.format(library) for flag in flags]
    words = [
        "-shared",
        "-fPIC",
        "glue.c",
        str(plain_archive),
        *linked,
        "-lpthread",
        "-o",
        f"{name}.so",
    ]
    run(plain_archive.parent, *compiler(name), *words)
    library = loadable(plain_archive.parent / f"{name}.so")
    assert run(plain_archive.parent, load_order, library) == message


def test_static_library_links_with_cmake(
    plain_archive: Path, load_order: Path, tmp_path: Path
) -> None:
    if shutil.which("cmake") is None or shutil.which("gcc") is None:
        pytest.skip("needs cmake and a compiler")
    library = build.build_static_guard([host_target()])[0].library
    (tmp_path / "glue.c").write_text(GLUE)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(addon C)\n"
        "add_library(addon MODULE glue.c)\n"
        f"target_link_libraries(addon PRIVATE {plain_archive} pthread\n"
        f"  -Wl,--whole-archive {library} -Wl,--no-whole-archive)\n"
    )
    run(tmp_path, "cmake", "-S", ".", "-B", "build")
    run(tmp_path, "cmake", "--build", "build")
    assert run(tmp_path, load_order, tmp_path / "build" / "libaddon.so") == "42 guarded guarded\n"


def test_static_library_links_with_cargo(load_order: Path, tmp_path: Path) -> None:
    if shutil.which("cargo") is None:
        pytest.skip("needs cargo")
    if subprocess.run(["cargo", "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs a Rust toolchain: rustup has no default one in this home")
    library = build.build_static_guard([host_target()])[0].library
    (tmp_path / "src").mkdir()
    (tmp_path / "Cargo.toml").write_text(
        '[package]\nname = "addon"\nversion = "0.1.0"\nedition = "2021"\n'
        '[lib]\ncrate-type = ["cdylib"]\n'
    )
    (tmp_path / "build.rs").write_text(
        "fn main() {\n"
        f'    println!("cargo:rustc-link-search=native={library.parent}");\n'
        f'    println!("cargo:rustc-link-lib=static:+whole-archive={library.stem[3:]}");\n'
        "}\n"
    )
    (tmp_path / "src" / "lib.rs").write_text(
        '#[no_mangle]\npub extern "C" fn Run() -> i32 {\n    42\n}\n'
    )
    home = str(Path.home())
    run(tmp_path, "cargo", "build", "--offline", "--release", HOME=home)
    addon = tmp_path / "target" / "release" / "libaddon.so"
    assert run(tmp_path, load_order, addon) == "42 never guarded\n"
