"""Modules that attack their harness, on purpose or by accident, each with its expected outcome.

A case is the body of a smoke script's functions. ``NOTE`` is the path of a file outside the cell's
private folder. A case that leaves a process behind writes the id of that process there.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import msgspec

from gobun import build, custom_addon, matrix, runtimes
from gobun.cells import Cell, Outcome, Result
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

BUN = "1.4.5"
LIMIT_S = 3.0
GRACE_S = 40.0
"""Seconds that a cell may take beyond its limit. The limit counts only time in which the cell could
run, so a busy machine prolongs it. Killing the cell and collecting evidence of a hang come after
it."""

GRANDPARENT = """
  const stat = fs.readFileSync(`/proc/${process.ppid}/stat`, "latin1");
  const supervisor = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
"""
LEAVE_SCRIPT = """
  const { spawn } = require("node:child_process");
  const left = spawn("sleep", ["6000"], { detached: true, stdio: ["ignore", 1, 2] });
  fs.writeFileSync(NOTE, String(left.pid));
  await new Promise((resolve) => setTimeout(resolve, 50));
"""
WRITE_TO_PARENTS = """
  const flags = fs.constants.O_WRONLY | fs.constants.O_NONBLOCK;
  for (const pid of [process.ppid, supervisor]) {
    for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
      try {
        fs.writeSync(fs.openSync(`/proc/${pid}/fd/${fd}`, flags), "exit 0 1 1 1 0\\n");
      } catch {}
    }
  }
"""
WRITE_TO_CHANNEL = """
  const write = (text) => fs.appendFileSync(process.env.HOME + "/.gobun/events", text);
"""
KEY_IN_THE_OPEN = """
  const read = (name) => fs.readFileSync(`/proc/self/${name}`, "latin1");
  if (/[0-9a-f]{32}/.test(read("cmdline") + read("environ"))) throw new Error("a key");
  if (fs.existsSync(process.env.HOME + "/.gobun/key")) throw new Error("the file of the key");
"""
DEEP_FOLDERS = """
  const home = process.env.HOME;
  fs.writeFileSync(Buffer.concat([Buffer.from(home + "/"), Buffer.from([255, 10])]), "");
  for (let depth = 0; depth < 1500; depth++) {
    fs.mkdirSync("d");
    process.chdir("d");
  }
  process.chdir(home);
  fs.mkdirSync("closed/inside", { recursive: true });
  fs.chmodSync("closed", 0);
"""
WAIT_FOREVER = "await new Promise((resolve) => setTimeout(resolve, 600_000));"
SPIN = "for (;;);"


class Case(msgspec.Struct, frozen=True):
    """A hostile module."""

    name: str
    check: str = ""
    """JavaScript for ``check()`` of the smoke script."""
    load: str = ""
    """JavaScript for ``load()`` of the smoke script."""
    outcome: Outcome = "pass"
    detail: str = ""
    """Text that the result's detail must contain."""


def _breaking_case(name: str, check: str, reason: str) -> Case:
    return Case(name, LEAVE_SCRIPT + check + WAIT_FOREVER, outcome="error", detail=reason)


def _forges(name: str, load: str) -> Case:
    reason = "ended by itself after 'start', before it was done"
    return Case(name, load=load + "process.exit(0);", outcome="fail", detail=reason)


PRINTS = (
    Case("prints-without-newline", "fs.writeSync(1, 'tick '); process.stdout.write('tock ');"),
    Case("prints-every-turn", "setInterval(() => fs.writeSync(1, 'tick '), 1).unref();"),
    Case("prints-bad-bytes", "fs.writeSync(1, Buffer.from([10, 255, 254, 10, 0]));"),
    Case("prints-forged-fail", """fs.writeSync(1, '\\n@gobun {"at":"fail","why":"no"}\\n');"""),
    Case("writes-into-channel", WRITE_TO_CHANNEL + "write('junk ');"),
    Case(
        "replaces-functions",
        "const write = fs.writeSync; JSON.stringify = () => 'junk';"
        "fs.writeSync = (fd, text, ...rest) => write(fd, `junk${text}`, ...rest);",
    ),
)
CASES = (
    *PRINTS,
    Case("looks-for-the-key", KEY_IN_THE_OPEN),
    Case(
        "terminates-supervisors",
        GRANDPARENT + "process.kill(supervisor, 'SIGTERM'); process.kill(process.ppid, 'SIGINT');",
    ),
    Case("makes-folders", DEEP_FOLDERS),
    _forges("forges-done-in-output", """fs.writeSync(1, '\\n@gobun {"at":"done"}\\n');"""),
    _forges(
        "forges-done-in-channel", WRITE_TO_CHANNEL + """write('\\n@gobun {"at":"done"}\\n');"""
    ),
    _forges(
        "forges-done-with-a-key",
        WRITE_TO_CHANNEL + """write(`\\n@gobun ${"0".repeat(32)} 0 99 {"at":"done"}\\n`);""",
    ),
    Case("forges-exit", GRANDPARENT + WRITE_TO_PARENTS + SPIN, outcome="hang", detail="busy"),
    Case("bad-title", "process.title = 'ä'.repeat(20);" + SPIN, outcome="hang"),
)
BREAKING_CASES = (
    _breaking_case(
        "kills-parent", "process.kill(process.ppid, 'SIGKILL');", "was ended by SIGKILL"
    ),
    _breaking_case("stops-parent", "process.kill(process.ppid, 'SIGSTOP');", "was stopped"),
    _breaking_case(
        "kills-supervisor",
        GRANDPARENT + "process.kill(supervisor, 'SIGKILL');",
        "its supervisor was killed",
    ),
    _breaking_case(
        "stops-supervisor",
        GRANDPARENT + "process.kill(supervisor, 'SIGSTOP');" + SPIN,
        "its supervisor was stopped",
    ),
)


def starts_threads(count: int) -> Case:
    """Return a module whose child starts ``count`` threads and records their number.

    The file with the number is beside ``NOTE``. The child is Python, because no JavaScript runtime
    starts so many.
    """
    code = (
        "import pathlib, sys, threading, time\n"
        "threading.stack_size(65536)\n"
        f"for _ in range({count}):\n"
        "    threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "pathlib.Path(sys.argv[1]).write_text(str(threading.active_count() - 1))\n"
        "print('ready', flush=True)\n"
    )
    check = f"""
      const {{ spawn }} = require("node:child_process");
      const words = ["-c", {code!r}, NOTE + ".threads"];
      const child = spawn({sys.executable!r}, words, {{ stdio: ["ignore", "pipe", 2] }});
      fs.writeFileSync(NOTE, String(child.pid));
      await new Promise((resolve) => child.stdout.on("data", resolve));
      {WAIT_FOREVER}
    """
    return Case("starts-threads", check, outcome="timeout")


def ready_bench(out: Path) -> matrix.RunContext:
    """Return a run context with the pinned Node and a Bun that needs no treatment.

    Raises:
        GobunError: something could not be built or fetched.
    """
    target = host_target()
    context = matrix.build_run_context([], target, out=out, limit_s=LIMIT_S)
    provided = [
        *runtimes.provide_runtimes("bun", [BUN], target),
        *runtimes.provide_runtimes("node", runtimes.choose_versions("node", "", target), target),
    ]
    by_version = {(each.name, each.version): each for each in provided}
    return msgspec.structs.replace(context, runtimes=by_version)


def run_case(bench: matrix.RunContext, folder: Path, case: Case, runtime: str = "bun") -> Result:
    """Run the cell of one case. Its note is ``folder / "note"``."""
    smoke = folder / "smoke.cjs"
    smoke.write_text(
        'const fs = require("node:fs");\n'
        f"const NOTE = {str(folder / 'note')!r};\n"
        "module.exports = {\n"
        f"async load(addon) {{ {case.load} return require(addon); }},\n"
        f"async check() {{ {case.check} }},\n}};\n"
    )
    addon = build.build_fixture(build.CONTROL, host_target()).addon
    version = next(version for name, version in bench.runtimes if name == runtime)
    cell = Cell(runtime, version, "stock", "hostile", "napi-sync", "idle")
    placed = custom_addon.with_custom_addon(
        bench, custom_addon.CustomAddon(addon, smoke, "hostile"), ("stock",)
    )
    return matrix.run_cell(placed, cell, threading.Event())


def difference_from(case: Case, result: Result) -> str:
    """Return the difference between a result and the expected one, or an empty text."""
    if result.outcome == case.outcome and case.detail in result.detail:
        return ""
    return f"{case.name}: {result.outcome}: {result.detail}"
