"""A custom addon: its smoke script decides the outcome of the cell, which is never `error`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import bun, invoke, succeed
from machine import ON_MUSL, embeds_guard

from gobun import build, custom_addon, embed, matrix, paths, pipeline, toolchain
from gobun.build import compile as compiling
from gobun.cells import Cell, Load
from gobun.errors import UnexpectedOutcomeError, UsageError
from gobun.pipeline import Request
from gobun.process import run_tool
from gobun.targets import host_target, target_named

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="darwin was never run")

BUN = "1.4.5"
LOAD = "load: (addon) => require(addon)"
SYNC = "check: (it) => { if (it.runSync() !== 0) throw new Error('wrong'); }"
ASYNC = "check: async (it) => { if ((await it.runAsync()) !== 0) throw new Error('wrong'); }"
WORKER_ENDED = "fail: Error: the worker ended before its task did"
IN_WORKER = "Error: in a worker: Error:"


@pytest.fixture(scope="module")
def addon() -> Path:
    return build.build_fixture("simple", host_target()).addon


def smoke(folder: Path, *members: str) -> Path:
    path = folder / "smoke.js"
    path.write_text(f"module.exports = {{ {', '.join(members)} }};\n")
    return path


def outcomes(
    folder: Path,
    addon: Path,
    *members: str,
    stresses: tuple[str, ...] = ("idle",),
    loads: tuple[Load, ...] = ("napi-sync", "worker"),
    limit_s: float,
) -> dict[tuple[str, str, str], str]:
    """Return how each cell ended, by runtime, load and stress."""
    request = Request(
        runtimes=("bun", "node"),
        versions=BUN,
        treatments=("stock",),
        stresses=stresses,
        loads=loads,
        limit_s=limit_s,
        out=folder / "out",
        addon=custom_addon.make_addon(str(addon), str(smoke(folder, *members))),
    )
    with contextlib.suppress(UnexpectedOutcomeError):
        pipeline.run_matrix(request)
    results = matrix.read_results(folder / "out" / matrix.FILE_NAME).results
    suite = addon.stem in build.FIXTURES
    assert {result.module for result in results} == {f"own-{addon.stem}" if suite else addon.stem}
    return {
        (result.runtime, result.load, result.stress): f"{result.outcome}: {result.detail}"
        for result in results
    }


@pytest.mark.parametrize(
    "members",
    [
        (LOAD, SYNC),
        ("load: async (addon) => { await null; return require(addon); }", ASYNC),
    ],
    ids=["sync", "async"],
)
def test_addon_smoke_script_that_succeeds_passes(
    tmp_path: Path, addon: Path, members: tuple[str, ...]
) -> None:
    observed = outcomes(tmp_path, addon, *members, stresses=("idle", "gc"), limit_s=20.0)
    expected = [
        (runtime, load, stress)
        for runtime in ("bun", "node")
        for load in ("napi-sync", "worker")
        for stress in ("idle", "gc")
    ]
    assert observed == dict.fromkeys(expected, "pass: ")


@pytest.mark.parametrize(
    ("members", "in_main", "in_worker"),
    [
        pytest.param(
            ("load() { throw new Error('not here'); }", "check() {}"),
            "fail: Error: not here",
            f"fail: {IN_WORKER} not here",
            id="load-throws",
        ),
        pytest.param(
            (LOAD, "async check() { throw new Error('not so'); }"),
            "fail: Error: not so",
            f"fail: {IN_WORKER} not so",
            id="check-rejects",
        ),
        pytest.param((LOAD, "check() { throw null; }"), "fail: null", None, id="check-throws-null"),
        pytest.param(
            ("check() {}",), "fail: TypeError: smoke.load is not a function", None, id="no-load"
        ),
        # process.exit() in a worker ends only the worker.
        pytest.param(
            (LOAD, "check() { process.exit(3); }"),
            "fail: exit code 3 after 'loaded'",
            WORKER_ENDED,
            id="exit-3",
        ),
        pytest.param(
            (LOAD, "check() { process.exit(0); }"),
            "fail: ended by itself after 'loaded', before it was done",
            WORKER_ENDED,
            id="exit-0",
        ),
        pytest.param(
            (LOAD, "check() { process.kill(process.pid, 'SIGKILL'); for (;;); }"),
            "crash: SIGKILL after 'loaded'",
            "crash: SIGKILL after 'loaded'",
            id="sigkill",
        ),
        pytest.param(
            (LOAD, "check() { process.abort(); }"),
            "crash: SIGABRT after 'loaded'",
            "fail: Error: in a worker: TypeError",  # No runtime lets a worker abort the process.
            id="abort",
        ),
    ],
)
def test_addon_smoke_script_that_fails_or_dies_fails(
    tmp_path: Path, addon: Path, members: tuple[str, ...], in_main: str, in_worker: str | None
) -> None:
    observed = outcomes(tmp_path, addon, *members, limit_s=20.0)
    assert len(observed) == 4
    for (_, load, _), ending in observed.items():
        if load == "napi-sync":
            assert ending.startswith(in_main), observed
        elif in_worker is None:
            assert ending.startswith("fail: Error: in a worker: "), observed
        else:
            assert ending.startswith(in_worker), observed


@pytest.mark.parametrize(
    ("check", "limit_s", "ending"),
    [
        # A promise that never settles looks like a slow one, because the event loop turns.
        ("check: () => new Promise(() => {})", 3.0, "timeout: still progressing at the limit of 3"),
        # All four spin at once, so the test must see each of them start first.
        ("check() { for (;;); }", 5.0, "hang: busy: no turn of the event loop in "),
    ],
    ids=["never-settles", "spins"],
)
def test_addon_smoke_script_that_never_ends_is_stopped(
    tmp_path: Path, addon: Path, check: str, limit_s: float, ending: str
) -> None:
    observed = outcomes(tmp_path, addon, LOAD, check, limit_s=limit_s)
    assert len(observed) == 4
    assert all(each.startswith(ending) for each in observed.values()), observed


def test_addon_runs_from_the_command_line(tmp_path: Path, addon: Path) -> None:
    script = smoke(tmp_path, LOAD, "check() { throw new Error('not so'); }")
    words = ("--versions", BUN, "--treatment", "stock", "--stress", "idle", "--out", tmp_path)
    completed = invoke("matrix", "--addon", addon, "--smoke", script, *words)
    assert completed.returncode == 1, completed.stdout + completed.stderr
    assert "2 cells: 2 fail; 2 unexpected." in completed.stdout
    assert "error: unexpected outcomes: 2 of 2 cells" in completed.stderr


def test_addon_config_file_is_read_and_flags_win(tmp_path: Path, addon: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "my.node").write_bytes(addon.read_bytes())
    smoke(project, LOAD, SYNC)
    config = project / "gobun.toml"
    config.write_text(
        '[addon]\nfile = "./my.node"\nsmoke = "smoke.js"\nname = "mine"\n\n'
        f'[matrix]\nversions = ["{BUN}"]\ntreatments = ["stock"]\nstresses = ["idle", "gc"]\n'
        'loads = ["worker"]\njobs = 1\nlimit_s = 20.0\n'
    )
    out = tmp_path / "out"
    completed = invoke("matrix", "--config", config, "--stress", "idle", "--out", out)
    assert "running 1 cell, 1 at a time" in completed.stderr, completed.stderr
    assert "1 cell: 1 pass; 0 unexpected." in succeed(completed)
    [result] = matrix.read_results(out / matrix.FILE_NAME).results
    assert result.cell == Cell("bun", BUN, "stock", "mine", "worker", "idle")
    words = shlex.split(result.repro)
    assert words[-6:] == [
        *("--addon", str(project / "my.node"), "--smoke", str(project / "smoke.js")),
        *("--name", "mine"),
    ]
    assert custom_addon.addon_of(result) == custom_addon.make_addon(*words[-5::2])
    shards = json.loads(succeed(invoke("plan", "--config", config, "--shards", "2", "--json")))[
        "include"
    ]
    assert [(part["versions"], part["cells"]) for part in shards] == [(BUN, 1), (BUN, 1)]

    config.write_text(config.read_text().replace("jobs", "jbos"))
    assert refusal_of("--config", config) == f"error: {config}: [matrix] has an unknown key 'jbos'"


@pytest.mark.parametrize("name", ["simple", "../mine", "a b", "-x"])
def test_addon_invalid_name_is_rejected(tmp_path: Path, addon: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of an addon"):
        custom_addon.make_addon(str(addon), str(smoke(tmp_path, LOAD, SYNC)), name)


def test_addon_named_like_a_suite_module_stays_separate(tmp_path: Path, addon: Path) -> None:
    """The cell runs the custom addon, which needs no runSync()."""
    addon_path = tmp_path / "control.node"
    addon_path.write_bytes(addon.read_bytes())
    observed = outcomes(tmp_path, addon_path, LOAD, "check() {}", limit_s=20.0)
    assert set(observed.values()) == {"pass: "}


@pytest.mark.parametrize(
    "load",
    ["load: () => ({})", "load: () => require('./other.node')"],
    ids=["nothing", "another-file"],
)
def test_addon_that_was_never_mapped_does_not_pass(tmp_path: Path, addon: Path, load: str) -> None:
    (tmp_path / "other.node").write_bytes(addon.read_bytes())
    observed = outcomes(tmp_path, addon, load, "check() {}", limit_s=20.0)
    assert len(observed) == 4
    assert all(
        each.startswith(f"fail: {addon} was never mapped in the process")
        for each in observed.values()
    ), observed
    results = matrix.read_results(tmp_path / "out" / matrix.FILE_NAME).results
    assert {(result.kind, result.mapped) for result in results} == {("not-loaded", False)}


@pytest.mark.parametrize(("module", "go"), [("simple", True), ("control", False)])
def test_addon_result_records_addon_and_go_runtime(tmp_path: Path, module: str, go: bool) -> None:
    addon_path = tmp_path / "mine.node"
    addon_path.write_bytes(build.build_fixture(module, host_target()).addon.read_bytes())
    chosen = custom_addon.make_addon(str(addon_path), str(smoke(tmp_path, LOAD, "check() {}")))
    assert chosen is not None
    outcomes(tmp_path, addon_path, LOAD, "check() {}", limit_s=20.0)
    results = matrix.read_results(tmp_path / "out" / matrix.FILE_NAME).results
    assert {(each.outcome, each.mapped, each.go) for each in results} == {("pass", True, go)}
    note = custom_addon.loading_note(chosen, results)
    assert f"mapped in 4 of 4 cells, and a Go runtime in {4 if go else 0}" in note
    assert note.endswith("there is no Go in the file") != go


@embeds_guard
@pytest.mark.parametrize("inside", [True, False], ids=["guard-inside", "no-guard"])
def test_addon_with_guard_inside_passes_as_built_in(
    tmp_path: Path, addon: Path, inside: bool
) -> None:
    addon_path = tmp_path / "mine.node"
    if inside:
        embed.embed_guard(addon, addon_path)
    else:
        addon_path.write_bytes(addon.read_bytes())
    chosen = custom_addon.make_addon(str(addon_path), str(smoke(tmp_path, LOAD, SYNC)))
    assert chosen is not None
    request = Request(
        versions="1.2.19",
        treatments=("stock", "built-in") if inside else ("stock", "embedded"),
        stresses=("idle",),
        loads=("napi-sync",),
        limit_s=20.0,
        out=tmp_path / "out",
        addon=chosen,
    )
    with pytest.raises(UnexpectedOutcomeError):  # the hang in stock, where the guard is off
        pipeline.run_matrix(request)
    results = matrix.read_results(tmp_path / "out" / matrix.FILE_NAME).results
    ended = {(each.treatment == "stock", each.outcome, each.mapped) for each in results}
    assert ended == {(True, "hang", True), (False, "pass", True)}
    assert ("--treatment built-in" in custom_addon.loading_note(chosen, results)) == inside


def test_addon_without_guard_skips_built_in(tmp_path: Path, addon: Path) -> None:
    modules = {"mine": custom_addon.CustomAddon(addon, smoke(tmp_path, LOAD, SYNC), "mine").fixture}
    assert matrix.module_variants(modules, ["built-in"], host_target()) == {}


BUSY_EXPORT = "busy: (it, ms) => it.callSync('Busy', ms)"
CALL_ASYNC = "callAsync: (it, ms) => it.callAsync(ms ? 'Busy' : 'Run', ms)"


def test_addon_with_busy_and_call_async_runs_everything(tmp_path: Path, addon: Path) -> None:
    members = (LOAD, SYNC, BUSY_EXPORT, CALL_ASYNC)
    observed = outcomes(
        tmp_path,
        addon,
        *members,
        stresses=("idle", "terminate"),
        loads=("napi-sync", "napi-async", "worker"),
        limit_s=20.0,
    )
    assert set(observed.values()) == {"pass: "}, observed
    assert len(observed) == 12


def test_addon_without_needed_function_skips_the_stress(tmp_path: Path, addon: Path) -> None:
    observed = outcomes(tmp_path, addon, LOAD, SYNC, stresses=("terminate",), limit_s=20.0)
    outcome = "skip: the smoke script has no busy(), which stands for Busy() of a module"
    assert set(observed.values()) == {outcome}


def test_addon_plain_library_is_opened_through_ffi(tmp_path: Path) -> None:
    library = tmp_path / "slow_call.so"
    source = Path(__file__).parent / "native" / "slow_call.c"
    compiling.c_shared([source], target=host_target(), output=library, exports=["Wait"])
    members = (
        "load: (file, { dlopen }) => dlopen(file, { Wait: { args: ['i32'], returns: 'i32' } })",
        "check(it) { if (it.Wait(0) !== 0) throw new Error('interrupted'); }",
        "busy: (it, ms) => it.Wait(Math.ceil(ms / 1000))",
    )
    observed = outcomes(tmp_path, library, *members, loads=("ffi", "worker"), limit_s=20.0)
    assert {end for (name, *_), end in observed.items() if name == "bun"} == {"pass: "}
    assert all(
        end.startswith("skip: koffi is not installed beside the smoke script")
        for (name, *_), end in observed.items()
        if name == "node"
    ), observed


def refusal_of(*words: str | Path) -> str:
    """Return the message of a refusal: one error and one line with the next step."""
    completed = invoke("matrix", "--versions", BUN, *words)
    assert (completed.returncode, completed.stdout) == (2, ""), completed.stderr
    message, hint = completed.stderr.splitlines()
    assert message.startswith("error: ")
    assert hint.startswith("  next: ")
    return message


def test_addon_for_another_machine_is_rejected(tmp_path: Path) -> None:
    other = "linux-arm64" if host_target().arch == "x64" else "linux-x64"
    addon = build.build_fixture("control", target_named(other)).addon
    message = refusal_of(
        "--addon", addon, "--smoke", smoke(tmp_path, LOAD, SYNC), "--out", tmp_path
    )
    assert message == (
        f"error: {addon} is built for {other}, and this machine is {host_target().name}"
    )


@pytest.mark.skipif(ON_MUSL, reason="it is an addon for this machine")
def test_addon_for_musl_is_rejected(tmp_path: Path) -> None:
    """musl's library is called libc.so, and an empty one of that name is enough here."""
    nothing, libc, addon = (tmp_path / name for name in ("nothing.c", "libc.so", "mine.node"))
    nothing.write_text("int napi_register_module_v1(void) { return 0; }\n")
    for output, words in (
        (libc, ["-Wl,-soname,libc.so"]),
        (addon, ["-Wl,--no-as-needed", str(libc)]),
    ):
        zig = [str(toolchain.zig().program), "cc", "-target", host_target().zig_triple]
        completed = run_tool(
            [*zig, "-nostdlib", "-shared", "-fPIC", str(nothing), *words, "-o", str(output)],
            env=compiling.zig_environment(),
        )
        assert completed.code == 0, completed
    message = refusal_of(
        "--addon", addon, "--smoke", smoke(tmp_path, LOAD, SYNC), "--out", tmp_path
    )
    assert message == f"error: {addon} is linked against musl, and the runtimes here against glibc"


def test_addon_with_incomplete_flags_is_rejected(tmp_path: Path, addon: Path) -> None:
    script = smoke(tmp_path, LOAD, SYNC)
    assert refusal_of("--addon", addon) == "error: --addon is given without --smoke"
    assert refusal_of("--smoke", script) == "error: --smoke is given without --addon"
    absent = tmp_path / "absent.js"
    assert refusal_of("--addon", addon, "--smoke", absent) == (
        f"error: there is no smoke script {absent}"
    )
    assert str(tmp_path / "absent.node") in refusal_of(
        "--addon", tmp_path / "absent.node", "--smoke", script
    )
    assert str(script) in refusal_of("--addon", script, "--smoke", script)


@pytest.mark.parametrize("load", ["ffi", "napi-async"])
def test_addon_load_flag_with_smoke_script_is_rejected(
    tmp_path: Path, addon: Path, load: Load
) -> None:
    chosen = custom_addon.make_addon(str(addon), str(smoke(tmp_path, LOAD, SYNC)))
    with pytest.raises(UsageError, match=f"--load {load} is not for an addon of your own"):
        pipeline.plan_matrix(Request(versions=BUN, loads=("worker", load), addon=chosen))
    loads = {cell.load for cell in pipeline.plan_matrix(Request(versions=BUN, addon=chosen)).cells}
    assert loads == {"napi-sync", "worker"}


def test_addon_together_with_module_flag_is_rejected(tmp_path: Path, addon: Path) -> None:
    chosen = custom_addon.make_addon(str(addon), str(smoke(tmp_path, LOAD, SYNC)))
    with pytest.raises(UsageError, match="--module simple and --addon"):
        pipeline.plan_matrix(Request(versions=BUN, modules=("simple",), addon=chosen))


def test_addon_results_reproduce_the_cell(tmp_path: Path, addon: Path) -> None:
    outcomes(tmp_path, addon, LOAD, "check() { process.exit(3); }", limit_s=20.0)
    out = tmp_path / "out"
    [result, *_] = matrix.read_results(out / matrix.FILE_NAME).results
    _, *words = shlex.split(result.repro)
    completed = invoke(*words, "--out", tmp_path / "again")
    assert "1 cell: 1 fail; 1 unexpected." in completed.stdout, completed.stderr
    [again] = matrix.read_results(tmp_path / "again" / matrix.FILE_NAME).results
    assert (again.cell, again.detail) == (result.cell, result.detail)

    comment, line, *_ = succeed(invoke("repro", "--out", out, "--only", "bun@")).splitlines()
    assert comment == f"# bun@{BUN}/stock/{addon.stem}/napi-sync/idle: fail"
    bare = subprocess.run(shlex.split(line), capture_output=True, check=False, timeout=60)
    assert bare.returncode == 3, bare

    [folder] = succeed(
        invoke("repro", "--folders", "--out", out, "--only", f"bun@{BUN}/stock/{addon.stem}/napi")
    ).splitlines()
    (tmp_path / "smoke.js").unlink()
    shown = subprocess.run(
        [Path(folder) / "run.sh"],
        env={"PATH": os.defpath, "HOME": str(tmp_path), "BUN": str(bun(BUN).program)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert shown.returncode == 3, shown
    assert '"loaded"' in shown.stdout
    completed = invoke("repro", "--out", out)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "there is no smoke script" in completed.stderr


@pytest.mark.parametrize("name", ["my addon.node", '-it\'s "ü" $(x).node'])
def test_addon_with_odd_file_name_works(tmp_path: Path, addon: Path, name: str) -> None:
    odd = tmp_path / name
    shutil.copy(addon, odd)
    script = smoke(tmp_path, LOAD, SYNC)
    out = tmp_path / "out of here"
    words: list[str | Path] = [
        "matrix",
        "--runtime",
        "bun,node",
        "--versions",
        BUN,
        "--treatment",
        "stock",
    ]
    words += ["--stress", "idle", f"--addon={odd}", "--smoke", script, "--out", out]
    succeed(invoke(*words))
    results = matrix.read_results(out).results
    assert {(result.outcome, result.detail) for result in results} == {("pass", "")}
    assert len(results) == 4
    first = results[0].repro
    assert re.fullmatch("[A-Za-z0-9._-]+", results[0].module)
    # The command line that a report prints runs that cell again, in a shell.
    again = subprocess.run(
        ["sh", "-c", f"{first} --out '{tmp_path / 'again'}'"],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert again.returncode == 0, again.stderr
