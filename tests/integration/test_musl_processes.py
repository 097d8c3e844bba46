"""Converted libraries in real musl processes: musl's own loader, Bun and Node for musl."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import invoke, runs_musl

from gobun import audit, build, fetch, matrix, pipeline, reproduce, toolchain
from gobun.build import compile as compiling
from gobun.build.musl import convert_file
from gobun.custom_addon import make_addon
from gobun.elf import Image
from gobun.elf import constants as elf
from gobun.elf.tls import initial_exec_words, sites_of
from gobun.errors import UsageError
from gobun.paths import ROOT
from gobun.targets import TARGETS, host_target

if TYPE_CHECKING:
    from gobun.sysroot import Sysroot

pytestmark = runs_musl
ON_GLIBC = host_target().libc == "glibc"
BUN = "1.4.5"
LIMIT_S = 120
NOT_LOADED = "initial-exec TLS resolves to dynamic definition"


@pytest.fixture(scope="session")
def caller(tmp_path_factory: pytest.TempPathFactory, musl: Sysroot) -> Path:
    program = tmp_path_factory.mktemp("caller") / "musl_calls"
    source = ROOT / "tests" / "native" / "musl_calls.c"
    flags = ["-O1", "-g0", "-Wall", "-Wextra", "-Werror", "-dynamic"]
    compiling.freestanding(source, "x86_64-linux-musl", flags, program)
    return musl.program(program)


def go_library(output: Path, compiler: str) -> Path:
    """Build the fixture ``simple`` with Go's defaults, so with debug information."""
    words = ("build", "-buildmode=c-shared", "-o", output, "./simple")
    flags = compiling.GoFlags()
    environment = compiling.go_environment(
        TARGETS["linux-x64"], toolchain.go(), toolchain.zig(), flags
    )
    subprocess.run(
        [toolchain.go().program, *words],
        cwd=ROOT / "go",
        env={**os.environ, **environment, "CC": compiler, "CGO_CFLAGS": "-O2"},
        check=True,
        timeout=LIMIT_S * 2,
    )
    return output


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the library linked by GNU ld, by Zig for glibc, and by Zig for musl."""
    folder = tmp_path_factory.mktemp("libraries")
    zig = f"{toolchain.zig().program} cc -target"
    paths_by_name = {
        "zig-glibc": go_library(folder / "zig-glibc.so", f"{zig} x86_64-linux-gnu.2.17"),
        "zig-musl": go_library(folder / "zig-musl.so", f"{zig} x86_64-linux-musl"),
    }
    if shutil.which("gcc"):
        paths_by_name["gcc"] = go_library(folder / "gcc.so", "gcc")
    return paths_by_name


@pytest.fixture(scope="session")
def converted_libraries(libraries: dict[str, Path]) -> dict[str, Path]:
    converted = {}
    for name, library in libraries.items():
        converted[name] = library.with_name(f"{library.stem}-musl.so")
        convert_file(library, converted[name])
    return converted


def call(*command: str | Path) -> str:
    completed = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return (completed.stdout + completed.stderr).strip()


def test_musl_unconverted_library_is_rejected(caller: Path, libraries: dict[str, Path]) -> None:
    for library in libraries.values():
        assert NOT_LOADED in call(caller, library)


def test_musl_converted_library_runs_with_any_linker(
    caller: Path, converted_libraries: dict[str, Path]
) -> None:
    for library in converted_libraries.values():
        assert call(caller, library) == "pass"


def test_musl_several_converted_libraries_run_in_one_process(
    caller: Path, converted_libraries: dict[str, Path]
) -> None:
    assert call(caller, *converted_libraries.values()) == "pass"


def test_musl_converted_library_starts_without_proc(
    caller: Path, converted_libraries: dict[str, Path]
) -> None:
    """The startup code then has no arguments to pass, and Go starts without any."""
    within = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    hidden = 'mount -t tmpfs none /proc && test ! -e /proc/self && exec "$@"'
    if call(*within, hidden, "sh", "echo", "hidden") != "hidden":
        pytest.skip("this system lets nobody hide /proc")
    assert call(*within, hidden, "sh", caller, converted_libraries["zig-musl"]) == "pass"


@pytest.mark.skipif(shutil.which("strip") is None, reason="strip is missing")
def test_musl_converted_library_runs_after_strip(
    caller: Path, converted_libraries: dict[str, Path], tmp_path: Path
) -> None:
    for name, library in converted_libraries.items():
        stripped = tmp_path / f"{name}.so"
        completed = subprocess.run(
            ["strip", "-o", stripped, library], capture_output=True, check=True
        )
        assert completed.stderr == b""
        assert call(caller, stripped) == "pass"


@pytest.mark.skipif(
    shutil.which("gcc") is None, reason="GNU ld, which keeps relocations, is missing"
)
def test_musl_found_sites_equal_the_linkers_relocations(tmp_path: Path) -> None:
    """With --emit-relocs, GNU ld leaves its own list of the references to the TLS word."""
    output = tmp_path / "kept.so"
    environment = compiling.go_environment(
        TARGETS["linux-x64"], toolchain.go(), toolchain.zig(), compiling.GoFlags()
    )
    subprocess.run(
        [
            *(toolchain.go().program, "build", "-buildmode=c-shared"),
            *("-ldflags=-extldflags=-Wl,--emit-relocs", "-o", output, "./simple"),
        ],
        cwd=ROOT / "go",
        env={**os.environ, **environment, "CC": "gcc", "CGO_CFLAGS": "-O2"},
        check=True,
        timeout=LIMIT_S * 2,
    )
    image = Image(output, output.read_bytes())
    addresses = {site.address + 3 for site in sites_of(image, initial_exec_words(image))}
    listed = subprocess.run(
        ["readelf", "-rW", output], capture_output=True, text=True, check=True
    ).stdout
    linker = {int(line.split()[0], 16) for line in listed.splitlines() if "GOTTPOFF" in line}

    assert len(linker) > 100
    assert addresses == linker


def test_musl_audit_tells_whether_a_library_loads(
    libraries: dict[str, Path], converted_libraries: dict[str, Path]
) -> None:
    before = audit.inspect(libraries["zig-glibc"])
    after = audit.inspect(converted_libraries["zig-glibc"])

    assert before.static_tls
    assert not after.static_tls
    assert before.musl is not None
    assert after.musl is not None
    assert (before.musl.tls_words, before.musl.already_converted) == (1, False)
    assert (before.musl.sites or 0) > 100
    assert after.musl == audit.MuslSupport(0, 0, already_converted=True, problems=())
    assert before.go == after.go
    assert before.exports == after.exports


FFI = """
const { dlopen } = require("bun:ffi");
const { symbols } = dlopen(process.argv[2], { Run: { args: [], returns: "i32" } });
console.log("Run returned", symbols.Run());
setTimeout(() => console.log("turned"), 20);
"""


def test_musl_bun_calls_a_converted_library(
    musl: Sysroot, libraries: dict[str, Path], converted_libraries: dict[str, Path], tmp_path: Path
) -> None:
    package = fetch.Package(fetch.bun_package("linux-x64", "musl"), BUN)
    bun = musl.program(fetch.fetch_packages([package])[package] / "bin" / "bun")
    script = tmp_path / "ffi.js"
    script.write_text(FFI)

    assert "Run returned" not in call(bun, script, libraries["zig-glibc"])
    for library in converted_libraries.values():
        assert call(bun, script, library) == "Run returned 0\nturned"


ADDON = "console.log('runSync returned', require(process.argv[2]).runSync())"


def test_musl_node_and_bun_call_a_converted_addon(musl: Sysroot, tmp_path: Path) -> None:
    fixture = build.build_fixture("setup-full", TARGETS["linux-x64"])
    addon = tmp_path / "addon.node"
    convert_file(fixture.addon, addon)
    script = tmp_path / "addon.cjs"
    script.write_text(ADDON)
    package = fetch.Package(fetch.bun_package("linux-x64", "musl"), BUN)
    bun = fetch.fetch_packages([package])[package] / "bin" / "bun"

    for program in (musl.node, bun):
        assert call(musl.program(program), script, addon) == "runSync returned 0"
        assert "returned 0" not in call(musl.program(program), script, fixture.addon)


@pytest.mark.skipif(not ON_GLIBC, reason="a program for glibc needs glibc")
def test_musl_converted_library_ends_a_glibc_process_cleanly(
    converted_libraries: dict[str, Path], tmp_path: Path
) -> None:
    """glibc has no libc.so to load, so the test provides a file with that name."""
    library = Image(converted_libraries["zig-glibc"], converted_libraries["zig-glibc"].read_bytes())
    assert library.needed_libraries == ["libc.so"]
    assert library.dynamic_value(elf.DT_VERNEED) is None
    program = tmp_path / "load"
    source = tmp_path / "load.c"
    source.write_text(
        "#include <dlfcn.h>\n#include <stdio.h>\n"
        'int main(int c, char **v) { (void)c; puts(dlopen(v[1], 2) ? "loaded" : dlerror()); }\n'
    )
    compiling.c_program(source, target=TARGETS["linux-x64"], output=program, libraries=("dl",))
    (tmp_path / "lib").mkdir()
    mapped = Path("/proc/self/maps").read_text().split()
    real = next(word for word in mapped if word.endswith("libc.so.6"))
    (tmp_path / "lib" / "libc.so").symlink_to(real)
    completed = subprocess.run(
        [program, converted_libraries["zig-glibc"]],
        env={"LD_LIBRARY_PATH": str(tmp_path / "lib")},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert (completed.returncode, completed.stdout) == (127, "")
    assert completed.stderr.startswith("a Go library that was converted for musl cannot run here: ")
    assert completed.stderr.count("\n") == 1


def test_matrix_of_musl_records_libc_and_reproduces(musl: Sysroot, tmp_path: Path) -> None:
    """Bun 1.2.19 hangs with a converted library, and refuses one that is not converted."""
    request = pipeline.Request(
        versions="1.2.19",
        treatments=("stock", "unconverted", "preload:suspend", "package"),
        modules=("simple",),
        loads=("napi-sync",),
        stresses=("idle",),
        out=tmp_path,
        libc="musl",
    )
    pipeline.run_matrix(request)
    run = matrix.read_results(tmp_path / matrix.FILE_NAME)
    results = {result.treatment: result for result in run.results}

    assert run.header.host.libc == f"musl {musl.version}"
    assert {name: result.outcome for name, result in results.items()} == {
        "stock": "hang",
        "unconverted": "fail",
        "preload:suspend": "pass",
        "package": "pass",
    }
    assert NOT_LOADED in results["unconverted"].detail
    assert all(result.repro.endswith(" --libc musl") == ON_GLIBC for result in run.results)

    [folder] = reproduce.folders(tmp_path, "stock/simple")
    package = fetch.Package(fetch.bun_package("linux-x64-musl"), "1.2.19")
    bun = musl.program(fetch.fetch_packages([package])[package] / "bin" / "bun")
    completed = subprocess.run(
        [folder / "run.sh"],
        env={"PATH": os.defpath, "BUN": str(bun), "LIMIT": "5", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert completed.returncode == 124, completed.stdout + completed.stderr
    assert '"called"' in completed.stdout
    readme = (folder / "README.md").read_text()
    assert f"npm install --no-save {package.name}@1.2.19" in readme
    assert "Alpine" in readme


HANGING_SCRIPT = (
    "require(process.argv[2]).runSync(); setInterval(() => {}, 50); console.log('called');"
)


def test_diagnose_names_a_musl_process_and_its_hang(musl: Sysroot, tmp_path: Path) -> None:
    script = tmp_path / "hangs.cjs"
    script.write_text(HANGING_SCRIPT)
    addon = build.build_fixture("simple", TARGETS["linux-x64-musl"]).addon
    package = fetch.Package(fetch.bun_package("linux-x64-musl"), "1.2.19")
    bun = musl.program(fetch.fetch_packages([package])[package] / "bin" / "bun")
    with subprocess.Popen([bun, script, addon], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "called\n"
            output = invoke("diagnose", str(process.pid), limit_s=LIMIT_S).stdout
        finally:
            process.kill()

    assert "it hangs: a signal storm, because of Go's SA_ONSTACK" in output
    assert "runtime: bun@1.2.19 for musl" in output
    assert f"Go library: {addon}" in output


def test_addon_unconverted_for_musl_is_rejected(tmp_path: Path) -> None:
    smoke = tmp_path / "smoke.cjs"
    smoke.write_text("exports.load = (addon) => require(addon); exports.check = () => {};")
    plain = build.build_fixture("simple", TARGETS["linux-x64"]).addon
    converted = build.build_fixture("simple", TARGETS["linux-x64-musl"]).addon
    with pytest.raises(UsageError, match="does not load on musl: it has 1 word") as raised:
        make_addon(str(plain), str(smoke), libc="musl")
    assert f"invoke convert-musl {plain}" in str(raised.value.hint)
    assert make_addon(str(converted), str(smoke), libc="musl") is not None
    if ON_GLIBC:
        with pytest.raises(UsageError, match="linked against musl") as raised:
            make_addon(str(converted), str(smoke))
        assert "--libc musl" in str(raised.value.hint)
