"""The loader's detection of runtimes and platforms, and of the need for a library."""

from __future__ import annotations

import json
import re
import struct
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import semver
from commands import bun, run_script
from machine import OLD_BUN

from gobun import paths, toolchain
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

RANGE_END = re.compile(r"<(\d+\.\d+\.\d+)")
ASK_SCRIPT = """
const { detect } = require(process.argv[2] + "/src/detect.js");
const { ROWS, needOf } = require(process.argv[2] + "/src/needs.js");
const answers = JSON.parse(process.argv[3]).map((globals) => {
  const host = detect(globals);
  return [host.runtime, host.version, host.target, needOf(host).need];
});
console.log(JSON.stringify({ answers, limit: ROWS[0].before }));
"""
# Loads the package's files as modules in a context that has only the language.
BARE_CONTEXT_SCRIPT = """
const { readFileSync } = require("fs"), path = require("path"), vm = require("vm");
const root = process.argv[2];
const said = [];
function load(context, file, asked) {
  const module = { exports: {} };
  const words = "(function (module, exports, require, __dirname) {" + readFileSync(file) + "})";
  const resolve = (name) => {
    asked.push(name);
    if (!name.startsWith(".")) throw new Error("no module " + name);
    return load(context, path.join(path.dirname(file), name), asked);
  };
  vm.runInContext(words, context)(module, module.exports, resolve, path.dirname(file));
  return module.exports;
}
const angry = new Proxy({}, { get() { throw new Error("no"); } });
const older = { versions: { node: "20.0.0" }, env: {} };
for (const process of [undefined, {}, angry, { env: {} }, older]) {
  const asked = [];
  const context = vm.createContext({ process, Bun: process });
  const { warmup, wrap } = load(context, root + "/index.js", asked);
  const done = warmup({ force: true });
  const files = asked.filter((name) => !name.startsWith("."));
  said.push([done.runtime, done.need, done.warmed, wrap(() => 42), files]);
}
console.log(JSON.stringify(said));
"""
MUSL = """
Object.defineProperty(process, "execPath", { value: process.argv[3] });
const { warmup } = require(process.argv[2]);
try { console.log(warmup().warmed); } catch (error) { console.log(error.code, error.message); }
process.exit(0);
"""
LIBC = """
const { libcOf } = require(process.argv[2] + "/src/libc.js");
console.log(JSON.stringify(process.argv.slice(3).map(libcOf)));
"""


def node(script: str, folder: Path, *words: str) -> Any:  # noqa: ANN401 - any JSON
    program = toolchain.node().program
    return json.loads(run_script([program], script, folder, str(paths.LOADER_SOURCES), *words))


def like_bun(version: str, platform: str = "linux", arch: str = "x64") -> dict[str, Any]:
    # Bun also identifies itself as Node.
    versions = {"bun": version, "node": "22.6.0"}
    return {"process": {"platform": platform, "arch": arch, "versions": versions}}


def test_loader_recognises_each_runtime_and_its_needs(tmp_path: Path) -> None:
    linux = {"platform": "linux", "arch": "arm64"}
    cases = [
        (like_bun("1.0.0"), ["bun", "1.0.0", "linux-x64", "required"]),
        (like_bun("1.2.19", arch="arm64"), ["bun", "1.2.19", "linux-arm64", "required"]),
        (like_bun("1.4.3"), ["bun", "1.4.3", "linux-x64", "required"]),
        (like_bun("1.10.0"), ["bun", "1.10.0", "linux-x64", "required"]),
        (like_bun("1.4.4"), ["bun", "1.4.4", "linux-x64", "required"]),
        (like_bun("1.4.4-canary.1"), ["bun", "1.4.4-canary.1", "linux-x64", "required"]),
        (like_bun("1.4.3-canary.7+a"), ["bun", "1.4.3-canary.7+a", "linux-x64", "required"]),
        (like_bun("2.0.0"), ["bun", "2.0.0", "linux-x64", "required"]),
        (like_bun("next"), ["bun", "next", "linux-x64", "required"]),
        (like_bun("1.2.19", "darwin", "arm64"), ["bun", "1.2.19", "darwin-arm64", "optional"]),
        (like_bun("1.2.19", "win32"), ["bun", "1.2.19", "win32-x64", "none"]),
        (
            {"Bun": {"version": "1.2.19"}, "process": linux},
            ["bun", "1.2.19", "linux-arm64", "required"],
        ),
        (
            {
                "Deno": {"version": {"deno": "2.9.8"}},
                "process": {**linux, "versions": {"node": "24.0.0"}, "release": {"name": "node"}},
            },
            ["deno", "2.9.8", "linux-arm64", "none"],
        ),
        (
            {"process": {**linux, "versions": {"node": "18.0.0"}, "release": {"name": "node"}}},
            ["node", "18.0.0", "linux-arm64", "none"],
        ),
        ({"process": {**linux, "versions": {"node": "1"}}}, ["unknown", "", "linux-arm64", "none"]),
        ({}, ["unknown", "", "unknown-unknown", "none"]),
    ]
    inputs = json.dumps([globals_ for globals_, _ in cases])
    assert node(ASK_SCRIPT, tmp_path, inputs)["answers"] == [expected for _, expected in cases]


def test_loader_version_limit_matches_the_expectations(tmp_path: Path) -> None:
    rows = tomllib.loads((paths.EXPECTATIONS / "bun.toml").read_text())["expect"]
    hangs = [row for row in rows if "hang" in row["outcomes"] and "versions" in row]
    by_go = [row for row in hangs if "control" not in row.get("modules", ["control"])]
    ends = [
        semver.Version.parse(end) for row in by_go for end in RANGE_END.findall(row["versions"])
    ]
    newest = str(max(ends))
    assert node(ASK_SCRIPT, tmp_path, "[]")["limit"] == newest


def test_loader_unknown_runtime_needs_nothing(tmp_path: Path) -> None:
    assert node(BARE_CONTEXT_SCRIPT, tmp_path) == [["unknown", "none", False, 42, []]] * 5


def elf(folder: Path, name: str, loader: bytes | None) -> Path:
    """Write only the header of an executable that names ``loader``."""
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    numbers = (2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    header = ident + struct.pack("<HHIQQQIHHHHHH", *numbers)
    kind = 3 if loader is not None else 6
    loads = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 0, 0, 0)
    names = struct.pack("<IIQQQQQQ", kind, 4, 176, 0, 0, len(loader or b""), 0, 1)
    path = folder / name
    path.write_bytes(header + loads + names + (loader or b""))
    return path


def test_loader_musl_is_detected_from_the_interpreter(tmp_path: Path) -> None:
    musl = elf(tmp_path, "musl", b"/lib/ld-musl-x86_64.so.1\0")
    glibc = elf(tmp_path, "glibc", b"/nix/store/x/lib/ld-linux-x86-64.so.2\0")
    static = elf(tmp_path, "static", None)
    short = tmp_path / "short"
    short.write_bytes(musl.read_bytes()[:70])
    programs = (musl, glibc, static, short, tmp_path / "none", bun(OLD_BUN).program)
    answer = node(LIBC, tmp_path, *map(str, programs))
    assert answer == ["musl", "glibc", "", "", "", host_target().libc]


@pytest.mark.parametrize("version", [OLD_BUN, ""])
def test_loader_on_musl_looks_for_the_guard_of_musl(version: str, tmp_path: Path) -> None:
    """The sources have no folder lib, so the error lists where the guard should be."""
    musl = elf(tmp_path, "musl", b"/lib/ld-musl-x86_64.so.1\0")
    command = [bun(version).program]
    output = run_script(command, MUSL, tmp_path, str(paths.LOADER_SOURCES), str(musl))
    assert output.startswith("ERR_GO_WARMUP_MISSING")
    library = f"go-guard-linux-{host_target().arch}-musl.so"
    assert f"{paths.LOADER_SOURCES}/lib/{library}" in output
