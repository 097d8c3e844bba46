"""The modules under test that come with the suite, each as a library and as an addon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import fetch, files, paths, toolchain, wheels
from gobun.build import build_store, musl
from gobun.build import compile as compiling
from gobun.build.guard import build_static_guard
from gobun.build.guard_source import GUARD_SOURCES, INSTALL_SOURCES
from gobun.errors import PrerequisiteError, UsageError

if TYPE_CHECKING:
    from gobun.targets import Target

ASHERAH = "asherah"
GO_FIXTURES = {
    "simple": "simple",
    "crypto": "crypto",
    "setup-full": "setup_full",
    ASHERAH: "asherah",
}
"""Package in ``go/`` of each Go fixture."""

CONTROL = "control"
PUBLISHED = "libasherah"
"""The library that asherah's maintainers publish. The suite only downloads it."""
FIXTURES = (CONTROL, *GO_FIXTURES, PUBLISHED)
"""The modules that have all functions of ``EXPORTS``, as a library and as an addon."""

RUST = "asherah-rust"
MODULES = (*FIXTURES, RUST)
"""All modules under test that come with the suite."""

EXPORTS = (
    "Run",
    "Recover",
    "Overflow",
    "BlockThreads",
    "Busy",
    "CallBack",
    "DeepStack",
    "TakeSignals",
    "SignalsReceived",
)
"""Functions that the library of every fixture exports. ``go/testhooks`` documents them."""

_LIBASHERAH = (
    "SetEnv",
    "SetupJson",
    "Shutdown",
    "Encrypt",
    "Decrypt",
    "EncryptToJson",
    "DecryptFromJson",
    "EstimateBuffer",
    "IsSetUp",
    "LastReason",
)
_MORE_EXPORTS = {
    CONTROL: ("Disposition", "WriteToClosedSocket", "Crash"),
    "setup-full": ("SetupJson",),
    ASHERAH: (*_LIBASHERAH, "AllowTempFileBuffers"),
    PUBLISHED: _LIBASHERAH,
}
_MORE_GLUE = {ASHERAH: ("asherah",), PUBLISHED: ("asherah",)}
"""Folders in ``native/`` that a fixture's addon needs beside ``native/addon``."""
ADDON_EXPORTS = ("napi_register_module_v1", "node_api_module_get_api_version_v1")
"""The only exports of every addon."""


class Fixture(msgspec.Struct, frozen=True):
    """A module under test in both of its forms."""

    name: str
    library: Path
    """The library for foreign function interfaces. It exports ``EXPORTS``."""
    addon: Path
    """The addon for ``require``, with ``runSync``, ``callAsync`` and others (``native/addon``)."""
    published: Path | None = None
    """``libasherah``: the library that both forms load from their folder. None for all others."""
    glue: str = ""
    """Script in ``scenarios/asherah`` that gives the addon the functions of a fixture."""


def node_api_headers() -> Path:
    """Return the folder of ``node_api.h``, fetched if it is missing.

    Raises:
        FetchError: the headers could not be fetched.
    """
    package = fetch.Package("node-api-headers", toolchain.npm_pins()["node-api-headers"])
    return fetch.fetch_packages([package])[package] / "include"


def build_fixture(
    name: str, target: Target, *, guarded: bool = False, converted: bool = True
) -> Fixture:
    """Build a fixture for ``target``, or take it from the cache.

    ``guarded`` links the guard into both forms, where it installs itself. ``converted`` makes both
    forms loadable on a musl platform, and does nothing on other platforms.

    Raises:
        UsageError: there is no such fixture.
        PrerequisiteError: Go or Zig is missing.
        BuildError: the build failed.
        FetchError: a package or a Go module could not be fetched.
    """
    if name not in FIXTURES:
        raise UsageError.unknown("module", name, FIXTURES)
    stem = name.replace("-", "_")
    library = f"{stem}{target.library_suffix}"
    addon = f"{stem}.node" if name == CONTROL else f"go_{stem}.node"
    glue_folders = [paths.NATIVE_SOURCES / part for part in ("addon", *_MORE_GLUE.get(name, ()))]
    # A file in a later folder replaces the one with the same name in an earlier folder.
    glue_sources = {
        source.name: source for part in glue_folders for source in sorted(part.glob("*.c"))
    }
    control_sources = [
        paths.NATIVE_SOURCES / "c_fixture" / "c_fixture.c",
        paths.GO_SOURCES / "testhooks" / "testhooks.c",
    ]
    published_name = f"libasherah-published{target.library_suffix}"
    published_sources = [
        *sorted((paths.NATIVE_SOURCES / "libasherah").glob("*.c")),
        control_sources[1],
    ]
    exports = (*EXPORTS, *_MORE_EXPORTS.get(name, ()))

    guard = [build_static_guard([target])[0].library] if guarded else []
    # A linker takes an object from an archive only if something refers to it.
    linker_flags = ["-Wl,-u,GuardVersion"] if guarded else []

    def make(folder: Path) -> None:
        if name in GO_FIXTURES:
            package, go = GO_FIXTURES[name], toolchain.go()
            compiling.go_shared(
                package,
                target=target,
                go=go,
                output=folder / library,
                exports=exports,
                link_arguments=[*linker_flags, *map(str, guard)],
            )
            module = [folder / "module.a"]
            compiling.go_archive(package, target=target, go=go, output=module[0])
        else:
            module = published_sources if name == PUBLISHED else control_sources
            compiling.c_shared(
                [*module, *guard],
                target=target,
                output=folder / library,
                exports=exports,
                flags=linker_flags,
            )
        if name == PUBLISHED:
            files.copy_whole(published_asherah(target), folder / published_name)
            if converted:
                musl.convert_if_musl(folder / published_name, target)
        compiling.c_shared(
            [*glue_sources.values(), *module, *guard],
            target=target,
            output=folder / addon,
            exports=ADDON_EXPORTS,
            includes=[node_api_headers()],
            flags=linker_flags,
        )
        (folder / "module.a").unlink(missing_ok=True)
        if name in GO_FIXTURES and converted:
            musl.convert_if_musl(folder / library, target)
            musl.convert_if_musl(folder / addon, target)

    module_sources = (
        [*control_sources, *published_sources] if name == PUBLISHED else control_sources
    )
    if name in GO_FIXTURES:
        packages = (GO_FIXTURES[name], "testhooks", "workload", "go.mod")
        module_sources = [paths.GO_SOURCES / package for package in packages]
    module_sources = [*module_sources, *([GUARD_SOURCES, INSTALL_SOURCES] if guarded else [])]
    module_sources = [*module_sources, *(musl.sources_for(target) if converted else ())]
    recipe_name = f"{name}{'-guarded' if guarded else ''}{'' if converted else '-unconverted'}"
    folder = build_store.built_with_pins(
        f"{recipe_name}-{target.name}", [*glue_folders, *module_sources], target, make
    )
    published_library = folder / published_name if name == PUBLISHED else None
    return Fixture(name, folder / library, folder / addon, published_library)


def provide_module(name: str, target: Target) -> Fixture:
    """Build or fetch one of ``MODULES`` for ``target``.

    Raises:
        UsageError: there is no such module.
        PrerequisiteError: Go or Zig is missing, or the module is not for ``target``.
        BuildError: the build failed.
        FetchError: a package could not be fetched.
    """
    if name not in MODULES:
        raise UsageError.unknown("module", name, MODULES)
    return rust_asherah(target) if name == RUST else build_fixture(name, target)


def published_asherah(target: Target) -> Path:
    """Return libasherah from the maintainers' Python package. Fetch it if it is missing.

    Raises:
        PrerequisiteError: pip is missing, or the disk is full.
        FetchError: the package could not be fetched, or does not match the lock file.
    """
    package = "asherah"
    library = Path(package) / "libasherah" / f"libasherah-{target.arch}{target.library_suffix}"
    version = toolchain.pip_pins()[package]
    return wheels.installed(wheels.WheelRequest(package, version, package, library, "Asherah"))


def rust_asherah(target: Target) -> Fixture:
    """Return the engine of npm's asherah 4.x, an addon without Go, fetched if it is missing.

    Raises:
        PrerequisiteError: no package is pinned for ``target``.
        FetchError: the package could not be fetched, or does not match the lock file.
    """
    if target.name != "linux-x64":
        raise PrerequisiteError(
            f"{RUST} is pinned for linux-x64 only, not for {target.name}",
            hint="leave it out of --module",
        )
    package = fetch.Package(fetch.ENGINE_PACKAGE, toolchain.npm_pins()[fetch.ENGINE_PACKAGE])
    addon = fetch.fetch_packages([package])[package] / "index.linux-x64-gnu.node"
    return Fixture(RUST, addon, addon, glue="rust")
