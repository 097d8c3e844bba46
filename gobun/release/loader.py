"""The npm packages of the loader: the one that people install, and one a platform.

``go-warmup`` holds the scripts and, for Linux, the guard: all that cures the hang. The warm-up
library is some eighty times as large, so each platform's is a package of its own, whose ``os``,
``cpu`` and ``libc`` fields keep npm from installing it elsewhere. Only macOS needs it, so only
those are optional dependencies. On Linux a person installs and names it.
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
# Nothing of npm's is asked for, so nothing of a registry's or a person's settings takes part.
_ALONE = {"npm_config_offline": "true", "npm_config_update_notifier": "false"}
_README = """\
# {name}

The warm-up library of the package go-warmup for {target}. `require` of this package returns the
library's path. Install go-warmup, which finds this package where it needs it.
"""


class _About(msgspec.Struct, frozen=True, rename={"operating_systems": "os"}, omit_defaults=True):
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
    """As npm knows it."""
    tarball: Path
    libraries: tuple[str, ...]
    """The file names of the libraries in it."""


def platform_package(target: Target) -> str:
    """Return the npm name of the package that has the warm-up library of a platform."""
    return f"@{PACKAGE}/{target.name}"


def tarball_name(version: str, target: Target | None = None) -> str:
    """Return the file name that npm gives to a packed release: of the loader, or of a platform."""
    stem = platform_package(target)[1:].replace("/", "-") if target else PACKAGE
    return f"{stem}-{version}.tgz"


def pack_loader(
    version: str,
    guards: Sequence[build.BuiltLibrary],
    libraries: Sequence[build.BuiltLibrary],
    out: Path,
) -> list[Packed]:
    """Pack the loader with ``guards``, and ``libraries`` as a package each, into ``out``.

    Returns them in the order in which they were packed, the loader first. Equal sources give equal
    bytes: npm writes neither times nor owners.

    Raises:
        PrerequisiteError: Node is missing, or ``out`` cannot be written.
        BuildError: npm could not pack one.
    """
    # The loader finds these on every system, and loads the one for its own.
    inside = [each for each in guards if each.target.os == "linux"]
    loader = out / tarball_name(version)
    packed = [Packed(PACKAGE, loader, tuple(each.library.name for each in inside))]
    with files.temporary_sibling(loader) as staged:
        _fill_loader(staged / "loader", version, inside, libraries)
        _pack(staged / "loader", loader)
        for each in libraries:
            folder, tarball = staged / each.target.name, out / tarball_name(version, each.target)
            _fill_platform(folder, version, each)
            _pack(folder, tarball)
            packed.append(Packed(platform_package(each.target), tarball, (each.library.name,)))
    return packed


def _pack(package: Path, packed: Path) -> None:
    words: list[str | Path] = ["pack", "--ignore-scripts", "--pack-destination", package.parent]
    done = run_tool(
        [*toolchain.npm_command(), *words],
        cwd=package,
        env=_ALONE,
        timeout_s=_NPM_TIMEOUT_S,
    )
    made = package.parent / packed.name
    if done.code != 0 or not made.is_file():
        raise BuildError(f"npm could not pack {packed.name}:\n{done.tail}")
    files.copy_whole(made, packed)


def _fill_loader(
    package: Path,
    version: str,
    inside: Sequence[build.BuiltLibrary],
    libraries: Sequence[build.BuiltLibrary],
) -> None:
    with files.disk_errors(package):
        shutil.copytree(paths.LOADER_SOURCES, package, copy_function=shutil.copyfile)
        shutil.copyfile(paths.ROOT / "LICENSE", package / "LICENSE")
        # As text, so that the file stays as a person has written it.
        about = package / "package.json"
        about.write_text(about.read_text().replace('"0.0.0"', f'"{version}"'))
        (package / "lib").mkdir()
        for each in inside:
            shutil.copyfile(each.library, package / "lib" / each.library.name)
        known = [*inside, *libraries]
        sums = {each.library.name: files.sha256_of(each.library) for each in known}
        (package / "sums.json").write_bytes(files.readable_json(dict(sorted(sums.items()))))


def _fill_platform(package: Path, version: str, built: build.BuiltLibrary) -> None:
    name, target = platform_package(built.target), built.target
    about = _About(
        name=name,
        version=version,
        description=f"The warm-up library of go-warmup for {target.name}",
        license="MIT",
        main="./index.js",
        files=("README.md", "LICENSE", "index.js", built.library.name),
        operating_systems=(target.os,),
        cpu=(target.arch,),
        libc=(target.libc,) if target.libc else (),
    )
    script = f'"use strict";\nmodule.exports = `${{__dirname}}/{built.library.name}`;\n'
    with files.disk_errors(package):
        package.mkdir()
        shutil.copyfile(paths.ROOT / "LICENSE", package / "LICENSE")
        shutil.copyfile(built.library, package / built.library.name)
        (package / "index.js").write_text(script)
        (package / "README.md").write_text(_README.format(name=name, target=target.name))
        (package / "package.json").write_bytes(files.readable_json(about))
