"""The module asherah-rust: the engine of npm's asherah 4.x, which contains no Go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from commands import bun, run_script
from stresses import run_stress

from gobun import audit, build, paths
from gobun.errors import PrerequisiteError
from gobun.targets import TARGETS, host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.network,
    pytest.mark.skipif(
        host_target().name != "linux-x64",
        reason="the engine is pinned for linux-x64 alone",
    ),
]
CALLS = """
const [glue, file] = process.argv.slice(2);
const addon = require(glue).open(file);
(async () => {
  const said = [addon.runSync(), await addon.runAsync(), await addon.runAsync()];
  addon.setup({ ServiceName: "s", ProductID: "p", Metastore: "memory", KMS: "static" });
  const data = Buffer.from("größe");
  const record = addon.encrypt("p", data);
  const later = await addon.encrypt_async("p", data);
  said.push(String(addon.decrypt("p", later)), String(await addon.decrypt_async("p", record)));
  addon.shutdown();
  said.push(addon.get_setup_status());
  console.log(JSON.stringify(said));
  process.exit(0);
})();
"""


@pytest.fixture(scope="module")
def engine() -> build.Fixture:
    return build.provide_module(build.RUST, host_target())


def test_rust_engine_has_no_go_and_takes_every_call(engine: build.Fixture, tmp_path: Path) -> None:
    assert audit.inspect(engine.addon).go is None
    glue = str(paths.SCENARIOS / "asherah" / f"{engine.glue}.cjs")
    output = run_script([bun("1.2.19").program], CALLS, tmp_path, glue, str(engine.addon))
    assert json.loads(output) == [0, 0, 0, "größe", "größe", False]


@pytest.mark.parametrize(
    ("load", "stress", "outcome"),
    [
        ("napi-sync", "idle", "pass"),  # hangs with Asherah in Go
        ("worker", "profile", "pass"),
        ("napi-async", "reload", "pass"),
        ("napi-sync", "asherah-memory", "pass"),
        ("ffi", "idle", "skip"),
        ("napi-sync", "asherah", "skip"),
        ("napi-sync", "threads", "skip"),
    ],
)
def test_rust_engine_in_bun_1_2_19(
    engine: build.Fixture, tmp_path: Path, load: str, stress: str, outcome: str
) -> None:
    using = bun("1.2.19")
    settings: dict[str, str | float] = {**using.settings(engine), "operations": 10_000}
    settings["glue"] = engine.glue
    assert run_stress(using, stress, tmp_path, load=load, **settings).outcome.startswith(outcome)


def test_rust_engine_for_another_platform_is_rejected() -> None:
    for name, target in TARGETS.items():
        if name != "linux-x64":
            with pytest.raises(PrerequisiteError, match=f"not for {name}"):
                build.rust_asherah(target)
