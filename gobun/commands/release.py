"""Tasks that make, verify and download releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import build, paths
from gobun import release as releasing
from gobun.commands.cli import command, given_path, split_csv
from gobun.console import print_result
from gobun.targets import TARGETS, host_target, target_named

if TYPE_CHECKING:
    from invoke.context import Context


@command
def pack_loader(_: Context, version: str, out: str = "dist") -> None:
    """Pack the npm package go-warmup and one package per platform."""
    named = releasing.check_version(version)
    targets = list(TARGETS.values())
    guards, libraries = build.build_guard(targets), build.build_warmup(targets)
    for packed in releasing.pack_loader(named, guards, libraries, given_path(out)):
        print_result(paths.display_path(packed.tarball))


@command
def release(
    _: Context, version: str, out: str = "dist", names: str = "", dirty: bool = False
) -> None:
    """Make a release in a folder below --out."""
    folder = releasing.make_release(
        version, given_path(out), names=split_csv(names), allow_changes=dirty
    )
    print_result(paths.display_path(folder))


@command
def verify_release(_: Context, where: str, rebuild: bool = True) -> None:
    """Check a release in a folder or at an address, and build it again."""
    place = where if "://" in where else str(given_path(where))
    manifest = releasing.verify_release(place, rebuild=rebuild)
    rebuild_text = ", and comes out the same here" if rebuild else ""
    print_result(
        f"{where} is go-warmup {manifest.version}, {len(manifest.files) + 2} files{rebuild_text}"
    )


@command
def download_warmup(
    _: Context,
    version: str,
    from_: str,
    out: str = "lib",
    target: str = "",
    name: str = build.DEFAULT_NAME,
    sums: str = "",
) -> None:
    """Download the libraries of a release and check their digests."""
    targets = [target_named(part) for part in split_csv(target)] or [host_target()]
    trusted = given_path(sums) if sums else None
    for path in releasing.download_warmup(
        version, from_, given_path(out), targets=targets, name=name, sums_file=trusted
    ):
        print_result(paths.display_path(path))
