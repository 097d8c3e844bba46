"""The problem that `handle-scopes` solves, in stock Bun: no scope can be opened for a value."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from commands import bun

from gobun.build.compile import c_shared
from gobun.build.fixtures import node_api_headers
from gobun.targets import host_target

SOURCE = Path(__file__).parent.parent / "native" / "scopes" / "finalizer.c"
SCRIPT = """\
const { make, count } = require(process.argv[2]);
for (let round = 0; round < 10; round++) {
  for (let i = 0; i < 2000; i++) make();
  Bun.gc(true);
}
console.log(count() > 0 ? "finalized" : "never finalized");
"""


@pytest.fixture(scope="module")
def addon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("scopes") / "finalizer.node"
    names = ["napi_register_module_v1", "node_api_module_get_api_version_v1"]
    c_shared(
        [SOURCE],
        target=host_target(),
        output=output,
        exports=names,
        includes=[node_api_headers()],
    )
    return output


@pytest.mark.parametrize(("version", "crashes"), [("1.3.14", True), ("1.4.5", False)])
def test_finalizer_creating_value_crashes_only_affected_versions(
    version: str, crashes: bool, addon: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.cjs"
    script.write_text(SCRIPT)
    completed = subprocess.run(
        [bun(version).program, script, addon],
        env={"HOME": str(tmp_path), "BUN_ENABLE_CRASH_REPORTING": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if crashes:
        assert "Segmentation fault at address 0x4" in completed.stderr
        assert completed.returncode < 0
    else:
        assert (completed.returncode, completed.stdout) == (0, "finalized\n")
