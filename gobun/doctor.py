"""``invoke doctor``: checks installed and missing tools, and suggests how to install them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun import bun_source, fetch, paths, runtimes, targets, toolchain
from gobun.cells import read_scenario
from gobun.errors import GobunError, PrerequisiteError
from gobun.expectations import read_expectations
from gobun.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOM_BYTES = 3_000_000_000
"""Generous estimate of the cache size for the default matrix and the builds."""


ARM64_LIBRARIES = Path("/usr/aarch64-linux-gnu")
"""Where Debian puts the C library that a program for linux-arm64 needs under qemu."""


class ToolStatus(msgspec.Struct, frozen=True):
    """The result of one check."""

    state: Literal["ok", "missing", "optional"]
    """``optional``: not installed. ``text`` states the consequence."""
    name: str
    text: str


def examine() -> list[ToolStatus]:
    """Check every tool the suite uses, without installing, fetching or changing anything."""
    required: dict[str, Callable[[], str]] = {
        "platform": lambda: targets.host_target().name,
        "zig": lambda: _runs(toolchain.zig(), "version"),
        "node": lambda: _runs(toolchain.node(), "--version"),
        "npm": _npm_version,
        "cache": _cache_room,
        "lock file": _locked,
        "scenarios": lambda: f"{len(read_scenario().stress)} stresses",
        "expectations": lambda: f"{len(read_expectations().rows)} rows",
    }
    statuses = [_check_required(name, look) for name, look in required.items()]
    return [*statuses, go_status(), deno_status(), *_optional()]


def render(findings: list[ToolStatus]) -> str:
    """Return the findings as aligned lines."""
    width = max(len(finding.name) for finding in findings)
    return "\n".join(f"{f.state:8}  {f.name:{width}}  {f.text}" for f in findings)


def _check_required(name: str, look: Callable[[], str]) -> ToolStatus:
    try:
        return ToolStatus("ok", name, look())
    except GobunError as error:
        return ToolStatus("missing", name, str(error))


def _optional() -> list[ToolStatus]:
    remedy = "the linux-arm64 library is not run (Debian: apt install"
    program = "qemu-aarch64-static"
    path = shutil.which(program)
    emulator = (
        ToolStatus("ok", program, path)
        if path
        else ToolStatus("optional", program, f"not found: {remedy} qemu-user-static)")
    )
    libraries = (
        ToolStatus("ok", "arm64 libraries", str(ARM64_LIBRARIES))
        if ARM64_LIBRARIES.is_dir()
        else ToolStatus("optional", "arm64 libraries", f"not found: {remedy} libc6-arm64-cross)")
    )
    return [emulator, libraries, _git(), _registered_status()]


def go_status() -> ToolStatus:
    """Return the status of Go, which a build fetches where pip has none."""
    if toolchain.build_fetches_go():
        return ToolStatus("optional", "go", f"{toolchain.pins()['go']}: the first build fetches it")
    return _check_required("go", lambda: _runs(toolchain.go(), "version"))


def deno_status() -> ToolStatus:
    """Return the status of Deno, which has no build for musl."""
    if targets.host_target().libc == "musl":
        return ToolStatus("optional", "deno", "no build for musl: its cells are skipped")
    return _check_required("deno", lambda: _runs(toolchain.deno(), "--version"))


def _git() -> ToolStatus:
    try:
        return ToolStatus("ok", "git", bun_source.check_git())
    except PrerequisiteError as error:
        return ToolStatus("optional", "git", f"Bun's sources are not fetched: {error}")


def _registered_status() -> ToolStatus:
    labels = [f"bun@{bun.label}" for bun in runtimes.registered_buns()]
    if labels:
        return ToolStatus("ok", "patched Bun", ", ".join(labels))
    return ToolStatus(
        "optional", "patched Bun", "none: patches are emulated (invoke matrix-patched)"
    )


def _runs(tool: toolchain.Tool, argument: str) -> str:
    completed = run_tool([tool.program, argument], timeout_s=60)
    lines = (completed.out or completed.err).strip().splitlines()
    if completed.code != 0:
        raise PrerequisiteError(
            f"{tool.program} does not run: {lines[-1] if lines else completed.code}",
            hint="remove it from the cache with `invoke cache --evict`, and run doctor again",
        )
    return f"{tool.version} ({tool.program})"


def _npm_version() -> str:
    completed = run_tool([*toolchain.npm_command(), "--version"], timeout_s=60)
    if completed.code != 0:
        raise PrerequisiteError(
            f"npm does not run:\n{completed.tail}",
            hint="reinstall Node and npm, and run doctor again",
        )
    return completed.out.strip()


def _cache_room() -> str:
    root = paths.cache_root()
    folder = root
    while not folder.exists():
        folder = folder.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise PrerequisiteError(
            f"{root} cannot be written", hint="set GOBUN_CACHE to another folder"
        )
    free = shutil.disk_usage(folder).free
    if free < _ROOM_BYTES:
        raise PrerequisiteError(
            f"{root}: {free / 1e9:.1f} GB free, {_ROOM_BYTES / 1e9:.0f} GB needed",
            hint="free space with `invoke cache --evict`, or set GOBUN_CACHE",
        )
    return f"{root}, {free / 1e9:.0f} GB free"


def _locked() -> str:
    package = fetch.bun_package(targets.host_target().name)
    return f"{len(fetch.read_lock().versions(package))} releases of {package}"
