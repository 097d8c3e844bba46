"""The guard on musl without a JavaScript engine: its promises, and threads that suspend in Go.

Current Bun and Node need musl 1.2.5. The guard's own programs also run with older releases, which
``GOBUN_OLD_MUSL=FOLDER`` fetches into that folder from older releases of Debian.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from commands import runs_musl

from benchmarks.torture.guard_stress import GuardStress, build_guard_stress
from gobun import build
from gobun.debian import Apt, unpack
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from gobun.sysroot import Sysroot

pytestmark = runs_musl
TARGET = TARGETS["linux-x64-musl"]
LIMIT_S = 120
SUSPENDS = 1000
OLD_MUSL = os.environ.get("GOBUN_OLD_MUSL", "")
OLD_RELEASES = {"1.2.2": "bullseye", "1.2.3": "bookworm"}


class StressReport(msgspec.Struct):
    """The fields of ``guard_stress`` that these tests check."""

    suspends: int
    stuck: str
    faults: int


@pytest.fixture(scope="module", params=["1.2.5", *(OLD_RELEASES if OLD_MUSL else ())])
def loader(request: pytest.FixtureRequest, musl: Sysroot) -> Path:
    """Return musl's loader, which runs a program that it gets as an argument."""
    suite = OLD_RELEASES.get(request.param)
    if suite is None:
        return musl.loader
    folder = Path(OLD_MUSL).absolute() / suite
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as staged:
            apt = Apt("amd64", suite, Path(staged), hint="unset GOBUN_OLD_MUSL")
            unpack(apt.download("musl"), folder)
    [libc] = folder.rglob("libc.so")
    return libc


@pytest.fixture(scope="module")
def guard_stress() -> GuardStress:
    return build_guard_stress(TARGET)


def run(*command: str | Path, preloaded: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **({"LD_PRELOAD": str(preloaded)} if preloaded else {})},
    )


@pytest.mark.parametrize("mode", ["none", "before", "after"])
def test_guard_on_musl_lets_threads_suspend(
    loader: Path, guard_stress: GuardStress, mode: str
) -> None:
    guard = [build.build_guard([TARGET])[0].library] if mode != "none" else []
    program, library = guard_stress.guard_stress, guard_stress.library
    done = run(loader, program, mode, str(SUSPENDS), library, *guard)
    report = msgspec.json.decode(done.stdout, type=StressReport)
    assert report == (
        StressReport(0, "main", 0) if mode == "none" else StressReport(SUSPENDS, "", 0)
    )


def test_guard_preloaded_on_musl_lets_threads_suspend(
    loader: Path, guard_stress: GuardStress
) -> None:
    preloaded = build.build_preload([TARGET])[0].library
    program, library = guard_stress.guard_stress, guard_stress.library
    done = run(loader, program, "none", str(SUSPENDS), library, preloaded=preloaded)
    report = msgspec.json.decode(done.stdout, type=StressReport)
    assert report == StressReport(SUSPENDS, "", 0)


def test_guard_on_musl_keeps_its_promises(
    loader: Path, guard_stress: GuardStress, tmp_path: Path
) -> None:
    guard = build.build_guard([TARGET])[0].library
    another = shutil.copy(guard, tmp_path / "another.so")
    done = run(loader, guard_stress.semantics, guard, another, guard_stress.rival)
    assert [line for line in done.stdout.splitlines() if not line.startswith("ok ")] == []
    assert done.stdout.endswith("ok during exit\n")
    assert done.returncode == 0
