"""Packs the npm packages of the loader: the one that people install, and one per platform.

``go-warmup`` has the scripts and, for Linux, the guard. That is enough to cure the hang. The
warm-up library is about eighty times as large as the guard, so each platform's library has its own
package. The fields ``os``, ``cpu`` and ``libc`` keep npm from installing it on other platforms.
Only macOS needs the library, so only the packages for macOS are optional dependencies. A person who
wants the library on Linux installs its package and passes its path to ``warmup``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import build, files, paths, toolchain
from gobun.errors import BuildError
from gobun.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.targets import Target

PACKAGE = "go-warmup"
_NPM_TIMEOUT_S = 120.0
# Packing needs no registry, so keep npm off the network.
_OFFLINE_ENV = {"npm_config_offline": "true", "npm_config_update_notifier": "false"}
_README = """\
# {name}

The warm-up library of the package go-warmup for {target}. `require` of this package returns the
library's path. Install go-warmup, which finds this package where it needs it.
"""


class _PlatformManifest(
    msgspec.Struct, frozen=True, rename={"operating_systems": "os"}, omit_defaults=True
):
    """The package.json of a platform's package."""

    name: str
    version: str
    description: str
    license: str
    main: str
    files: tuple[str, ...]
    operating_systems: tuple[str, ...]
    cpu: tuple[str, ...]
    libc: tuple[str, ...] = ()


class Packed(msgspec.Struct, frozen=True):
    """An npm package that was packed."""

    name: str
    """Its name on npm."""
    tarball: Path
    libraries: tuple[str, ...]
    """The file names of the libraries in it."""


def platform_package(target: Target) -> str:
    """Return the npm name of the package with the warm-up library of a platform."""
    return f"@{PACKAGE}/{target.name}"


def tarball_name(version: str, target: Target | None = None) -> str:
    """Return npm's file name for a packed release of the loader or of a platform's package."""
    stem = platform_package(target)[1:].replace("/", "-") if target else PACKAGE
    return f"{stem}-{version}.tgz"


def pack_loader(
    version: str,
    guards: Sequence[build.BuiltLibrary],
    libraries: Sequence[build.BuiltLibrary],
    out: Path,
) -> list[Packed]:
    """Pack the loader with ``guards``, and each of ``libraries`` as its own package, into ``out``.

    Returns the packages in packing order, the loader first. npm writes neither times nor owners,
    so equal sources give equal bytes.

    Raises:
        PrerequisiteError: Node is missing, or ``out`` cannot be written.
        BuildError: npm could not pack a package.
    """
    # The package has the guards of all Linux targets. The loader picks the one for its system.
    linux_guards = [each for each in guards if each.target.os == "linux"]
    loader = out / tarball_name(version)
    packed = [Packed(PACKAGE, loader, tuple(each.library.name for each in linux_guards))]
    with files.temporary_sibling(loader) as staged:
        build.fill_loader(staged / "loader", version, linux_guards, libraries)
        _pack(staged / "loader", loader)
        for each in libraries:
            folder, tarball = staged / each.target.name, out / tarball_name(version, each.target)
            _fill_platform(folder, version, each)
            _pack(folder, tarball)
            packed.append(Packed(platform_package(each.target), tarball, (each.library.name,)))
    return packed


def _pack(package: Path, packed: Path) -> None:
    words: list[str | Path] = ["pack", "--ignore-scripts", "--pack-destination", package.parent]
    completed = run_tool(
        [*toolchain.npm_command(), *words],
        cwd=package,
        env=_OFFLINE_ENV,
        timeout_s=_NPM_TIMEOUT_S,
    )
    archive = package.parent / packed.name
    if completed.code != 0 or not archive.is_file():
        raise BuildError(
            f"npm could not pack {packed.name}:\n{completed.tail}", hint="run `invoke doctor`"
        )
    files.copy_whole(archive, packed)


def _fill_platform(package: Path, version: str, library: build.BuiltLibrary) -> None:
    name, target = platform_package(library.target), library.target
    about = _PlatformManifest(
        name=name,
        version=version,
        description=f"The warm-up library of go-warmup for {target.name}",
        license="MIT",
        main="./index.js",
        files=("README.md", "LICENSE", "index.js", library.library.name),
        operating_systems=(target.os,),
        cpu=(target.arch,),
        libc=(target.libc,) if target.libc else (),
    )
    script = f'"use strict";\nmodule.exports = `${{__dirname}}/{library.library.name}`;\n'
    with files.disk_errors(package):
        package.mkdir()
        shutil.copyfile(paths.ROOT / "LICENSE", package / "LICENSE")
        shutil.copyfile(library.library, package / library.library.name)
        (package / "index.js").write_text(script)
        (package / "README.md").write_text(_README.format(name=name, target=target.name))
        (package / "package.json").write_bytes(files.readable_json(about))
