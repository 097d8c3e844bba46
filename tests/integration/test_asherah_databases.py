"""Asherah with real databases: every runtime decrypts the records of every other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import runtime
from databases import SERVERS

from gobun import build, paths
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gobun.runtimes import Runtime

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run"),
]
PUBLISHED = "bun by the published library"
WORK_SCRIPT = """
const { readFileSync } = require("node:fs");
const { addon, library, surface, connection, given } = JSON.parse(readFileSync(process.argv[2]));
const asherah = library ? require(surface).openAsherah(library) : require(addon);
const text = (partition, i) => `${partition} größe 🎉 ${i}`;
(async () => {
  const config = { ServiceName: "s", ProductID: "p", Metastore: "rdbms", KMS: "static" };
  asherah.setup({ ...config, ConnectionString: connection, EnableSessionCaching: true });
  const records = [];
  const partitions = Array.from({ length: 20 }, (_, i) => `${given.by} ${i}`);
  for (const partition of partitions.slice(0, 10)) {
    records.push([partition, asherah.encrypt_string(partition, text(partition, 1))]);
  }
  const encrypt = asherah.encrypt_async ?? asherah.encrypt;
  const later = partitions.flatMap((partition) => Array.from({ length: 5 }, async () => [
    partition, await encrypt(partition, Buffer.from(text(partition, 1))),
  ]));
  records.push(...(await Promise.all(later)));
  const decrypt = asherah.decrypt_async ?? asherah.decrypt;
  const came = await Promise.all(given.records.map(async ([partition, record]) => {
    return (await decrypt(partition, record)).toString() === text(partition, 1);
  }));
  asherah.shutdown();
  console.log(JSON.stringify({ records, right: came.filter((is) => is).length }));
  process.exit(0);
})();
"""
REFUSED_SCRIPT = """
const asherah = require(process.argv[2]);
try {
  asherah.setup({ ServiceName: "s", ProductID: "p", Metastore: "rdbms", KMS: "static",
    ConnectionString: process.argv[3] });
} catch (error) {
  console.log(error.code, error.message);
}
process.exit(0);
"""


@pytest.fixture(scope="module")
def asherah() -> build.Fixture:
    return build.build_fixture(build.ASHERAH, host_target())


@pytest.fixture(scope="module", params=SERVERS)
def connection(request: pytest.FixtureRequest) -> Iterator[str]:
    with SERVERS[request.param]() as server:
        yield server


def run(using: Runtime, script: str, folder: Path, values: Mapping[str, object]) -> str:
    """Run a script on a runtime, with a JSON file as its input."""
    path, argument = folder / "script.cjs", folder / "given.json"
    path.write_text(script)
    argument.write_text(json.dumps(values))
    completed = subprocess.run(
        using.command(path, str(argument)),
        cwd=folder,
        env={"HOME": str(folder), "PATH": os.defpath, "NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert completed.returncode == 0, (
        f"{using.name}: {completed.stdout}\n{completed.stderr[-2000:]}"
    )
    return completed.stdout


def test_asherah_implementations_decrypt_each_others_data(
    asherah: build.Fixture, connection: str, tmp_path: Path
) -> None:
    values: dict[str, object] = {
        "addon": str(asherah.addon),
        "surface": str(paths.SCENARIOS / "asherah" / "ffi.cjs"),
        "connection": connection,
    }
    records: list[list[str]] = []
    # The published library supports MySQL only.
    published = (PUBLISHED,) if "tcp(" in connection else ()
    names = ("bun", "bun by FFI", *published, "node", "deno", "bun")
    for name in names:
        more = {"library": str(asherah.library)} if name.endswith("FFI") else {}
        if name == PUBLISHED:
            more = {"addon": str(build.build_fixture(build.PUBLISHED, host_target()).addon)}
        own_values = {**values, **more, "given": {"by": name, "records": records}}
        answer = json.loads(run(runtime(name.split()[0]), WORK_SCRIPT, tmp_path, own_values))
        assert answer["right"] == len(records), name
        records = [*records, *answer["records"]]
    assert len(records) == len(names) * 110


def test_asherah_missing_database_is_reported(asherah: build.Fixture, tmp_path: Path) -> None:
    node = runtime("node")
    script = tmp_path / "refused.cjs"
    script.write_text(REFUSED_SCRIPT)
    for connection in ("u@tcp(127.0.0.1:1)/d", "postgres://u@127.0.0.1:1/d?sslmode=disable"):
        completed = subprocess.run(
            [node.program, script, asherah.addon, connection],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        expected = "ERR_ASHERAH_BAD_CONFIG setup: Metastore rdbms: cannot connect: dial tcp"
        assert completed.stdout.startswith(expected)
