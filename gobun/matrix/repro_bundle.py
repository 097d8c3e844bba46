"""Writes a folder that reproduces one outcome by itself, to attach to an upstream issue.

It holds the scripts, the libraries, ``run.sh`` and a README. It contains no path of the machine
that made it.
"""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import files, paths
from gobun.cells.records import Cell, Ending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gobun.cells.records import Header
    from gobun.runtimes import Runtime

LIMIT_S = 30
"""Seconds after which ``run.sh`` reports a hang, unless ``LIMIT`` is set."""
_LIBRARIES = "libraries"
_NEEDS_MUSL = " Run it on Alpine, or another musl system, with the package libstdc++."
_VARIABLES = {"bun": "BUN", "node": "NODE", "deno": "DENO"}


class ReproCell(msgspec.Struct, frozen=True):
    """A cell of the group and how it ended."""

    cell: Cell
    ending: Ending


def group_name(cell: Cell) -> str:
    """Return a folder name for the cells that differ only in their version."""
    parts = (cell.runtime, cell.treatment, cell.module, cell.load, cell.stress)
    return "-".join(parts).replace(":", "-")


def write_repro(
    folder: Path,
    trials: Sequence[ReproCell],
    *,
    runtime: Runtime,
    argument: Mapping[str, str],
    environment: Mapping[str, str],
    package: str,
    header: Header,
) -> None:
    """Write the folder for cells that differ only in their version, in version order.

    ``argument`` is the argument of ``cell.cjs``. ``environment`` holds the variables that the
    treatment adds to the environment. Files with an absolute path in either are copied into the
    folder. ``package`` is the npm package of the runtime, or ``""``.

    Raises:
        PrerequisiteError: the folder cannot be written.
    """
    cell = trials[0].cell
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.temporary_sibling(folder) as staged, files.disk_errors(folder):
        bundle = staged / "repro"
        bundle.mkdir()
        ignore = shutil.ignore_patterns("*.toml")
        shutil.copytree(paths.SCENARIOS, bundle / "scenarios", ignore=ignore)
        (bundle / _LIBRARIES).mkdir()
        bundled_arguments = _copy_libraries(_needed_arguments(argument), bundle)
        (bundle / "repro.cjs").write_text(_script(bundled_arguments))
        script = bundle / "run.sh"
        switches = {
            "BUN_DEBUG_QUIET_LOGS": "1",
            "BUN_ENABLE_CRASH_REPORTING": "0",
            "GO_WARMUP_GUARD": "0",
        }
        settings = {**switches, **_copy_libraries(environment, bundle)}
        script.write_text(_run_script(cell, runtime, settings))
        script.chmod(0o755)
        (bundle / "README.md").write_text(_readme(trials, package, header))
        if folder.exists():
            shutil.rmtree(folder)
        bundle.rename(folder)


def _copy_libraries(arguments: Mapping[str, str], folder: Path) -> dict[str, str]:
    bundled_arguments: dict[str, str] = {}
    for key, value in arguments.items():
        source = Path(value)
        if not source.is_absolute():
            bundled_arguments[key] = value
            continue
        target = folder / _LIBRARIES / source.name
        shutil.copyfile(source, target)
        bundled_arguments[key] = f"./{target.relative_to(folder).as_posix()}"
    return bundled_arguments


def _needed_arguments(argument: Mapping[str, str]) -> dict[str, str]:
    """Leave out the form of the module that this load does not use."""
    unused = {"ffi": "addon", "napi-sync": "library", "napi-async": "library"}
    # A worker may load either form, and some stresses load the other one beside it.
    simple = argument.get("stress") in {"idle", "gc", "wasm", "profile", "worker"}
    return {
        key: value
        for key, value in argument.items()
        if not (simple and key == unused.get(argument.get("load", "")))
    }


def _script(argument: Mapping[str, str]) -> str:
    return (
        "// Gives scenarios/cell.cjs its argument, with the libraries of this folder.\n"
        '"use strict";\n'
        'const path = require("node:path");\n'
        f"const argument = {json.dumps(argument, indent=2)};\n"
        "for (const [key, value] of Object.entries(argument)) {\n"
        '  if (value.startsWith("./")) argument[key] = path.join(__dirname, value);\n'
        "}\n"
        "process.argv[2] = JSON.stringify(argument);\n"
        'require("./scenarios/cell.cjs");\n'
    )


def _run_script(cell: Cell, runtime: Runtime, environment: Mapping[str, str]) -> str:
    variable = _VARIABLES[cell.runtime]
    # The shell fills in the program, and repro.cjs contains the argument.
    _, *words = runtime.command(Path("repro.cjs"), "")
    command = shlex.join([word for word in words if word])
    # Not exported, so that `timeout` itself runs without the treatment.
    settings = shlex.join([f"{name}={value}" for name, value in environment.items()])
    return (
        "#!/bin/sh\n"
        f"# {group_name(cell)}: run as {variable}=/path/to/{cell.runtime} ./run.sh\n"
        "# Ends with 124 when the program hangs, otherwise as the program does.\n"
        'cd "$(dirname "$0")" || exit 2\n'
        f'timeout -s KILL "${{LIMIT:-{LIMIT_S}}}" \\\n'
        f'  env {settings} "${{{variable}:-{cell.runtime}}}" {command}\n'
        "code=$?\n"
        "# GNU timeout that kills dies of the same signal; busybox ends as its child does.\n"
        'if [ "$code" -eq 137 ]; then\n'
        f'  echo "HANG: it did not end within ${{LIMIT:-{LIMIT_S}}} s" >&2\n'
        "  exit 124\n"
        "fi\n"
        'echo "ended with $code" >&2\n'
        'exit "$code"\n'
    )


def _readme(trials: Sequence[ReproCell], package: str, header: Header) -> str:
    cell = trials[0].cell
    host = header.host
    rows = "\n".join(
        f"| {trial.cell.runtime}@{trial.cell.version} | {trial.ending.outcome} "
        f"| {_one_line(trial.ending.detail)} |"
        for trial in trials
    )
    tools = ", ".join(f"{name} {version}" for name, version in header.made_with.items())
    variable, version = _VARIABLES[cell.runtime], trials[-1].cell.version
    get = (
        f"npm install --no-save {package}@{version}\n"
        f"{variable}=$PWD/node_modules/{package}/bin/{cell.runtime} ./run.sh\n"
        if package
        else f"{variable}=/path/to/{cell.runtime} ./run.sh\n"
    )
    needs = _NEEDS_MUSL if host.libc_name == "musl" else ""
    return (
        f"# {group_name(cell)}\n\n"
        f"{_cell_text(cell)} `run.sh` ends with 124 when it hangs.{needs}\n\n"
        f"```\n{get}```\n\n"
        f"| runtime | outcome | seen |\n| --- | --- | --- |\n{rows}\n\n"
        f"Seen on {host.system} ({host.libc}, {host.cpu}, {host.cores} cores). "
        f"Built with {tools}.\n\n"
        "The libraries are built from the sources of gobun: `go/` and `native/`. Each line on\n"
        "standard output names the step that the program reached; `done` is the last.\n"
    )


def _cell_text(cell: Cell) -> str:
    first = "" if cell.treatment == "stock" else f" under the treatment `{cell.treatment}`"
    return (
        f"Loads the module `{cell.module}` with `{cell.load}`{first}, calls it, then runs "
        f"`scenarios/stress/{cell.stress}.cjs`."
    )


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
