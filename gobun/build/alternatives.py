"""Builds Asherah's Go code as a server process and as WebAssembly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import files, paths, toolchain
from gobun.build import build_store, go_modules
from gobun.build import compile as compiling

if TYPE_CHECKING:
    from gobun.targets import Target

_WITHOUT_AWS = ("-tags", "nodeprecated")


class Alternatives(msgspec.Struct, frozen=True):
    """The programs that an application can use instead of a native module."""

    server: Path
    """A program that answers over a Unix socket (``go/asherah/serve``)."""
    wasm: Path
    """The WebAssembly module (``go/asherah/wasm``). It cannot lock or protect memory."""
    wasm_exec: Path
    """Go's script that a JavaScript runtime needs to run the WebAssembly module."""


def build_alternatives(target: Target) -> Alternatives:
    """Build both programs for ``target``, or take them from the cache.

    Raises:
        PrerequisiteError: Go or Zig is missing.
        BuildError: the build failed.
        FetchError: a Go module could not be fetched.
    """
    package, go = paths.GO_SOURCES / "asherah", toolchain.go()
    settings = (target.name, f"go {go.version}")
    sources = [package, paths.GO_SOURCES / "go.mod"]
    recipe = build_store.recipe(
        f"asherah-alternatives-{target.name}", sources=sources, settings=settings
    )

    def make(folder: Path) -> None:
        flags = compiling.GoFlags()
        native_environment = compiling.go_environment(target, go, toolchain.zig(), flags)
        native_environment["CGO_ENABLED"] = "0"
        go_modules.fetch_modules(package, go, native_environment)
        wasm_environment = native_environment | {"GOOS": "js", "GOARCH": "wasm"}
        for output, arguments, environment in (
            ("serve", ["./serve"], native_environment),
            ("asherah.wasm", ["-modfile=wasm.mod", "./wasm"], wasm_environment),
        ):
            compiling.run_go_build(
                go,
                [*_WITHOUT_AWS, *arguments],
                flags.linker,
                title=output,
                cwd=package,
                env=environment,
                output=folder / output,
            )
        script = go.program.parent.parent / "lib" / "wasm" / "wasm_exec.js"
        files.copy_whole(script, folder / "wasm_exec.js")

    folder = build_store.built(recipe, make)
    return Alternatives(folder / "serve", folder / "asherah.wasm", folder / "wasm_exec.js")
