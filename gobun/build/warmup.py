"""Builds the warm-up libraries from one Go package. Every machine gives the same bytes."""

from __future__ import annotations

import concurrent.futures
import hashlib
from typing import TYPE_CHECKING

import msgspec

from gobun import audit, files, paths, process, toolchain
from gobun.build import build_store, musl
from gobun.build import compile as compiling
from gobun.build.guard_source import GUARD_SOURCES, INSTALL_SOURCES
from gobun.build.library import AUDIT, BuiltLibrary, enforce_rules, file_names
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.targets import Target
    from gobun.toolchain import Tool

DEFAULT_NAME = "go-warmup"
NAMES = (DEFAULT_NAME, "go-runtime-warmup", "bun_warmup_minimal")
"""The current name and those of earlier releases."""

EXPORTS = ("Warmup", "WarmupGoRuntime")
_PACKAGE = "warmup"


def build_warmup(
    targets: Sequence[Target], *, name: str = DEFAULT_NAME, go_version: str | None = None
) -> list[BuiltLibrary]:
    """Return the library for each target, in order. Build those that the cache lacks.

    ``name`` is the first part of the file names. ``go_version`` selects another Go release than the
    pinned one. The size of the library then has no limit.

    Raises:
        UsageError: the name or the Go release does not exist.
        PrerequisiteError: Go or Zig is missing.
        BuildError: the build failed, or the library does not pass its audit.
        FetchError: the Go release could not be installed.
    """
    if name not in NAMES:
        raise UsageError.unknown("library name", name, NAMES)
    go, zig = toolchain.go(go_version), toolchain.zig()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        try:
            return list(pool.map(lambda target: _build(target, name, go, zig), targets))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            process.interrupt_tools()
            raise


def _build(target: Target, name: str, go: Tool, zig: Tool) -> BuiltLibrary:
    file_name, header_name = file_names(name, target)
    flags = compiling.GoFlags.compact(go.version)
    guard = sorted(path for path in GUARD_SOURCES.iterdir() if path.suffix in {".c", ".h"})
    guard.append(INSTALL_SOURCES / "constructor.c")
    if target.os == "linux":
        digest = hashlib.sha256("".join(map(files.sha256_of, guard)).encode()).hexdigest()
        flags = msgspec.structs.replace(flags, included=digest)
    pinned = go.version == toolchain.pins()["go"]
    rules = audit.warmup_rules(
        target, file_name=file_name, max_bytes=audit.WARMUP_MAX_BYTES if pinned else None
    )
    recipe = build_store.recipe(
        f"{name}-{target.name}",
        sources=[
            paths.GO_SOURCES / _PACKAGE,
            paths.GO_SOURCES / "go.mod",
            *guard,
            *musl.sources_for(target),
            AUDIT,
        ],
        settings=(target.zig_triple, go.version, zig.version, repr(rules)),
    )

    def make(folder: Path) -> None:
        library = folder / file_name
        compiling.go_shared(
            _PACKAGE, target=target, go=go, output=library, exports=EXPORTS, flags=flags
        )
        musl.convert_if_musl(library, target)
        enforce_rules(library, rules)
        files.copy_whole(paths.GO_SOURCES / _PACKAGE / "warmup.h", folder / header_name)

    folder = build_store.built(recipe, make)
    return BuiltLibrary(
        target,
        folder / file_name,
        folder / header_name,
        go.version,
        zig.version,
        flags.manifest_flags,
    )
