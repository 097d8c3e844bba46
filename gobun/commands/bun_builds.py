"""Tasks that build patched Buns, register them, and compare them with stock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun import bun_source, patched, pipeline, runtimes
from gobun.commands.cli import (
    command,
    given_path,
    optional_integer,
    select_patches,
    split_csv,
)
from gobun.commands.run_flags import CellFlags, RunFlags, with_flags
from gobun.console import print_result
from gobun.errors import UsageError
from gobun.printable import printable_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from invoke.context import Context


@command
def build_bun(
    _: Context,
    series: str,
    only: str = "",
    except_: str = "",
    unpatched: bool = False,
    profile: str = "release",
    jobs: str = "",
    zig: str = "",
    webkit: str = "",
    prefetch: str = "",
    downloads: str = "",
    preflight: bool = False,
    json: bool = False,
) -> None:
    """Build a patched Bun and register it as a runtime.

    With --unpatched it is the control, registered as self-built.
    """
    patch_series, _chosen = select_patches(series, only, except_)
    _check_unpatched(only, except_, unpatched=unpatched)
    wish = patched.BuildRequest(
        series=patch_series,
        only_patches=split_csv(only),
        without_patches=split_csv(except_),
        unpatched=unpatched,
        profile=profile,
        jobs=optional_integer(jobs, "--jobs"),
        zig=zig,
        webkit=webkit,
        offline=bun_source.OfflineSources(
            webkit=None if webkit == patched.WEBKIT_FROM_NPM else _folder(webkit, "--webkit"),
            prefetch=_folder(prefetch, "--prefetch"),
            cache=_folder(downloads, "--downloads"),
        ),
    )
    rows = patched.preflight(wish)
    if not json:
        print_result(bun_source.render_preflight(rows))
    if preflight or bun_source.is_missing_any(rows):
        if json:
            show_build(rows, None)
        bun_source.check_preflight(rows)
        return
    bun = patched.build_patched(wish)
    if json:
        show_build(rows, bun)
    else:
        _tell_registered(bun)


class BuildReport(msgspec.Struct, frozen=True):
    """The output of `build-bun --json`."""

    prerequisites: tuple[bun_source.BuildPrerequisite, ...]
    label: str
    """The version under which the matrix runs it; empty if nothing was built."""
    program: str
    """Path of the executable; empty if nothing was built."""
    registered: runtimes.RegisteredBun | None


def show_build(
    rows: Sequence[bun_source.BuildPrerequisite], bun: runtimes.RegisteredBun | None
) -> None:
    """Print a build as JSON. ``bun`` is None if nothing was built."""
    report = BuildReport(
        prerequisites=tuple(rows),
        label=bun.label if bun else "",
        program=str(bun.program) if bun else "",
        registered=bun,
    )
    print(printable_json(msgspec.json.encode(report).decode()), flush=True)


def _check_unpatched(only: str, except_: str, *, unpatched: bool) -> None:
    """Reject a choice of patches together with `--unpatched`.

    Raises:
        UsageError: both are given.
    """
    if unpatched and (only or except_):
        raise UsageError(
            "--unpatched leaves no patches to choose from", hint="leave out --only and --except"
        )


def _folder(text: str, flag: str) -> Path | None:
    path = given_path(text) if text else None
    if path is not None and not path.is_dir():
        raise UsageError(
            f"{flag} {text}: there is no such folder", hint="give the path of a folder"
        )
    return path


@command
def register_bun(
    _: Context,
    path: str,
    series: str,
    only: str = "",
    except_: str = "",
    unpatched: bool = False,
) -> None:
    """Register a Bun that was built elsewhere as a runtime: FILE.

    With --unpatched it is the control, registered as self-built.
    """
    patch_series, chosen_patches = select_patches(series, only, except_)
    _check_unpatched(only, except_, unpatched=unpatched)
    bun = patched.register(given_path(path), patch_series, chosen_patches, unpatched=unpatched)
    _tell_registered(bun)


@command
@with_flags("cells", CellFlags)
@with_flags("run", RunFlags, out="report/patched")
def matrix_patched(
    _: Context,
    cells: CellFlags,
    series: str = "",
    ablate: bool = False,
    *,
    run: RunFlags,
) -> None:
    """Compare patched Buns, or emulations of the patches, with stock Bun."""
    names = split_csv(series) or tuple(bun_source.lines())
    request = pipeline.Request(**cells.fields(), **run.fields())
    series_list = [bun_source.series_named(name) for name in names]
    patched.run_beside_stock(request, series_list, ablate=ablate)


def _tell_registered(bun: runtimes.RegisteredBun) -> None:
    print_result(f"bun@{bun.label}: {bun.program}")
    patches = ", ".join(bun.patches) or "none"
    print_result(f"says it is {bun.revision}; patches: {patches}; {bun.identity}")
