"""The package go-warmup on musl: packed, unpacked, and run by Bun and Node for musl."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from commands import TURNING_SCRIPT, runs_musl, succeed

from gobun import build, fetch, release
from gobun.fetch import archive
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.sysroot import Sysroot

pytestmark = [
    pytest.mark.timeout(300),
    runs_musl,
]
OLD_VERSION, IDLE_HANGS, NEW_VERSION = "1.1.45", "1.2.19", "1.4.5"
"""The first opens no library with bun:ffi, which the package must not need."""
GUARD = "go-guard-linux-x64-musl.so"
REPORT = """
const { GoWarmupError, explain, guardStats, warmup, wrap } = require("go-warmup");
const said = { error: null };
try {
  const { runtime, need, warmed, guard, library } = warmup();
  Object.assign(said, { runtime, need, warmed, guard, library });
} catch (error) {
  said.error = [error instanceof GoWarmupError, error.code, error.path, error.message];
}
console.log(JSON.stringify(said));
process.exit(0);
"""
LOADS = """
const { GoWarmupError, explain, wrap } = require("go-warmup");
const [addon, later, library] = process.argv.slice(2);
const said = {};
const keep = (name, error) => {
  said[name] = [error instanceof GoWarmupError, error.code, error.path, error.message,
    Boolean(error.cause)];
};
(async () => {
  try { wrap(() => require(addon)); } catch (error) { keep("require", error); }
  try { await wrap(() => import(later)); } catch (error) { keep("import", error); }
  if (library && process.versions.bun) {
    const { dlopen } = require("bun:ffi");
    const run = { Run: { args: [], returns: "i32" } };
    try { dlopen(library, run); } catch (error) { keep("ffi", explain(error)); }
  }
  const other = new Error("something else");
  said.other = explain(other) === other;
  try { wrap(() => { throw other; }); } catch (error) { said.same = error === other; }
  console.log(JSON.stringify(said));
  process.exit(0);
})();
"""


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the packed package as npm unpacks it."""
    folder = tmp_path_factory.mktemp("app")
    linux = [target for target in TARGETS.values() if target.os == "linux"]
    packed = release.pack_loader("1.2.3", build.build_guard(linux), [], folder)[0]
    (folder / "node_modules").mkdir()
    unpacked = folder / "node_modules" / "go-warmup"
    archive.unpack(packed.tarball, unpacked, packed.tarball.name)
    scripts = {"report.cjs": REPORT, "turning.cjs": TURNING_SCRIPT, "loads.cjs": LOADS}
    for name, script in scripts.items():
        (folder / name).write_text(script)
    return folder


def program(root: Sysroot, name: str) -> Path:
    """Return Node for musl, or a version of Bun for musl."""
    if name == "node":
        return root.program(root.node)
    return root.program(stock_bun(name))


def stock_bun(version: str) -> Path:
    """Return a published Bun for musl."""
    package = fetch.Package(fetch.bun_package("linux-x64-musl"), version)
    return fetch.fetch_packages([package])[package] / "bin" / "bun"


def run(
    folder: Path, *command: str | Path, limit: str = "60", **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["timeout", "-s", "KILL", limit, *map(str, command)],
        cwd=folder,
        env={"HOME": str(folder), "PATH": os.defpath, "TMPDIR": str(folder), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def answer(folder: Path, *command: str | Path, **env: str) -> dict[str, Any]:
    record = json.loads(succeed(run(folder, *command, **env)))
    assert isinstance(record, dict)
    return record


@pytest.mark.parametrize("debug", ["", "1"], ids=["fast", "debug"])
@pytest.mark.parametrize("version", [OLD_VERSION, IDLE_HANGS, NEW_VERSION])
def test_loader_on_musl_installs_the_guard_of_musl(
    musl: Sysroot, application: Path, version: str, debug: str
) -> None:
    output = answer(application, program(musl, version), "report.cjs", GO_WARMUP_DEBUG=debug)

    expected = application / "node_modules" / "go-warmup" / "lib" / GUARD
    assert output == {
        "runtime": "bun",
        "need": "required",
        "warmed": True,
        "guard": "installed",
        "library": str(expected),
        "error": None,
    }


def test_loader_on_musl_leaves_node_alone(musl: Sysroot, application: Path) -> None:
    output = answer(application, program(musl, "node"), "report.cjs")

    assert (output["need"], output["warmed"], output["error"]) == ("none", False, None)


def test_loader_on_musl_leaves_event_loop_turning(musl: Sysroot, application: Path) -> None:
    addon = build.build_fixture("simple", TARGETS["linux-x64-musl"]).addon
    command = (program(musl, IDLE_HANGS), "turning.cjs", addon)

    assert answer(application, *command) == {"done": 0, "turns": 20}
    # Without the guard this hangs.
    assert run(application, *command, limit="8", GO_WARMUP_GUARD="0").returncode


@pytest.mark.parametrize("name", ["node", OLD_VERSION, IDLE_HANGS, NEW_VERSION])
def test_loader_on_musl_explains_an_unconverted_addon(
    musl: Sysroot, application: Path, name: str
) -> None:
    """For every way to load it, the error names the addon, the relocation and the command."""
    module = build.build_fixture("simple", TARGETS["linux-x64"])
    later = application / "later.mjs"
    later.write_text(
        "import { createRequire } from 'module';\n"
        f"createRequire(import.meta.url)({json.dumps(str(module.addon))});\n"
    )
    # Older releases do not name the library in the error of bun:ffi.
    libraries = [module.library] if name == NEW_VERSION else []
    command = [program(musl, name), "loads.cjs", module.addon, later, *libraries]
    output = answer(application, *map(str, command))

    assert (output.pop("other"), output.pop("same")) == (True, True)
    assert set(output) == ({"require", "import", "ffi"} if libraries else {"require", "import"})
    for load_path, (is_ours, code, path, message, has_cause) in output.items():
        file = module.library if load_path == "ffi" else module.addon
        assert (is_ours, code, path) == (True, "ERR_GO_WARMUP_MUSL", str(file)), load_path
        assert f"{file} is not converted for musl" in message
        assert "R_X86_64_TPOFF64 at 0x" in message
        assert f"invoke convert-musl {file} -o {file.stem}-musl{file.suffix}" in message
        assert has_cause


@pytest.mark.parametrize("version", [IDLE_HANGS, NEW_VERSION])
def test_loader_on_musl_works_bundled(
    musl: Sysroot, application: Path, version: str, tmp_path: Path
) -> None:
    bun = program(musl, version)
    words = ["build", "report.cjs", "--target=bun", "--outdir", str(tmp_path)]
    succeed(run(application, bun, *words))
    output = answer(tmp_path, bun, tmp_path / "report.js")

    assert output["guard"] == "installed"
    assert output["library"].startswith(f"{tmp_path}/{GUARD.removesuffix('.so')}")


@pytest.mark.parametrize("version", [IDLE_HANGS, NEW_VERSION])
def test_loader_on_musl_works_compiled(
    musl: Sysroot, application: Path, version: str, tmp_path: Path
) -> None:
    """An application in one file, with the guard inside, loads an addon, and its event loop keeps
    turning.

    Bun makes it of its own file as published, because Bun 1.4.5 would write over the name of the
    loader that the sysroot's copy of Bun ends with.
    """
    addon = build.build_fixture("simple", TARGETS["linux-x64-musl"]).addon
    compiled = tmp_path / "turning"
    template = [f"--compile-executable-path={stock_bun(version)}"] if version == NEW_VERSION else []
    words = ["build", "turning.cjs", "--compile", *template, "--outfile", str(compiled)]
    succeed(run(application, program(musl, version), *words))
    if version == NEW_VERSION:
        private = msgspec.structs.replace(musl, folder=tmp_path)  # not 100 MB more in the cache
        compiled = private.program(compiled)

    assert answer(tmp_path, compiled, addon) == {"done": 0, "turns": 20}
    guard = application / "node_modules" / "go-warmup" / "lib" / GUARD
    assert [path.read_bytes() for path in tmp_path.rglob("*.so")] == [guard.read_bytes()]


def test_loader_on_musl_rejects_a_named_library_of_glibc(musl: Sysroot, application: Path) -> None:
    guard = application / "node_modules" / "go-warmup" / "lib" / "go-guard-linux-x64.so"
    plain = build.build_fixture("simple", TARGETS["linux-x64"]).library
    hints = {guard: f"name {GUARD}", plain: f"invoke convert-musl {plain}"}
    for library, hint in hints.items():
        env = {"GO_WARMUP_LIBRARY": str(library)}
        error = answer(application, program(musl, NEW_VERSION), "report.cjs", **env)["error"]
        assert error[:3] == [True, "ERR_GO_WARMUP_MUSL", str(library)]
        assert hint in error[3]


@pytest.mark.parametrize("version", [IDLE_HANGS, NEW_VERSION])
def test_loader_on_musl_reports_a_missing_guard(
    musl: Sysroot, application: Path, version: str, tmp_path: Path
) -> None:
    folder = tmp_path / "app"
    shutil.copytree(application, folder)
    library = folder / "node_modules" / "go-warmup" / "lib" / GUARD
    library.unlink()
    error = answer(folder, program(musl, version), "report.cjs")["error"]

    assert error[:3] == [True, "ERR_GO_WARMUP_MISSING", str(library)]
