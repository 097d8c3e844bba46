"""The settings of Asherah's addon: those that asherah-node documents, and others that it reads."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest
from asherah_scripts import said_by, script_text
from commands import runtime
from databases import SERVERS

from gobun import build
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run"),
]

SETTINGS = """
asherah.setup(config);
const numbers = [
  -1, 0, 1, 65536, 65537, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), NaN, Infinity, "4096", null,
];
const record = () => asherah.decrypt_string("p", asherah.encrypt_string("p", "x".repeat(100_000)));
const wrong = [];
for (const number of numbers) {
  for (const name of ["set_max_stack_alloc_item_size", "set_safety_padding_overhead"]) {
    asherah[name](number);
    if (record().length !== 100_000) wrong.push([name, number]);
  }
}
for (const anything of [{}, [], "text", undefined, true, Symbol("s"), 1n, () => 0]) {
  asherah.set_safety_padding_overhead(anything);
}
(async () => {
  done({ wrong, none: [
    await refusal(() => asherah.set_max_stack_alloc_item_size()),
    await refusal(() => asherah.set_safety_padding_overhead()),
  ] });
})();
"""
STORES = """
(async () => {
  const said = {};
  for (const [what, more] of JSON.parse(process.argv[3])) {
    try {
      asherah.setup({ ...config, ...more });
      said[what] = "set up";
      const own = more.KMS === undefined;
      if (own) said[what] = asherah.decrypt_string("p", asherah.encrypt("p", "d"));
      asherah.shutdown();
    } catch (error) {
      said[what] = error.message;
    }
  }
  done(said);
})();
"""
NULLS = """
asherah.setup({ ...config, NullDataCheck: process.argv[3] === "on" });
for (const data of [Buffer.alloc(4), Buffer.from("data"), Buffer.alloc(0), "\\0\\0"]) {
  asherah.encrypt("p", data);
}
done("came");
"""


@pytest.fixture(scope="module")
def addon() -> Path:
    return build.build_asherah_addon(host_target())


def settings_of(url: str) -> str:
    """Return a PostgreSQL URL as a list of settings."""
    parts = urlsplit(url)
    settings = {"host": parts.hostname, "port": parts.port, "user": parts.username}
    settings |= {"dbname": parts.path[1:], **dict(parse_qsl(parts.query))}
    return " ".join(f"{name}={value}" for name, value in settings.items())


@pytest.mark.parametrize("name", ["bun", "node"])
def test_sizes_out_of_range_are_clamped(addon: Path, name: str, tmp_path: Path) -> None:
    sizes = said_by(runtime(name).program, addon, SETTINGS, tmp_path)
    assert sizes == {"wrong": [], "none": ["throws TypeError"] * 2}


def test_kms_and_database_types_select_the_named_ones(addon: Path, tmp_path: Path) -> None:
    region = {"RegionMap": {"us-west-2": "arn:aws:kms:us-west-2:1:key/k"}}
    nowhere = "host=127.0.0.1 port=1 user=u password=secret dbname=d sslmode=disable"
    rdbms = {"Metastore": "rdbms"}
    requests: list[tuple[str, dict[str, object]]] = [
        ("kms", {"KMS": "kms", **region}),
        ("debug", {"KMS": "test-debug-static", "Metastore": "test-debug-memory"}),
        ("list", {**rdbms, "ConnectionString": nowhere}),
        ("named list", {**rdbms, "ConnectionString": nowhere, "SQLMetastoreDBType": "postgres"}),
        (
            "wrong",
            {**rdbms, "ConnectionString": "u:secret@tcp(h)/d", "SQLMetastoreDBType": "postgres"},
        ),
        ("other", {**rdbms, "ConnectionString": nowhere, "SQLMetastoreDBType": "mysql"}),
        ("oracle", {**rdbms, "ConnectionString": "x", "SQLMetastoreDBType": "oracle"}),
        ("unknown", {**rdbms, "ConnectionString": "x", "SQLMetastoreDBType": "paper"}),
    ]
    answers = said_by(runtime("node").program, addon, STORES, tmp_path, json.dumps(requests))
    assert isinstance(answers, dict)
    refused = (
        "setup: Metastore rdbms: cannot connect: dial tcp 127.0.0.1:1: connect: connection refused"
    )
    assert (answers["kms"], answers["debug"]) == ("set up", "set up")
    assert [answers[name] for name in ("list", "named list")] == [refused] * 2
    assert answers["wrong"].startswith("setup: Metastore rdbms: ConnectionString: it is neither")
    assert answers["other"].startswith("setup: Metastore rdbms: ConnectionString: invalid DSN")
    assert "oracle" in answers["oracle"]
    assert '"paper" is unknown' in answers["unknown"]
    assert "secret" not in json.dumps(answers)


def test_postgres_by_list_of_settings_encrypts(addon: Path, tmp_path: Path) -> None:
    with SERVERS["postgresql"]() as url:
        connection = settings_of(url)
        requests = [
            (name, {"Metastore": "rdbms", "ConnectionString": connection, **more})
            for name, more in (("told", {"SQLMetastoreDBType": "postgres"}), ("seen", {}))
        ]
        answers = said_by(runtime("node").program, addon, STORES, tmp_path, json.dumps(requests))
    assert answers == {"told": "d", "seen": "d"}


def test_null_data_check_prints_a_complaint(addon: Path, tmp_path: Path) -> None:
    path = tmp_path / "nulls.cjs"
    path.write_text(script_text(NULLS))
    for word, complaints in (("on", [4, 2]), ("off", [])):
        completed = subprocess.run(
            [runtime("node").program, path, addon, word],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        line = "asherah: input data buffer is all null before encryption (len={})\n"
        assert completed.stderr == "".join(line.format(size) for size in complaints)
