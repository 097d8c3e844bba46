"""The commands that build a checkout, stage by stage, as upstream documents them.

The newer build systems do everything in one command. `make` and the first CMake need several. The
next build skips a finished stage whose outputs exist.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun.bun_source.build_programs import llvm_folder
from gobun.bun_source.build_progress import CountedFiles
from gobun.bun_source.layout import build_system_of
from gobun.errors import UsageError
from gobun.process import path_before

if TYPE_CHECKING:
    from gobun.bun_source.layout import BuildLayout

_PASSED_ON = ("CARGO_HOME", "RUSTUP_HOME", "CCACHE_DIR", "CC", "CXX", "DEVELOPER_DIR", "SDKROOT")
_MAKE_LIBRARIES: dict[str, tuple[tuple[str, ...], int]] = {
    "mimalloc": (("libmimalloc.o",), 5),
    "picohttp": (("picohttpparser.o",), 1),
    "zlib": (("libz.a",), 5),
    "boringssl": (("libcrypto.a", "libssl.a", "libdecrepit.a"), 120),
    "libarchive": (("libarchive.a",), 60),
    "lolhtml": (("liblolhtml.a",), 60),
    "sqlite": (("sqlite3.o",), 40),
    "uws": (("libusockets.a", "libuwsockets.o"), 30),
    "tinycc": (("libtcc.a",), 5),
    "c-ares": (("libcares.a",), 10),
    "zstd": (("libzstd.a",), 30),
    "base64": (("libbase64.a",), 5),
}
"""For each target of upstream's Makefile: its files in ``src/deps`` and its CPU time in seconds."""
_MAKE_SCRIPTS = {
    "node-fallbacks": (("src/node-fallbacks/out",), 10),
    "runtime_js": (("src/runtime.out.js", "src/runtime.node.out.js", "src/runtime.bun.out.js"), 2),
    "fallback_decoder": (("src/fallback.out.js",), 1),
    "bun_error": (("packages/bun-error/dist",), 5),
}
"""The same for targets that are not libraries, with files relative to the checkout."""
_MAKE_BLOBS = ("src/js_lexer/id_start_bitset.blob", "src/js_lexer/id_continue_bitset.blob")
_BINDINGS = "src/bun.js/bindings"
_MAKE_SOURCES = (
    f"{_BINDINGS}/*.cpp",
    *(f"{_BINDINGS}/{each}/*.cpp" for each in ("webcore", "sqlite", "node_os", "webcrypto")),
    "src/bun.js/modules/*.cpp",
    "src/io/*.cpp",
    "src/js/out/*.cpp",
)
"""Files that `release-bindings` compiles."""
_MAKE_QUICK = ("OPTIMIZATION_LEVEL=-O1", "EMIT_LLVM_FOR_RELEASE=", "EMIT_LLVM=")
"""Settings of ``quick`` and ``debug``: less optimisation of C++, and none by the linker."""
_MAKE_ZIG = {
    "release": ("build-obj", 480, "bun-link-lld-release"),
    "quick": ("build-obj", 480, "bun-link-lld-release"),
    "debug": ("dev-obj-notrack", 120, "bun-link-lld-debug"),
}
"""For each profile: the target that compiles Zig code, its weight, and the target that links."""


class BuildOptions(msgspec.Struct, frozen=True):
    """The user's options for one build."""

    profile: str
    jobs: int
    bun: Path
    """The released Bun that runs upstream's build scripts."""
    zig: Path | None = None
    """A Zig that replaces the one that upstream pins."""
    webkit: Path | None = None
    """A folder with ``include`` and ``lib``, or a checkout of WebKit's sources (build.ts)."""
    prefetch: Path | None = None
    """A folder with every file that build.ts downloads, each named after its address."""
    cache: Path | None = None
    """The folder where upstream's scripts keep downloads."""
    commit: str = ""
    """The upstream commit, which the executable reports as its revision (`make`)."""


class Stage(msgspec.Struct, frozen=True):
    """One command of a build."""

    name: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    """Outputs, relative to the checkout. A finished stage is skipped if all its outputs exist. A
    stage without outputs runs in every build and itself decides which files are out of date."""
    weight: int = 1
    """Approximate seconds of CPU time, for the estimate of the remaining time."""
    counted_files: CountedFiles | None = None
    """Files that measure its progress. Ninja reports its own."""


class BuildPlan(msgspec.Struct, frozen=True):
    """Everything that a build runs."""

    stages: tuple[Stage, ...]
    env: dict[str, str]
    program: str
    """The resulting executable, relative to the checkout."""


def plan_build(layout: BuildLayout, tree: Path, options: BuildOptions) -> BuildPlan:
    """Return the commands that build ``tree``, and their environment variables.

    Raises:
        UsageError: the build system is unknown, or does not support the profile or an option.
    """
    programs = build_system_of(tree).programs
    if options.profile not in programs:
        raise UsageError.unknown("profile", options.profile, list(programs))
    machine = {"x86_64": "x64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    system = "darwin" if sys.platform == "darwin" else "linux"
    program = programs[options.profile].format(system=system, machine=machine)
    llvm = llvm_folder(layout) if layout.era in {"make", "cmake-1"} else None
    env = path_before(options.bun.parent, *([llvm] if llvm else []))
    env |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if layout.era == "make":
        _refuse(layout, options, "prefetch", "cache")
        # Otherwise the revision is HEAD, so each change of a C++ patch recompiles all Zig code.
        env["GIT_SHA"] = options.commit
        return BuildPlan(_make_stages(options, program), env, program)
    if layout.era == "cmake-1":
        _refuse(layout, options, "prefetch", "cache")
        return BuildPlan(_first_cmake_stages(options), env, program)
    return BuildPlan((_scripted(layout, options, env),), env, program)


def _refuse(layout: BuildLayout, options: BuildOptions, *flags: str) -> None:
    """Reject flags that the build system of a checkout does not support.

    Raises:
        UsageError: such a flag is set.
    """
    flag_names = {"prefetch": "--prefetch", "cache": "--downloads", "zig": "--zig"}
    for flag in flags:
        if getattr(options, flag):
            raise UsageError(
                f"Bun {layout.version} is built with {layout.era}, which does not support "
                f"{flag_names[flag]}",
                hint="`invoke build-bun --preflight` lists what this build needs",
            )


def _scripted(layout: BuildLayout, options: BuildOptions, env: dict[str, str]) -> Stage:
    """Return the one command of the newer build systems, and add its variables to ``env``."""
    script = f"build:{options.profile}"
    if script not in layout.scripts:
        raise UsageError(
            f"the package.json of Bun {layout.version} has no script {script}",
            hint=f"it has {', '.join(name for name in layout.scripts if 'build' in name)}",
        )
    _refuse(layout, options, "zig")
    words = [str(options.bun), "run", script, f"-j{options.jobs}"]
    # Turn canary off below: otherwise a local build reports a canary of another version.
    if layout.era == "cmake":
        _refuse(layout, options, "prefetch")
        words.append("-DENABLE_CANARY=OFF")
        words += [f"-DWEBKIT_PATH={options.webkit}"] if options.webkit else []
        words += [f"-DCACHE_PATH={options.cache}"] if options.cache else []
        return Stage("build", tuple(words))
    words.append("--canary=off")
    if options.webkit:
        words.append("--webkit=local")
        env["BUN_WEBKIT_PATH"] = str(options.webkit)
    if options.prefetch:
        env["BUN_BUILD_PREFETCH_DIR"] = str(options.prefetch)
    words += [f"--cache-dir={options.cache}"] if options.cache else []
    return Stage("build", tuple(words))


def _make_stages(options: BuildOptions, program: str) -> tuple[Stage, ...]:
    """Return upstream's make targets, from the npm packages to the linked executable."""
    settings = [f"CPUS={options.jobs}"]
    settings += [f"ZIG={options.zig}"] if options.zig else []
    settings += [f"JSC_BASE_DIR={options.webkit}"] if options.webkit else []

    # Objects built with other flags need their own folder, because make does not compare flags.
    optimised = options.profile == "release"
    objects = "src/bun.js/bindings-obj" if optimised else "src/bun.js/bindings-obj-quick"
    cxx = [*settings, f"OBJ_DIR={objects}", *(() if optimised else _MAKE_QUICK)]
    zig, zig_weight, link = _MAKE_ZIG[options.profile]
    # A debug build shares the C++ objects of `quick`, so only the Zig code is compiled for it.
    linked = [*cxx, f"DEBUG_OBJ_DIR={objects}"] if options.profile == "debug" else cxx

    def target(name: str, outputs: tuple[str, ...], weight: int) -> Stage:
        return Stage(name, ("make", name, *settings), outputs, weight)

    libraries = [
        target(name, tuple(f"src/deps/{each}" for each in outputs), weight)
        for name, (outputs, weight) in _MAKE_LIBRARIES.items()
    ]
    scripts = [target(name, outputs, weight) for name, (outputs, weight) in _MAKE_SCRIPTS.items()]
    return (
        target("npm-install", ("node_modules",), 30),
        *libraries,
        *scripts,
        target("identifier-cache", _MAKE_BLOBS, 40),
        Stage(
            "release-bindings",
            ("make", "release-bindings", f"-j{options.jobs}", *cxx),
            weight=2700,
            counted_files=CountedFiles(_MAKE_SOURCES, f"{objects}/*.o"),
        ),
        Stage("folder", ("mkdir", "-p", str(Path(program).parent))),
        target(zig, (), zig_weight),
        Stage(link, ("make", link, *linked), weight=60),
    )


def _first_cmake_stages(options: BuildOptions) -> tuple[Stage, ...]:
    """Return the three steps in upstream's notes: build libraries, configure, compile."""
    kind, folder = {"release": ("Release", "build-release"), "debug": ("Debug", "build")}[
        options.profile
    ]
    configure = ["cmake", ".", f"-DCMAKE_BUILD_TYPE={kind}", "-GNinja", f"-B{folder}", "-DCANARY=0"]
    configure += [f"-DZIG_COMPILER={options.zig}"] if options.zig else []
    configure += [f"-DWEBKIT_DIR={options.webkit}"] if options.webkit else []
    return (
        Stage("dependencies", ("bash", "scripts/all-dependencies.sh"), (), 400),
        Stage("configure", tuple(configure), (), 20),
        Stage("compile", ("ninja", f"-C{folder}", f"-j{options.jobs}"), (), 3000),
    )
