"""Tasks on Bun's sources: fetch them, patch them, and keep the series of patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import build, bun_source, console, paths, runtimes
from gobun.analysis import read_claims
from gobun.cells import LOADS, OUTCOMES, read_scenario
from gobun.commands.cli import (
    command,
    select_patches,
    split_csv,
)
from gobun.console import print_result
from gobun.errors import FetchError, PatchError, UsageError
from gobun.targets import host_target
from gobun.treatments import TREATMENTS

if TYPE_CHECKING:
    from pathlib import Path

    from invoke.context import Context


@command
def fetch_bun(
    _: Context,
    version: str,
    source: str = "",
    ref: str = "",
    submodules: str = "",
    discard: bool = False,
) -> None:
    """Check out Bun's sources.

    The source may be an address, a clone, a bundle or an archive.
    """
    release = bun_source.read_commits().get(version)
    if release is None and not ref:
        release = bun_source.commit_of_release(version)
    origin = bun_source.parse_origin(source)
    sources = bun_source.parse_sources(split_csv(submodules))
    fetched = bun_source.fetch_checkout(
        version, origin, release=release, ref=ref, discard=discard, sources=sources
    )
    print_result(f"{fetched.folder}{' was there already' if fetched.there_before else ''}")
    same = (
        f"the release {version}" if fetched.is_release else f"not known to be the release {version}"
    )
    print_result(f"commit {fetched.base}, {same}")
    if release is not None and fetched.is_release:
        print_result(_compare_with_release(version, release.commit))
    for path in fetched.missing:
        print_result(f"no content in the source, left out: {path}")
    for filled in fetched.submodules:
        _tell_submodule(filled)


def _tell_submodule(result: bun_source.FilledSubmodule) -> None:
    submodule = result.submodule
    print_result(
        f"submodule {submodule.path}: {submodule.commit[:12]}"
        f"{', there already' if result.there_before else ''}"
    )
    for path in result.missing:
        print_result(f"no content in the source, left out: {path}")
    for path in result.nested:
        print_result(f"not fetched, a submodule of a submodule: {path}")


def _compare_with_release(version: str, commit: str) -> str:
    """Return a sentence on whether the released binary was built from ``commit``.

    Raises:
        FetchError: the binary names another commit.
    """
    try:
        program = runtimes.provide_bun([version], host_target())[0].program
    except FetchError as error:
        return f"not compared with the released binary, which cannot be had: {error.what}"
    revision = bun_source.shown_revision(program)
    if not commit.startswith(revision):
        raise FetchError(
            f"the released Bun {version} is built from {revision}, not from {commit}",
            hint="correct gobun/bun_source/commits.toml; `invoke bun-commits` shows the difference",
        )
    return f"the released binary says {revision}: the same"


@command
def bun_commits(_: Context, versions: str) -> None:
    """Record the commits that released Buns were built from."""
    target = host_target()
    buns = runtimes.provide_bun(runtimes.choose_bun(versions, target), target)
    for version in bun_source.record_new_commits({bun.version: bun.program for bun in buns}):
        print_result(f"added {version}: {bun_source.commit_of_release(version).commit}")


@command
def patch_bun(
    _: Context, series: str, only: str = "", except_: str = "", version: str = ""
) -> None:
    """Apply a series of patches to a checkout, all of it or nothing."""
    patch_series, chosen_patches = select_patches(series, only, except_)
    with bun_source.open_checkout(version or patch_series.version) as checkout:
        applied = bun_source.apply_series(checkout, patch_series, chosen_patches)
    for name in applied.patches:
        print_result(f"applied {name}")
    patches = console.pluralize(len(applied.patches), "patch", "patches")
    print_result(f"{applied.folder}: {patches} of {patch_series.line}, identity {applied.identity}")


@command
def patch_export(_: Context, series: str, drop: bool = False) -> None:
    """Write the commits of a checkout back to its series."""
    patch_series = bun_source.series_named(series)
    with bun_source.open_checkout(patch_series.version) as checkout:
        export = bun_source.export_series(checkout, patch_series.folder, drop=drop)
    _print_export(export, patch_series.folder)


@command
def patch_new(_: Context, series: str, id: str, title: str, why: str = "", add: str = "") -> None:
    """Make a patch from the changes in a checkout."""
    folder = paths.PATCHES / (series if series.startswith("v") else f"v{series}")
    with bun_source.open_checkout(folder.name.removeprefix("v")) as checkout:
        export = bun_source.new_patch(
            checkout, folder, name=id, title=title, reason=why, add=split_csv(add)
        )
    _print_export(export, folder)


def _print_export(export: bun_source.Export, folder: Path) -> None:
    for name in export.changed_files:
        print_result(
            f"wrote {folder.name}/{name}" if (folder / name).is_file() else f"removed {name}"
        )
    file_count = console.pluralize(len(export.changed_files), "file")
    summary = f"{file_count} changed" if export.changed_files else "as it was"
    patches = console.pluralize(len(export.patches), "patch", "patches")
    print_result(f"{folder.name}: {patches}, {summary}")


@command
def patch_rebase(_: Context, series: str, onto: str, except_: str = "") -> None:
    """Move a series to another release of Bun."""
    patch_series = bun_source.series_named(series)
    folder = paths.PATCHES / f"v{onto}"
    if folder.exists():
        raise UsageError(f"there is a series {folder.name} already", hint="remove it first")
    with bun_source.open_checkout(onto) as checkout:
        chosen_patches = patch_series.select_patches((), split_csv(except_))
        rebased = bun_source.rebase(checkout, patch_series, chosen_patches)
    for step in rebased.steps:
        print_result(f"{step.patch}: {step.state}")
    if rebased.conflicts:
        raise PatchError(
            "\n".join(step.problem for step in rebased.conflicts),
            hint="nothing was written; leave these patches out with --except, and make them "
            "again with `invoke patch-new`",
        )
    remaining = [patch.id for patch in patch_series.bun_patches if patch not in chosen_patches]
    _print_export(bun_source.write_rebased(folder, onto, rebased, patch_series, remaining), folder)


@command
def patch_lint(_: Context, series: str = "") -> None:
    """Check the form of one series, or of all."""
    names = [bun_source.series_named(series).line] if series else bun_source.lines()
    every = [bun_source.series_named(name) for name in bun_source.lines()]
    problems = bun_source.lint_series(every, _known_names())
    if series:
        problems = [problem for problem in problems if f"{paths.PATCHES / names[0]}/" in problem]
    print_result("\n".join(problems) or f"{len(names)} series, nothing wrong")
    if problems:
        raise SystemExit(UsageError.exit_code)


def _known_names() -> bun_source.KnownNames:
    return bun_source.KnownNames(
        claims=read_claims().keys(),
        treatments=TREATMENTS,
        modules=tuple(build.MODULES),
        loads=LOADS,
        stresses=tuple(read_scenario().stress),
        outcomes=OUTCOMES,
    )
