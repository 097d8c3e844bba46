"""Tasks that build libraries and inspect them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import audit as auditing
from gobun import build, paths, sysroot
from gobun import embed as embedding
from gobun.commands.cli import command, command_with_words, given_path, split_csv, variadic_paths
from gobun.console import print_result
from gobun.targets import TARGETS, for_libc, host_target, target_named

if TYPE_CHECKING:
    from pathlib import Path

    from invoke.context import Context


@command
def build_warmup(
    _: Context, target: str = "", out: str = "dist", go: str = "", name: str = build.DEFAULT_NAME
) -> None:
    """Build the warm-up libraries for every platform."""
    targets = [target_named(part) for part in split_csv(target) or tuple(TARGETS)]
    built = build.build_warmup(targets, name=name, go_version=go or None)
    folder = given_path(out)
    for entry in build.publish(built, folder):
        placed = paths.display_path(folder / entry.file)
        print_result(f"{entry.sha256}  {placed}  {entry.size:,} bytes, Go {entry.go}")


@command
def build_guard(_: Context, target: str = "", out: str = "dist") -> None:
    """Build the guard: a shared library, a static one, and one for LD_PRELOAD."""
    targets = [target_named(part) for part in split_csv(target) or tuple(TARGETS)]
    preload = build.build_preload([each for each in targets if each.os == "linux"])
    folder = given_path(out)
    built = [*build.build_guard(targets), *build.build_static_guard(targets), *preload]
    for entry in build.publish(built, folder):
        print_result(
            f"{entry.sha256}  {paths.display_path(folder / entry.file)}  {entry.size:,} bytes"
        )


@command
def build_asherah(_: Context, target: str = "", out: str = "dist/asherah") -> None:
    """Build Asherah's addon as a package that replaces asherah-node."""
    chosen_target = target_named(target) if target else host_target()
    for path in build.write_asherah_package(chosen_target, given_path(out)):
        print_result(f"{paths.display_path(path)}  {path.stat().st_size:,} bytes")


@command
def vendor_guard(_: Context, out: str) -> None:
    """Write the guard as a Go package to copy into a module."""
    for path in build.vendor_guard(given_path(out)):
        print_result(paths.display_path(path))


@command
def embed_guard(_: Context, file: str, out: str) -> None:
    """Put the guard into a finished library or addon: FILE -o OUT."""
    print_result(paths.display_path(embedding.embed_guard(given_path(file), given_path(out))))


@command_with_words(words_before="path")
@variadic_paths
def audit(_: Context, paths: list[Path]) -> None:
    """Show the properties of finished libraries, or of runtimes for macOS: FILE…."""
    print_result("\n\n".join(auditing.describe(path) for path in paths))


@command_with_words(words_before="path")
@variadic_paths
def convert_musl(_: Context, libraries: list[Path], out: str = "") -> None:
    """Make Go libraries load on musl (Alpine): FILE… -o OUT."""
    for path, target in build.conversion_outputs(libraries, given_path(out) if out else None):
        conversion = build.convert_file(path, target)
        target_path = paths.display_path(target)
        print_result(
            f"{target_path}  {conversion.sites:,} loads of Go's TLS word converted, "
            f"{conversion.added_bytes:+,} bytes"
        )
        if conversion.replaced_libraries:
            print_result(f"  needs libc.so in place of {', '.join(conversion.replaced_libraries)}")
        if conversion.plain_functions:
            print_result(f"  calls by their plain names: {', '.join(conversion.plain_functions)}")
        if conversion.adapted_functions:
            print_result(f"  has adapters for {', '.join(conversion.adapted_functions)}")


@command
def musl_sysroot(_: Context, target: str = "", loader: str = "", program: str = "") -> None:
    """Assemble a folder in which musl programs run."""
    chosen_target = target_named(target) if target else for_libc(host_target(), "musl")
    root = sysroot.sysroot_for(chosen_target.name, given_path(loader) if loader else None)
    path = root.program(given_path(program)) if program else root.folder
    print_result(f"{path}  musl {root.version}")
