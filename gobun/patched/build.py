"""From a series to a patched Bun that can run cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import bun_source, paths, runtimes
from gobun.bun_source import OfflineSources, Series
from gobun.errors import UsageError
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.bun_source import BuildLayout, Patch
    from gobun.runtimes import Bun, Registered


class BuildRequest(msgspec.Struct, frozen=True):
    """What is to be built, and how."""

    series: Series
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    profile: str = "release"
    jobs: int | None = None
    offline: OfflineSources = OfflineSources()

    @property
    def patches(self) -> tuple[Patch, ...]:
        """The patches of it."""
        return self.series.selected(self.only, self.without)


def preflight(wish: BuildRequest) -> list[bun_source.BuildPrerequisite]:
    """Look at everything that a build needs.

    Raises:
        UsageError: there is no checkout, its build is of no kind known here, or a flag does not
            fit it.
    """
    version = wish.series.version
    with bun_source.open_checkout(version) as checkout:
        layout = bun_source.read_layout(checkout.folder)
        _words(wish, layout, Path("bun"))
        return bun_source.examine(
            layout,
            checkout.folder,
            missing=checkout.missing(),
            submodules=bun_source.missing_submodules(checkout),
            bun=lambda: _stock(version).version,
            offline=wish.offline,
            version=version,
        )


def build_patched(wish: BuildRequest) -> Registered:
    """Apply the patches, run upstream's build, and keep the result as a runtime.

    Raises:
        UsageError: a person's work is in the checkout, a flag does not fit its layout, or the
            series carries no patch.
        PatchError: a patch does not apply.
        BuildError: the build failed.
    """
    series = wish.series
    series.check_carries("build")
    stock = _stock(series.version)
    with bun_source.open_checkout(series.version) as checkout:
        words, env = _words(wish, bun_source.read_layout(checkout.folder), stock.program)
        applied = bun_source.apply_series(checkout, series, wish.patches)
    name = f"bun-{series.version}-{applied.identity}-{wish.profile}.log"
    log = paths.cache_root() / "logs" / name
    with bun_source.build(applied, words, env, wish.profile, log) as done:
        record = msgspec.structs.replace(
            _record(series, wish.patches, applied.base, applied.identity),
            head=applied.head,
            log=str(done.log),
            seconds=done.seconds,
        )
        return runtimes.register(done.program, record, stock.program)


def _words(wish: BuildRequest, layout: BuildLayout, bun: Path) -> tuple[list[str], dict[str, str]]:
    if wish.jobs is not None and wish.jobs < 1:
        raise UsageError(f"--jobs {wish.jobs} builds nothing", hint="give at least 1")
    return bun_source.build_words(
        layout,
        wish.profile,
        jobs=wish.jobs or bun_source.jobs_by_memory(),
        offline=wish.offline,
        bun=bun,
    )


def register(program: Path, series: Series, patches: Sequence[Patch]) -> Registered:
    """Keep a Bun that was built elsewhere of a series.

    Raises:
        UsageError: it is of another version, or is stock, or the series carries no patch.
        FetchError: the stock Bun to compare it with cannot be had.
    """
    series.check_carries("register")
    commit = bun_source.commit_of_release(series.version).commit
    identity = bun_source.identity_of(commit, series, patches)
    record = _record(series, patches, commit, identity)
    return runtimes.register(program, record, _stock(series.version).program)


def _stock(version: str) -> Bun:
    return runtimes.provide_bun([version], host_target())[0]


def _record(series: Series, patches: Sequence[Patch], commit: str, identity: str) -> Registered:
    return runtimes.Registered(
        version=series.version,
        line=series.line,
        identity=identity,
        commit=commit,
        patches=tuple(patch.id for patch in patches),
        whole=tuple(patches) == series.applied,
        target=host_target().name,
    )
