"""Builds Asherah's addon for applications: asherah-node's functions, without the test hooks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import gobun
from gobun import files, paths, toolchain
from gobun.build import build_store, musl
from gobun.build import compile as compiling
from gobun.build.fixtures import ADDON_EXPORTS, node_api_headers
from gobun.build.guard import build_static_guard
from gobun.build.guard_source import GUARD_SOURCES, INSTALL_SOURCES
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.targets import Target

_ADDON = "asherah.node"
_TYPES = "asherah.d.ts"
_VERSION_PREFIX = "3.0.0-gobun."
_VERSION = f"{_VERSION_PREFIX}{gobun.__version__}"


def build_asherah_addon(target: Target) -> Path:
    """Return the addon ``asherah.node`` for ``target``, with the guard inside.

    The addon is built if it is missing.

    Raises:
        PrerequisiteError: Go or Zig is missing.
        BuildError: the build failed.
        FetchError: a Go module, or Node's headers, could not be fetched.
    """
    glue_folder, asherah_folder = (paths.NATIVE_SOURCES / name for name in ("addon", "asherah"))
    application_folder = paths.NATIVE_SOURCES / "asherah_addon"
    glue_sources = [
        glue_folder / "addon.c",
        *sorted(asherah_folder.glob("*.c")),
        application_folder / "init.c",
    ]
    glue_sources.remove(asherah_folder / "init.c")  # It also exports the test hooks.

    def make(folder: Path) -> None:
        module, flags = folder / "module.a", compiling.GoFlags(tags=("application",))
        compiling.go_archive(
            "asherah", target=target, go=toolchain.go(), output=module, flags=flags
        )
        guard = build_static_guard([target])[0].library if target.os == "linux" else None
        compiling.c_shared(
            [*glue_sources, module, *([guard] if guard else [])],
            target=target,
            output=folder / _ADDON,
            exports=ADDON_EXPORTS,
            includes=[node_api_headers()],
            # A linker takes an object from an archive only if something refers to it.
            flags=["-Wl,-u,GuardVersion"] if guard else [],
        )
        module.unlink()
        musl.convert_if_musl(folder / _ADDON, target)

    sources = [glue_folder, asherah_folder, application_folder, paths.GO_SOURCES / "asherah"]
    sources += [paths.GO_SOURCES / "go.mod", GUARD_SOURCES, INSTALL_SOURCES]
    sources += musl.sources_for(target)
    name = f"asherah-addon-{target.name}"
    return build_store.built_with_pins(name, sources, target, make) / _ADDON


def write_asherah_package(target: Target, out: Path) -> list[Path]:
    """Write a package ``asherah`` for ``target`` into the folder ``out``, and return its files.

    Raises:
        UsageError: ``out`` is a file, or the folder holds another package.
        PrerequisiteError: Go or Zig is missing, or the folder cannot be written.
        BuildError: the build failed.
        FetchError: a Go module, or Node's headers, could not be fetched.
    """
    addon, types, manifest = out / _ADDON, out / _TYPES, out / "package.json"
    _check_folder(out, manifest)
    files.copy_whole(build_asherah_addon(target), addon)
    files.copy_whole(paths.NATIVE_SOURCES / "asherah" / _TYPES, types)
    package_json = {
        "name": "asherah",
        "version": _VERSION,
        "description": "The functions and types of asherah 3.x, with the signal guard inside",
        "license": "MIT",
        "main": _ADDON,
        "types": _TYPES,
        "os": [target.os],
        "cpu": [target.arch],
        **({"libc": [target.libc]} if target.libc else {}),
    }
    files.write_whole(manifest, json.dumps(package_json, indent=2) + "\n")
    return [addon, types, manifest]


def _check_folder(out: Path, manifest: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", hint="give --out a folder, such as asherah")
    if manifest.exists() and f'"{_VERSION_PREFIX}' not in manifest.read_text(errors="replace"):
        raise UsageError(
            f"{out} holds another package already", hint="give --out a folder of its own"
        )
