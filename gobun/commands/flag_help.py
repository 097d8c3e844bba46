"""Help for every flag: one table, completed from the signature of the task.

A row holds a sentence and the meaning of an empty value. The default comes from the signature and
the choices come from the code, so neither can drift. A flag without a row stops every task.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable

import msgspec

from gobun import build, paths
from gobun.cells import LOADS
from gobun.patched import WEBKIT_FROM_NPM
from gobun.runtimes import RUNTIMES
from gobun.targets import TARGETS
from gobun.treatments import TREATMENTS
from gobun.vm.architectures import ARCHITECTURES, RELEASES

REQUIRED_TEXT = "required"


class Flag(msgspec.Struct, frozen=True):
    """The help of one flag."""

    text: str
    default_text: str = ""
    """The meaning of an empty value; ``REQUIRED_TEXT`` if the task rejects one."""
    choices: Collection[str] | Callable[[], Iterable[str]] = ()
    """The values that the flag takes, or a function that lists them."""


def _stresses() -> list[str]:
    return ["all", *sorted(path.stem for path in (paths.SCENARIOS / "stress").glob("*.cjs"))]


def benchmark_names() -> list[str]:
    """Return the names that ``benchmark`` takes."""
    return sorted(path.stem for path in paths.ROOT.glob("benchmarks/[!_]*.py"))


_OF_RUN = "the value in gobun.toml, then the one in scenarios/default.toml"
_MUSL = [target.name for target in TARGETS.values() if target.libc == "musl"]
_OUT_FOLDER = Flag("folder for the results and the reports")
_RESULTS_FOLDER = Flag("folder with the results")

SHARED_FLAGS = {
    "ablate": Flag("also run builds or emulations of single patches"),
    "add": Flag("new files to include in the patch, a comma list", "none"),
    "addon": Flag("your own .node file, instead of the suite's modules", "the one in gobun.toml"),
    "arch": Flag("processor of the virtual machine", choices=ARCHITECTURES),
    "attempts": Flag("attempts per release; one bad attempt makes the release bad"),
    "backtrace": Flag("also print backtraces of all threads, with gdb"),
    "bad": Flag("a release that is known to be bad", "found by running releases"),
    "command": Flag("command to start; write it after --", "none; give a process instead"),
    "config": Flag("configuration file of your addon", "gobun.toml in this folder"),
    "cores": Flag("processors of the virtual machine", "2, or what this machine has"),
    "core": Flag("keep the core dumps of cells that crash"),
    "dirty": Flag("allow changes that are not committed"),
    "discard": Flag("replace a checkout and lose the changes in it"),
    "downloads": Flag("folder to look in for downloads, and to keep them in", "none"),
    "drop": Flag("remove patches that the checkout no longer has"),
    "durations": Flag("earlier results, to balance the shards by duration", "none"),
    "emulate": Flag("emulate the processor, even if KVM is available"),
    "end": Flag("also end a command that hangs"),
    "evict": Flag("remove entries instead of listing them"),
    "except": Flag("patches to leave out, a comma list of ids", "none"),
    "facts": Flag("file with the measurements of `invoke benchmark`"),
    "file": Flag("the library or addon to read"),
    "folders": Flag("write folders to attach to an issue instead of printing commands"),
    "from": Flag("address of the release, with {version} in it"),
    "go": Flag("version of Go to build with", "the one pinned in pyproject.toml"),
    "good": Flag("a release that is known to be good", "found by running releases"),
    "id": Flag("id of the new patch"),
    "jobs": Flag("cells to run at once", "chosen from the number of cores"),
    "json": Flag("print JSON for programs"),
    "kernel": Flag("flavour of Debian's kernel in the virtual machine", "the usual one"),
    "kind": Flag("kinds of cache entry to remove, a comma list", "all, except your own work"),
    "libc": Flag("C library of the runtimes", "the one of this machine", ("glibc", "musl")),
    "limit": Flag("seconds after which a cell without a verdict is stopped", _OF_RUN),
    "load": Flag("ways to load the module, a comma list", _OF_RUN, LOADS),
    "loader": Flag("path of musl's dynamic loader", "Debian's"),
    "manifest": Flag("manifest of the built libraries, for their sizes"),
    "markdown": Flag("print Markdown"),
    "module": Flag("modules under test, a comma list", _OF_RUN, build.MODULES),
    "memory": Flag("memory of the virtual machine, in MiB"),
    "mirror": Flag("address of the Debian archive", "the one that apt uses here"),
    "name": Flag("name of the library"),
    "names": Flag("also ship the libraries under these older names, a comma list", "none"),
    "object": Flag("also compile all Zig code and check the machine code"),
    "older-than": Flag("remove only entries that were not used for this many days", "any age"),
    "only": Flag("patches to include, a comma list of ids", "all patches of the series"),
    "onto": Flag("release to move the series to"),
    "out": Flag("folder for the files"),
    "path": Flag("files, after the name of the task; each may be a pattern", REQUIRED_TEXT),
    "pid": Flag("process to diagnose, after the name of the task", "none; give a command instead"),
    "prefetch": Flag("folder with everything that the build downloads", "none"),
    "preflight": Flag("check what the build needs, and stop"),
    "profile": Flag("build profile", choices=("release", "quick", "debug")),
    "program": Flag("musl program to prepare", "none; print the folder"),
    "quick": Flag("read files only; compile nothing"),
    "rebuild": Flag("build the release again and compare"),
    "ref": Flag("commit, tag or branch to check out", "the commit of the release"),
    "release": Flag("release of Debian in the virtual machine", choices=RELEASES),
    "repeat": Flag("times to run each cell"),
    "results": Flag("results of a run, after the name of the task"),
    "resume": Flag("keep the cells that --out already has and run the rest"),
    "review": Flag("results to review the expectations against", "none"),
    "runtime": Flag("runtimes to run, a comma list", "bun", RUNTIMES),
    "series": Flag("series of patches, such as v1.2.19"),
    "shard": Flag("part of the plan to run, such as 2/4", "the whole plan"),
    "shell": Flag("open a shell in the virtual machine instead; a script may come on stdin"),
    "shards": Flag("number of parts to split the plan into"),
    "smoke": Flag("script that calls your addon once", "the one in gobun.toml"),
    "source": Flag("address, clone, bundle or archive of the sources", "upstream's repository"),
    "stress": Flag("stresses to run, a comma list", _OF_RUN, _stresses),
    "submodules": Flag("FOLDER or NAME=SOURCE for submodules, a comma list", "upstream's"),
    "sums": Flag("SHA256SUMS that you trust", "the one of the release"),
    "sve": Flag("let the kernel of an arm64 guest use SVE"),
    "target": Flag("platforms to build for, a comma list", "all", TARGETS),
    "title": Flag("one-line title of the patch"),
    "treatment": Flag("treatments to apply, a comma list", _OF_RUN, TREATMENTS),
    "unpatched": Flag("leave all patches out: the control"),
    "update": Flag("results to update the expected ranges from", "none"),
    "version": Flag("version of the release"),
    "versions": Flag("versions, a comma list of 1.2.19, 1.2.x, latest or node@22", _OF_RUN),
    "webkit": Flag(
        f"folder of a built WebKit, or {WEBKIT_FROM_NPM} to fetch upstream's", "upstream's way"
    ),
    "where": Flag("folder or address of the release"),
    "why": Flag("why the patch is needed", "a reminder to write it"),
    "zig": Flag("path or version of the Zig to build with", "the one of the series"),
}
"""Flags by name. If a flag differs in one task, `TASK_FLAGS` has a row for that task."""

TASK_FLAGS = {
    "benchmark": {"name": Flag("what to measure", choices=benchmark_names)},
    "bisect": {
        "load": Flag("way to load the module", choices=LOADS),
        "module": Flag("module under test", choices=build.MODULES),
        "out": _OUT_FOLDER,
        "runtime": Flag("runtime to bisect", choices=RUNTIMES),
        "stress": Flag("stress to run", choices=lambda: _stresses()[1:]),
        "treatment": Flag("treatment to apply", choices=TREATMENTS),
    },
    "build-asherah": {
        "out": Flag("folder of the package to write"),
        "target": Flag("platform to build for", "this machine's", TARGETS),
    },
    "build-bun": {"jobs": Flag("compilers to run at once", "chosen from cores and memory")},
    "bun-commits": {"versions": Flag("releases of Bun, a comma list of 1.2.19 or 1.4.x")},
    "claims": {"out": _RESULTS_FOLDER},
    "convert-musl": {"out": Flag("file, or folder for several", "NAME-musl.so beside each")},
    "download-warmup": {
        "target": Flag("platforms, a comma list", "this machine's", TARGETS),
    },
    "embed-guard": {"out": Flag("file to write")},
    "matrix": {
        "name": Flag("name of your addon in the results", "its file name"),
        "out": _OUT_FOLDER,
    },
    "matrix-patched": {
        "out": _OUT_FOLDER,
        "series": Flag("series of patches, a comma list", "all series"),
    },
    "merge": {"out": _OUT_FOLDER},
    "musl-sysroot": {
        "target": Flag("musl platform", "this machine's processor", _MUSL),
    },
    "patch-bun": {"version": Flag("release to apply the series to", "the one of the series")},
    "patch-lint": {"series": Flag("series of patches", "all series")},
    "plan": {"name": Flag("name of your addon in the results", "its file name")},
    "register-bun": {"path": Flag("the Bun that was built elsewhere")},
    "report": {"out": _RESULTS_FOLDER},
    "repro": {
        "only": Flag("part of the names of the cells", "all that did not pass"),
        "out": _RESULTS_FOLDER,
    },
    "test": {"only": Flag("arguments for pytest, separated by spaces", "all tests")},
    "vm": {"out": _OUT_FOLDER},
    "vendor-guard": {"out": Flag("folder of the Go package to write")},
}
"""Rows that replace a shared row in one task."""


def flag_help(task: str, parameters: Iterable[inspect.Parameter]) -> dict[str, str]:
    """Return the help of each parameter of a task, named as on the command line.

    Raises:
        KeyError: a flag has no row.
        ValueError: a flag may be empty, and its row does not explain an empty value.
    """
    return {each.name: _render(task, each) for each in parameters}


def _render(task: str, parameter: inspect.Parameter) -> str:
    name = parameter.name.strip("_").replace("_", "-")
    flag = TASK_FLAGS.get(task, {}).get(name) or SHARED_FLAGS[name]
    notes = [_default(flag, task, parameter)]
    choices = list(flag.choices() if callable(flag.choices) else flag.choices)
    if choices:
        notes.append(f"choices: {', '.join(choices)}")
    return f"{flag.text} ({'; '.join(notes)})"


def _default(flag: Flag, task: str, parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is inspect.Parameter.empty or flag.default_text == REQUIRED_TEXT:
        return REQUIRED_TEXT
    if isinstance(default, bool):
        return f"default: {'on' if default else 'off'}"
    default_value = default or flag.default_text
    if not default_value:
        raise ValueError(f"the flag {parameter.name} of {task} does not explain an empty value")
    return f"default: {default_value}"
