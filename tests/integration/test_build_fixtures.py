"""Every module under test, loaded and called by real runtimes in both of its forms."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from commands import bun, run_script

from gobun import audit, build, runtimes
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run"),
]
NODE = "node"
NEWEST = "newest"
RUNTIMES = (NODE, "1.2.1", NEWEST)
ASHERAHS = {build.ASHERAH, build.PUBLISHED}
LIBASHERAH = {
    *{"SetEnv", "SetupJson", "Shutdown", "Encrypt", "Decrypt", "EncryptToJson"},
    *{"DecryptFromJson", "EstimateBuffer", "IsSetUp", "LastReason"},
}
WITHOUT_GO = {build.CONTROL, build.PUBLISHED}
"""The compiled parts of these contain no Go."""

ADDON = """
const addon = require(process.argv[2]);
(async () => {
  const names = ["runSync", "runAsync", "setupSync", "setupAsync"];
  const said = [];
  for (const name of names) said.push(await addon[name]());
  const several = await Promise.all(names.map((name) => addon[name]()));
  const promises = ["runAsync", "setupAsync"].map((name) => addon[name]() instanceof Promise);
  console.log(Object.keys(addon).sort().join(), ...said, ...several, ...promises);
  process.exit(0);
})();
"""
BUN_CALL = """
const { dlopen } = require("bun:ffi");
const { symbols } = dlopen(process.argv[2], { Run: { args: [], returns: "i32" } });
console.log(symbols.Run(), symbols.Run());
process.exit(0);
"""
NODE_CALL = """
const [addon, library] = process.argv.slice(2);
const { call } = require(addon);
console.log(call(library, "Run"), call(library, "Run"));
"""
COBHAN = """
const { dlopen, ptr } = require("bun:ffi");
const { symbols } = dlopen(process.argv[2], { SetupJson: { args: ["ptr"], returns: "i32" } });
const HEADER = 8;
function cobhan(text, length) {
  const data = new TextEncoder().encode(text);
  const buffer = new Uint8Array(HEADER + data.length + 8).fill(0x7d);
  new DataView(buffer.buffer).setInt32(0, length ?? data.length, true);
  buffer.set(data, HEADER);
  return buffer;
}
function setup(text, length) {
  return symbols.SetupJson(ptr(cobhan(text, length)));
}
const good = '{"ServiceName":"größe","ProductID":"p","Metastore":"memory","KMS":"static"}';
console.log(
  setup(good),
  symbols.SetupJson(null),
  setup(good, -1),
  setup(good, -(2 ** 31)),
  setup(good, 2 ** 20 + 1),
  setup("", 0),
  setup("{"),
  setup(good + good),
  setup(good, 10),
  setup("[1]"),
  setup("{}"),
  setup(good),
);
process.exit(0);
"""


@pytest.fixture(scope="module", params=build.FIXTURES)
def fixture(request: pytest.FixtureRequest) -> build.Fixture:
    return build.build_fixture(request.param, host_target())


@pytest.fixture(scope="module")
def runtimes_by_name() -> dict[str, runtimes.Bun | runtimes.Node]:
    return {NODE: runtimes.provide_node(host_target()), "1.2.1": bun("1.2.1"), NEWEST: bun()}


def bun_with_ffi(name: str) -> runtimes.Bun:
    """Return one of the runtimes, or skip the test on musl if its ``bun:ffi`` does not work."""
    return bun("" if name == NEWEST else name, ffi=True)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_fixture_addon_works_in_each_runtime(
    fixture: build.Fixture,
    runtimes_by_name: dict[str, runtimes.Bun | runtimes.Node],
    runtime: str,
    tmp_path: Path,
) -> None:
    output = run_script(
        [runtimes_by_name[runtime].program], ADDON, tmp_path, str(fixture.addon)
    ).split()
    names = {"Handle", "callAsync", "callBack", "callSync", "manyLater"}
    names |= {"runAsync", "runSync", "setupAsync", "setupSync"}
    results = set(output[0].split(","))
    assert results > names if fixture.name in ASHERAHS else results == names
    assert output[1:] == [*["0"] * 8, "true", "true"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_fixture_library_works_in_each_runtime(
    fixture: build.Fixture,
    runtimes_by_name: dict[str, runtimes.Bun | runtimes.Node],
    runtime: str,
    tmp_path: Path,
) -> None:
    chosen = runtimes_by_name[runtime]
    if isinstance(chosen, runtimes.Node):
        words = [str(chosen.dlcall), str(fixture.library)]
        output = run_script([chosen.program], NODE_CALL, tmp_path, *words)
    else:
        program = bun_with_ffi(runtime).program
        output = run_script([program], BUN_CALL, tmp_path, str(fixture.library))
    assert output == "0 0\n"


@pytest.mark.parametrize("runtime", RUNTIMES[1:])
def test_fixture_cobhan_calls_return_documented_codes(runtime: str, tmp_path: Path) -> None:
    library = build.build_fixture("setup-full", host_target()).library
    program = bun_with_ffi(runtime).program
    output = run_script([program], COBHAN, tmp_path, str(library)).split()
    assert " ".join(output) == "0 -1 -2 -2 -2 -5 -5 -5 -5 -5 -100 0"


def test_fixture_files_export_their_declared_symbols(fixture: build.Fixture) -> None:
    library, addon = audit.inspect(fixture.library), audit.inspect(fixture.addon)
    more = {
        build.CONTROL: {"Crash", "Disposition", "WriteToClosedSocket"},
        "setup-full": {"SetupJson"},
        build.ASHERAH: LIBASHERAH | {"AllowTempFileBuffers"},
        build.PUBLISHED: LIBASHERAH,
    }
    assert set(library.exports) == set(build.EXPORTS) | more.get(fixture.name, set())
    assert set(addon.exports) == {
        "napi_register_module_v1",
        "node_api_module_get_api_version_v1",
    }
    for built_file in (library, addon):
        assert built_file.nodelete
        assert (built_file.libc, built_file.relro) == (host_target().libc, "full")
        assert (built_file.go is not None) is (fixture.name not in WITHOUT_GO)
        rules = audit.Rules(max_glibc="2.17", no_build_paths=True, no_executable_stack=True)
        assert audit.check(built_file, rules) == []
    expected = "control.node" if fixture.name == build.CONTROL else "go_"
    assert fixture.addon.name.startswith(expected)
    assert fixture.addon.name.endswith(".node")


def test_fixture_addon_has_its_public_name() -> None:
    assert build.build_fixture("setup-full", host_target()).addon.name == "go_setup_full.node"
