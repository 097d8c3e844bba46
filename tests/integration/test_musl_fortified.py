"""glibc's fortified functions in a converted library. Each works and still makes its check."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import arm64_emulator

from gobun import sysroot, toolchain
from gobun.build import compile as compiling
from gobun.build.musl import convert_file
from gobun.errors import FetchError, PrerequisiteError
from gobun.paths import NATIVE_SOURCES, ROOT
from gobun.targets import TARGETS, host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    host_target().name != "linux-x64", reason="musl's programs are fetched for x64"
)
LIMIT_S = 240
NEWEST_GLIBC = "2.38"  # the first with strlcpy
OVERFLOWS = range(10)


class Ported:
    """The library for a platform, converted, and the program that calls it."""

    def __init__(self, arch: str, folder: Path) -> None:
        """Build both for ``arch``."""
        musl = TARGETS[f"linux-{arch}-musl"]
        try:
            root = sysroot.sysroot_for(musl.name)
        except (PrerequisiteError, FetchError) as error:
            pytest.skip(f"no sysroot of musl: {error.what}")
        self.emulator = arm64_emulator() if arch == "arm64" else []
        self.folder = folder
        self.library = folder / "fortified-musl.so"
        self.conversion = convert_file(go_library(arch, folder / "fortified.so"), self.library)
        flags = ["-O1", "-g0", "-Wall", "-Wextra", "-Werror", "-dynamic"]
        source = ROOT / "tests" / "native" / "fortified_calls.c"
        compiling.freestanding(source, musl.zig_triple, flags, folder / "calls")
        self.program = root.program(folder / "calls")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the program. GOTRACEBACK keeps Go's report of a signal short."""
        return subprocess.run(
            [*self.emulator, self.program, self.library, *words],
            cwd=self.folder,
            env={"GOTRACEBACK": "none", "PATH": os.defpath},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )


def go_library(arch: str, output: Path) -> Path:
    """Build the library for a glibc that has all of the functions."""
    target = TARGETS[f"linux-{arch}"]
    environment = compiling.go_environment(
        target, toolchain.go(), toolchain.zig(), compiling.GoFlags()
    )
    machine = target.zig_triple.partition("-")[0]
    compiler = f"{toolchain.zig().program} cc -target {machine}-linux-gnu.{NEWEST_GLIBC}"
    subprocess.run(
        [toolchain.go().program, "build", "-buildmode=c-shared", "-o", output, "."],
        cwd=ROOT / "tests" / "native" / "fortified",
        env={**os.environ, **environment, "CC": compiler, "CGO_CFLAGS": "-O1 -fno-builtin"},
        check=True,
        timeout=LIMIT_S,
    )
    return output


@pytest.fixture(scope="module", params=["x64", "arm64"])
def ported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ported:
    return Ported(request.param, tmp_path_factory.mktemp(request.param))


def test_fortified_library_calls_every_adapter(ported: Ported) -> None:
    """The library calls all functions that adapters exist for, so none is left untested."""
    source = (NATIVE_SOURCES / "musl_fortify" / "fortify.c").read_text()
    listed = set(re.findall(r"DO\((\w+),", source))

    assert set(ported.conversion.adapted_functions) == listed
    completed = ported.run()
    assert (completed.stderr.strip(), completed.returncode) == ("pass", 0)


def test_fortified_functions_still_stop_an_overflow(ported: Ported) -> None:
    for function in OVERFLOWS if not ported.emulator else OVERFLOWS[:3]:
        completed = ported.run(str(function))
        assert "*** buffer overflow detected ***: terminated" in completed.stderr, function
        assert "nothing stopped it" not in completed.stderr, function
        assert completed.returncode in {-signal.SIGABRT, 2}, function
