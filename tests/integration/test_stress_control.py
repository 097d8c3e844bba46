"""Every stress passes on the module without Go. So a failure on another module comes from that
module."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
import pytest
from commands import bun, runtime
from stresses import run_stress, stresses

from gobun import build
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run"),
]

MISSING_PARTS = {
    ("ffi", "callback"): "skip: this module offers nothing of Node-API to the stress",
    ("ffi", "handles"): "skip: this module offers nothing of Node-API to the stress",
    ("node", "external-signal"): "skip: this runtime suspends no threads by a signal",
    ("deno", "external-signal"): "skip: this runtime suspends no threads by a signal",
    ("deno", "vm-timeout"): "skip: the vm of Deno has no time limits",
    ("node", "profiled"): "skip: this runtime has no profiler that a variable switches on",
    ("deno", "profiled"): "skip: this runtime has no profiler that a variable switches on",
    **{(name, "notify"): "skip: this module takes no signals" for name in ("bun", "node", "deno")},
}
"""Functions that a load, a runtime or the control reports as missing."""
ASHERAHS = ("asherah", "asherah-memory", "cobhan")


@pytest.fixture(scope="module")
def warmup() -> str:
    return str(build.build_warmup([host_target()])[0].library)


@pytest.mark.parametrize("stress", [each for each in stresses() if each not in ASHERAHS])
@pytest.mark.parametrize("load", ["ffi", "napi-async", "worker"])
@pytest.mark.parametrize("name", ["bun", "node", "deno"])
def test_stress_without_go_passes(
    warmup: str, tmp_path: Path, *, name: str, load: str, stress: str
) -> None:
    report = run_stress(runtime(name), stress, tmp_path, load=load, second=warmup)
    expected = MISSING_PARTS.get((load, stress)) or MISSING_PARTS.get((name, stress)) or "pass"
    assert report.outcome == expected


@pytest.mark.parametrize("stress", ASHERAHS)
@pytest.mark.parametrize("load", ["ffi", "napi-sync"])
def test_stress_for_asherah_skips_other_modules(tmp_path: Path, *, load: str, stress: str) -> None:
    outcome = run_stress(bun(), stress, tmp_path, load=load).outcome
    expected = {
        "ffi": "skip: this module has no IsSetUp()",
        "napi-sync": "skip: this module is not",
    }
    expected |= {"napi-sync": "skip: an addon makes its buffers"} if stress == "cobhan" else {}
    assert outcome.startswith(expected[load])


def test_stress_of_debug_bun_calls_the_addon(tmp_path: Path) -> None:
    debug = msgspec.structs.replace(bun(), dlcall=build.build_dlcall(host_target()))
    assert run_stress(debug, "signals", tmp_path).outcome == "pass"
    assert (
        "skip: the first call of bun:ffi" in run_stress(debug, "idle", tmp_path, load="ffi").outcome
    )
    broken = msgspec.structs.replace(debug, dlcall=tmp_path / "no.node")
    assert "no.node" in run_stress(broken, "signals", tmp_path).outcome


@pytest.mark.parametrize("load", ["ffi", "napi-sync"])
@pytest.mark.parametrize("version", ["1.0.36", "1.1.45"])
def test_stress_on_old_releases_loads_new_builds(version: str, load: str, tmp_path: Path) -> None:
    for stress in ("idle", "deep-stack", "threads"):
        runtime = bun(version, ffi=load == "ffi")
        assert run_stress(runtime, stress, tmp_path, load=load).outcome == "pass"


@pytest.mark.parametrize("stress", ["long", "soak"])
def test_stress_soak_of_one_second_passes(tmp_path: Path, stress: str) -> None:
    assert run_stress(bun(), stress, tmp_path, seconds=1).outcome == "pass"
