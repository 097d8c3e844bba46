"""Asherah's library and addon, called as applications call them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import arm64_bun, bun, run_script, runtime, type_check
from stresses import run_stress

from gobun import build, paths
from gobun.targets import host_target, target_named

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run"),
]
CALLS = Path(__file__).parent / "cobhan_calls.py"
DECLARATIONS = paths.NATIVE_SOURCES / "asherah" / "asherah.d.ts"
EXPECTED_EXPORTS = {
    "encrypt before setup": -100,
    "its reason": "Asherah is not set up: call setup first",
    "no configuration": -1,
    "an empty configuration": -5,
    "half a configuration": -5,
    "a length that ends within": -5,
    "a bad configuration": -105,
    "set up then": 0,
    "setup": [0, -101],
    "null pointers": [-1] * 7,
    "room that is exact, one short, none": [0, -3, -3],
    "what came": "twelve bytes",
    "lengths after": [12, 11, 0],
    "nothing else is written": [True, True, True],
    "room below zero": -3,
    "its reason, too": "a buffer for the result is too small: 12 bytes do not fit 0",
    "misaligned by 0 to 7": [True] * 8,
    "empty data": 0,
    "32 MB": [0, 32 << 20],
    "a partition that is no UTF-8": -7,
    "an empty partition": -103,
    "that reason": "partition id cannot be empty",
    "estimates are enough": [True],
    "estimates beyond an int32": [-2] * 4,
    "a file, not allowed": -8,
    "a file": [0, "what a file holds"],
    "a file that is not there": -8,
    "a name beyond all": [-2, -2],
    "a result in a file": 0,
    "its length is below zero": True,
    "the file": [True, True],
    "no room for a name": [-3, 3],
    "files left": [],
    "parts": [0, 0, "in parts", "_IK_p_s_p"],
    "results while it is shut down and set up": [],
    "the environment": [0, -5, -5, -105],
}

ERRORS = """
const asherah = require(process.argv[2]);
const config = {
  ServiceName: "s", ProductID: "p", Metastore: "memory", KMS: "static", RegionMap: null,
  ExpireAfter: null,
};
const data = Buffer.from("data");
const heard = [];
async function told(call) {
  try {
    return `came: ${await call()}`;
  } catch (error) {
    const kind = error instanceof TypeError ? "TypeError" : error.code ?? error.name;
    return `${kind}: ${error.message}`;
  }
}
(async () => {
  asherah.set_log_hook((level, message) => heard.push(`${level} ${message}`));
  const said = [
    await told(() => asherah.encrypt("p", data)),
    await told(() => asherah.encrypt_async("p", data)),
    await told(() => asherah.setup("{")),
    await told(() => asherah.setup(5)),
    await told(() => asherah.setup()),
    await told(() => asherah.setup_async(JSON.stringify(config))),
    await told(() => asherah.get_setup_status()),
    await told(() => asherah.setup(config)),
    await told(() => asherah.encrypt("p", 5)),
    await told(() => asherah.encrypt_async(5, data)),
    await told(() => asherah.encrypt("p", new ArrayBuffer(4))),
    await told(() => asherah.decrypt_string("p", "{}")),
    await told(() => asherah.setenv("[]")),
    await told(() => asherah.setenv('{"GOBUN_TEST":"x"}')),
    await told(() => asherah.set_max_stack_alloc_item_size(-1)),
    await told(() => asherah.set_safety_padding_overhead(NaN)),
    await told(() => asherah.set_log_hook(5)),
  ];
  for (const limit of [0, 100, 65536]) {
    asherah.set_max_stack_alloc_item_size(limit);
    asherah.set_safety_padding_overhead(limit);
    const record = asherah.encrypt("p", data.subarray(1, 3));
    said.push(await told(() => asherah.decrypt_string_async("p", record)));
    said.push(await told(() => asherah.decrypt("p", record)));
  }
  asherah.set_log_hook(() => { throw new Error("a hook that throws"); });
  said.push(await told(() => asherah.decrypt("q", "")));
  asherah.set_log_hook(null);
  said.push(await told(() => asherah.shutdown_async()));
  said.push(await told(() => asherah.decrypt("q", "")));
  console.log(JSON.stringify({ said, heard }));
  process.exit(0);
})();
"""
NOT_SET_UP = "Asherah is not set up: call setup first"
EXPECTED_LINES = [
    f"ERR_ASHERAH_NOT_INITIALIZED: encrypt: {NOT_SET_UP}",
    f"ERR_ASHERAH_NOT_INITIALIZED: encrypt_async: {NOT_SET_UP}",
    "ERR_COBHAN_JSON_INVALID: setup: unexpected end of JSON input",
    "TypeError: the configuration, if it is no object, has to be a string",
    "TypeError: the configuration, if it is no object, has to be a string",
    "came: undefined",
    "came: true",
    "ERR_ASHERAH_ALREADY_INITIALIZED: setup: Asherah is set up already: call shutdown first",
    "TypeError: the data has to be a string, a Buffer or a typed array",
    "TypeError: the partition has to be a string",
    "TypeError: the data has to be a string, a Buffer or a typed array",
    "ERR_ASHERAH_DECRYPT_FAILED: decrypt_string: the record has no key",
    "ERR_COBHAN_JSON_INVALID: setenv: json: cannot unmarshal array into Go value of type "
    "map[string]string",
    "came: undefined",
    "came: undefined",
    "came: undefined",
    "TypeError: set_log_hook takes a function, or null",
    *["came: at"] * 6,
    "ERR_COBHAN_JSON_INVALID: decrypt: unexpected end of JSON input",
    "came: undefined",
    f"ERR_ASHERAH_NOT_INITIALIZED: decrypt: {NOT_SET_UP}",
]
TYPED = """
import * as asherah from "./asherah.d.ts";
const config: asherah.AsherahConfig = {
  ServiceName: "s", ProductID: "p", Metastore: "memory", KMS: null, ExpireAfter: null,
};
asherah.setup(config);
const record: string = asherah.encrypt("p", new Uint8Array(1));
const later: Promise<string> = asherah.decrypt_string_async("p", record);
asherah.encrypt("p", "text");
asherah.decrypt("p", new Uint16Array(1)).toString("utf8");
asherah.setup({ ...config, Metastore: "paper", KMS: "another", EnableCanaries: true });
const hook: asherah.LogHookCallback = (level, message) => console.log(level, message);
asherah.set_log_hook(hook);
// @ts-expect-error: data is not a number
asherah.encrypt("p", 5);
// @ts-expect-error: ProductID is missing
asherah.setup({ ServiceName: "s", Metastore: "memory" });
// @ts-expect-error: there is no such setting
asherah.setup({ ...config, Metastor: "memory" });
export { later };
"""

ARM64 = """
const [folder, file] = process.argv.slice(-2);
const { CONFIG } = require(`${folder}/surface.cjs`);
const { openAsherah } = require(`${folder}/ffi.cjs`);
const asherah = file.endsWith(".node") ? require(file) : openAsherah(file);
asherah.setup(CONFIG);
console.log(process.arch, asherah.decrypt_string("p", asherah.encrypt_string("p", "größe")));
process.exit(0);
"""


@pytest.fixture(scope="module")
def asherah() -> build.Fixture:
    return build.build_fixture(build.ASHERAH, host_target())


def test_cobhan_buffers_round_trip(asherah: build.Fixture, tmp_path: Path) -> None:
    words = [sys.executable, str(CALLS), str(asherah.library), str(tmp_path)]
    completed = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert completed.returncode == 0, completed.stderr[-2000:]
    assert json.loads(completed.stdout) == EXPECTED_EXPORTS


@pytest.mark.parametrize("name", ["bun", "node"])
def test_asherah_errors_give_their_reason(
    asherah: build.Fixture,
    name: str,
    tmp_path: Path,
) -> None:
    errors = json.loads(run_script([runtime(name).program], ERRORS, tmp_path, str(asherah.addon)))
    assert errors["said"] == EXPECTED_LINES
    expected = [line.partition(": ")[2] for line in EXPECTED_LINES if line.startswith("ERR_")]
    assert errors["heard"] == [f"3 {line}" for line in expected[: len(errors["heard"])]]
    # A hook that throws gets no message, and without a hook there is none.
    assert len(errors["heard"]) == len(expected) - 2


def test_asherah_exports_match_its_declarations(asherah: build.Fixture, tmp_path: Path) -> None:
    declared = re.findall(r"^export function (\w+)", DECLARATIONS.read_text(), re.MULTILINE)
    script = "console.log(JSON.stringify(Object.keys(require(process.argv[2]))))"
    names = set(
        json.loads(run_script([runtime("node").program], script, tmp_path, str(asherah.addon)))
    )
    common = {"Handle", "callAsync", "callBack", "callSync", "manyLater"}
    common |= {"runAsync", "runSync", "setupAsync", "setupSync"}
    assert names == set(declared) | common


def test_asherah_type_declarations_match_the_module(tmp_path: Path) -> None:
    (tmp_path / "asherah.d.ts").write_text(DECLARATIONS.read_text())
    (tmp_path / "use.ts").write_text(TYPED)
    type_check(tmp_path / "use.ts")


@pytest.mark.parametrize(
    ("name", "load", "stress"),
    [
        ("bun", "ffi", "asherah"),
        ("bun", "worker", "asherah"),
        ("node", "napi-async", "asherah"),
        ("deno", "ffi", "asherah"),
        ("bun", "napi-sync", "asherah-memory"),
        ("deno", "ffi", "asherah-memory"),
    ],
)
def test_asherah_application_encrypts_and_decrypts(
    asherah: build.Fixture,
    tmp_path: Path,
    *,
    name: str,
    load: str,
    stress: str,
) -> None:
    settings = runtime(name).settings(asherah)
    report = run_stress(runtime(name), stress, tmp_path, load=load, operations=10_000, **settings)
    assert report.outcome == "pass"


def run_timing(implementation: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run the script that times an implementation of Asherah, for 20 pairs."""
    request = json.dumps({"way": implementation, "pairs": 20, **settings})
    return subprocess.run(
        bun().command(paths.SCENARIOS / "asherah" / "timed.cjs", request),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("implementation", ["wasm", "process"])
def test_asherah_alternatives_encrypt_and_decrypt(implementation: str, tmp_path: Path) -> None:
    built = build.build_alternatives(host_target())
    completed = run_timing(
        implementation,
        server=str(built.server),
        socket=str(tmp_path / "socket"),
        wasm=str(built.wasm),
        wasmExec=str(built.wasm_exec),
    )
    assert completed.returncode == 0, completed.stderr
    output = json.loads(completed.stdout)
    assert set(output) == {"perSecond", "p99", "cpu"}
    assert all(value > 0 for value in output.values())


def test_asherah_process_ending_early_fails_with_its_code(tmp_path: Path) -> None:
    completed = run_timing("process", server="/bin/false", socket=str(tmp_path / "socket"))
    assert completed.returncode == 1
    assert "/bin/false ended with 1" in completed.stderr


def test_asherah_on_arm64_runs_under_qemu(tmp_path: Path) -> None:
    command = arm64_bun()
    fixture = build.build_fixture(build.ASHERAH, target_named("linux-arm64"))
    for file in (fixture.library, fixture.addon):
        words = [str(paths.SCENARIOS / "asherah"), str(file)]
        assert run_script(command, ARM64, tmp_path, *words) == "arm64 größe\n"
