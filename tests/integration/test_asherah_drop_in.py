"""Asherah's addon in an application that used asherah-node 3.x before."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from asherah_scripts import said_by
from commands import bun, invoke, run_script, runtime, succeed, type_check
from machine import OLD_BUN
from test_asherah import DECLARATIONS

from gobun import audit, build
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run"),
]

PUBLISHED = {
    *("setup", "setup_async", "shutdown", "shutdown_async", "encrypt", "encrypt_async"),
    *("encrypt_string", "encrypt_string_async", "decrypt", "decrypt_async", "decrypt_string"),
    *("decrypt_string_async", "set_max_stack_alloc_item_size", "set_safety_padding_overhead"),
    *("get_setup_status", "set_log_hook", "setenv"),
}
"""What asherah-node exports, and all that it does."""

VIEWS = """
asherah.setup(config);
const memory = new ArrayBuffer(24);
new Uint8Array(memory).set(Array.from({ length: 24 }, (_, i) => i + 1));
const kinds = [
  Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
  Float32Array, Float64Array, BigInt64Array, BigUint64Array, DataView,
];
const all = Buffer.from(memory);
(async () => {
  const wrong = [];
  for (const Kind of kinds) {
    for (const view of [new Kind(memory), new Kind(memory, 8), new Kind(memory, 8, 1)]) {
      const bytes = all.subarray(view.byteOffset, view.byteOffset + view.byteLength);
      const record = asherah.encrypt("p", view);
      const later = await asherah.encrypt_async("p", view);
      if (!asherah.decrypt("p", record).equals(bytes)) wrong.push(Kind.name);
      if (!asherah.decrypt("p", later).equals(bytes)) wrong.push(`${Kind.name} later`);
      const padded = Buffer.from(record.padEnd(record.length + 8 - (record.length % 8)));
      const copy = new Uint8Array(padded).buffer;
      const given = Kind === DataView ? new DataView(copy) : new Kind(copy);
      if (!asherah.decrypt("p", given).equals(bytes)) wrong.push(`${Kind.name} of a record`);
    }
  }
  const text = "größe 🎉";
  const said = [
    asherah.decrypt("p", asherah.encrypt("p", text)).toString(),
    asherah.decrypt_string("p", asherah.encrypt_string("p", Buffer.from(text))),
    asherah.decrypt_string("p", Buffer.from(asherah.encrypt_string("p", text))),
    await asherah.decrypt_string_async("p", Buffer.from(await asherah.encrypt_async("p", text))),
    (await asherah.decrypt_async("p", Buffer.from(asherah.encrypt("p", text)))).toString(),
  ];
  const refused = [];
  for (const data of [undefined, null, 5, {}, [], memory, () => 0]) {
    refused.push(await refusal(() => asherah.encrypt_async("p", data)));
    refused.push(await refusal(() => asherah.decrypt_string_async("p", data)));
  }
  done({ wrong, texts: said.map((each) => each === text), refused: [...new Set(refused)] });
})();
"""
STATES_SCRIPT = """
(async () => {
  const operations = {
    setup: [config], encrypt: ["p", "d"], encrypt_string: ["p", "d"], decrypt: ["p", "{}"],
    decrypt_string: ["p", "{}"], shutdown: [],
  };
  const every = async (names, given = operations) => {
    const said = {};
    for (const name of names) {
      said[name] = await refusal(() => asherah[name](...given[name]));
      const later = `${name}_async`;
      said[later] = await refusal(() => asherah[later](...given[name]));
    }
    return said;
  };
  const working = Object.keys(operations).filter((name) => name !== "setup");
  const before = await every(working);
  const configs = {};
  for (const [what, given] of Object.entries({
    nothing: undefined, number: 5, "no names": {},
    "no product": { ...config, ProductID: undefined },
    "a name that is none": { ...config, ServiceName: 5 },
    "an unknown metastore": { ...config, Metastore: "paper" },
  })) {
    configs[what] = [
      await refusal(() => asherah.setup(given)), await refusal(() => asherah.setup_async(given)),
    ];
  }
  const raced = await Promise.all(
    [1, 2].map(() => refusal(() => asherah.setup_async({ ...config, ServiceName: "" }))));
  raced.forEach((said, i) => (raced[i] = said.split(" ").pop())); // the loser may throw or reject
  const during = await every(["setup"]);
  const [data, record] = [["", "d"], ["", "{}"]];
  const empty = await every(["encrypt", "encrypt_string", "decrypt", "decrypt_string"], {
    encrypt: data, encrypt_string: data, decrypt: record, decrypt_string: record,
  });
  const bad = await every(["decrypt", "decrypt_string"]);
  const nameless = JSON.parse(asherah.encrypt("p", "d")).Key.ParentKeyMeta.KeyId;
  asherah.shutdown();
  const after = await every(working);
  done({ before, configs, raced: raced.sort(), during, empty, bad, nameless, after });
})();
"""
IDLE_SCRIPT = """
asherah.setup(config);
const record = asherah.encrypt_string("p", "d");
setTimeout(() => done(asherah.decrypt_string("p", record)), 300);
"""
README = """
import { AsherahConfig, LogHookCallback, decrypt, encrypt, setup } from "./asherah.d.ts";
import { set_log_hook } from "./asherah.d.ts";
// The configuration of asherah-node's README, setting by setting.
const config: AsherahConfig = {
  KMS: "aws", Metastore: "memory", ServiceName: "TestService", ProductID: "TestProduct",
  Verbose: true, EnableSessionCaching: true, ExpireAfter: null, CheckInterval: null,
  ConnectionString: null, ReplicaReadConsistency: null, DynamoDBEndpoint: null,
  DynamoDBRegion: null, DynamoDBTableName: null, SessionCacheMaxSize: null,
  SessionCacheDuration: null, RegionMap: { "us-west-2": "arn:aws:kms:us-west-2:X:key/X" },
  PreferredRegion: null, EnableRegionSuffix: null, DisableZeroCopy: null,
};
setup(config);
const data: Buffer = Buffer.from("mysecretdata", "utf8");
const output: string = decrypt("partition", encrypt("partition", data)).toString("utf8");
const named: string = process.env["METASTORE"] ?? "rdbms";
setup({ ...config, Metastore: named, KMS: named, EnableCanaries: true });
const hook: LogHookCallback = (level, message) => console.log(level, message, output);
set_log_hook(hook);
"""


@pytest.fixture(scope="module")
def addon() -> Path:
    return build.build_asherah_addon(host_target())


def test_addon_of_applications_exports_published_functions_alone(
    addon: Path, tmp_path: Path
) -> None:
    script = "done(Object.keys(asherah));"
    names = said_by(runtime("node").program, addon, script, tmp_path)
    assert isinstance(names, list)
    assert set(names) == PUBLISHED
    report = audit.inspect(addon)
    assert set(report.exports) == set(build.ADDON_EXPORTS)
    assert report.nodelete
    rules = audit.Rules(max_glibc="2.17", no_build_paths=True, no_executable_stack=True)
    assert audit.check(report, rules) == []
    for of_fixtures in (b"TakeSignals", b"BlockThreads", b"runSync"):
        assert of_fixtures not in addon.read_bytes()


@pytest.mark.parametrize("name", ["bun", "node", OLD_BUN, "1.2.19"])
def test_data_as_string_buffer_or_view_round_trips(addon: Path, name: str, tmp_path: Path) -> None:
    using = runtime(name) if name in {"bun", "node"} else bun(name)
    assert said_by(using.program, addon, VIEWS, tmp_path) == {
        "wrong": [],
        "texts": [True] * 5,
        "refused": ["throws TypeError"],
    }


@pytest.mark.parametrize("name", ["bun", "node"])
def test_bad_state_and_arguments_throw_at_once(addon: Path, name: str, tmp_path: Path) -> None:
    unset, again = "throws ERR_ASHERAH_NOT_INITIALIZED", "throws ERR_ASHERAH_ALREADY_INITIALIZED"
    working = [
        f"{name}{suffix}"
        for name in ("encrypt", "encrypt_string", "decrypt", "decrypt_string", "shutdown")
        for suffix in ("", "_async")
    ]
    bad_config = ["throws ERR_ASHERAH_BAD_CONFIG", "rejects ERR_ASHERAH_BAD_CONFIG"]
    no_record = "ERR_ASHERAH_DECRYPT_FAILED"
    assert said_by(runtime(name).program, addon, STATES_SCRIPT, tmp_path) == {
        "before": dict.fromkeys(working, unset),
        "configs": {
            **dict.fromkeys(
                ("nothing", "number", "no names", "no product", "a name that is none"),
                ["throws TypeError"] * 2,
            ),
            "an unknown metastore": bad_config,
        },
        "raced": ["ERR_ASHERAH_ALREADY_INITIALIZED", "comes"],
        "during": {"setup": again, "setup_async": again},
        "empty": {
            each: f"throws ERR_ASHERAH_{each[:7].upper()}_FAILED"
            for each in working
            if "shutdown" not in each
        },
        "bad": {
            "decrypt": f"throws {no_record}",
            "decrypt_async": f"rejects {no_record}",
            "decrypt_string": f"throws {no_record}",
            "decrypt_string_async": f"rejects {no_record}",
        },
        "nameless": "_IK_p__p",
        "after": dict.fromkeys(working, unset),
    }


@pytest.mark.parametrize("version", ["1.2.19", "1.3.14"])
def test_addon_needs_no_loader_in_bun(addon: Path, version: str, tmp_path: Path) -> None:
    program = bun(version).program
    assert said_by(program, addon, IDLE_SCRIPT, tmp_path) == "d"


def test_readme_example_of_asherah_node_compiles(tmp_path: Path) -> None:
    (tmp_path / "asherah.d.ts").write_text(DECLARATIONS.read_text())
    (tmp_path / "readme.ts").write_text(README)
    type_check(tmp_path / "readme.ts")


def test_build_asherah_writes_a_package_and_rejects_another(tmp_path: Path) -> None:
    output = succeed(invoke("build-asherah", "--out", tmp_path / "asherah"))
    assert [line.split()[0].rpartition("/")[2] for line in output.splitlines()] == [
        "asherah.node",
        "asherah.d.ts",
        "package.json",
    ]
    script = "console.log(require('./asherah').get_setup_status())"
    assert run_script([runtime("node").program], script, tmp_path) == "false\n"
    (tmp_path / "package.json").write_text('{"name": "application"}')
    completed = invoke("build-asherah", "--out", tmp_path)
    assert (completed.returncode, "holds another package" in completed.stderr) == (2, True)
    assert (tmp_path / "package.json").read_text() == '{"name": "application"}'
