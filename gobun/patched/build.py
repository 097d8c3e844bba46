"""Builds a patched Bun from a series, and registers it as a runtime for cells."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import bun_source, fetch, paths, runtimes, toolchain
from gobun.bun_source import OfflineSources, Series
from gobun.errors import UsageError
from gobun.targets import host_target
from gobun.treatments import PATCHED, SELF_BUILT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.bun_source import BuildLayout, Patch
    from gobun.runtimes import Bun, RegisteredBun


WEBKIT_FROM_NPM = "npm"
"""The value of ``--webkit`` for the static libraries that upstream published on npm."""


class BuildRequest(msgspec.Struct, frozen=True):
    """The inputs and options of a build."""

    series: Series
    only_patches: tuple[str, ...] = ()
    without_patches: tuple[str, ...] = ()
    unpatched: bool = False
    """Build the control, which has only the patches that the line needs to compile."""
    profile: str = "release"
    jobs: int | None = None
    """Number of compilers at once; None for as many as fit into memory."""
    zig: str = ""
    """A path, or the version of a released Zig; empty for the version that the series names."""
    webkit: str = ""
    """A path, or ``npm``; empty for the default of the build system."""
    offline: OfflineSources = OfflineSources()

    @property
    def patches(self) -> tuple[Patch, ...]:
        """The patches to apply."""
        if self.unpatched:
            return self.series.control_patches
        return self.series.select_patches(self.only_patches, self.without_patches)


def preflight(request: BuildRequest) -> list[bun_source.BuildPrerequisite]:
    """Check everything that a build needs.

    Raises:
        UsageError: there is no checkout, its build system is unknown, or a flag does not fit it.
    """
    version = request.series.version
    with bun_source.open_checkout(version) as checkout:
        layout = bun_source.read_layout(checkout.folder)
        _check_flags(request, layout)
        options = bun_source.BuildOptions(
            profile=request.profile,
            jobs=1,
            bun=Path("bun"),
            prefetch=request.offline.prefetch,
            cache=request.offline.cache,
        )
        bun_source.plan_build(layout, checkout.folder, options)
        return bun_source.examine(
            layout,
            checkout.folder,
            missing_paths=checkout.missing_files(),
            submodules=bun_source.missing_submodules(checkout),
            bun=lambda: stock_release(version).version,
            zig=lambda: str(_zig(request) or ""),
            webkit=lambda: str(_webkit(request, layout) or ""),
            offline=request.offline,
            version=version,
        )


def build_patched(request: BuildRequest) -> RegisteredBun:
    """Apply the patches, run upstream's build, and register the result as a runtime.

    Raises:
        UsageError: the checkout holds uncommitted work, a flag does not fit its layout, or the
            series carries no patch.
        PatchError: a patch does not apply.
        BuildError: the build failed.
        FetchError: the stock release, Zig or WebKit cannot be fetched.
        PrerequisiteError: a tool is missing, or the disk is full.
    """
    series = request.series
    if not request.unpatched:
        series.check_carries("build")
    stock = stock_release(series.version)
    with bun_source.open_checkout(series.version) as checkout:
        layout = bun_source.read_layout(checkout.folder)
        options = msgspec.structs.replace(
            _options(request, layout, stock.program), commit=checkout.upstream
        )
        plan = bun_source.plan_build(layout, checkout.folder, options)
        applied = bun_source.apply_series(checkout, series, request.patches)
    name = f"bun-{series.version}-{applied.identity}-{request.profile}.log"
    log = paths.cache_root() / "logs" / name
    with bun_source.build(applied, plan, log) as built:
        record = msgspec.structs.replace(
            _record(
                series, request.patches, applied.base, applied.identity, unpatched=request.unpatched
            ),
            head=applied.head,
            log=str(built.log),
            seconds=built.seconds,
            profile=request.profile,
        )
        return runtimes.register(built.program, record, stock.program)


def _check_flags(request: BuildRequest, layout: BuildLayout) -> None:
    """Reject flags that do not fit, before anything is fetched.

    Raises:
        UsageError: the number of jobs is below 1, a path is missing, the WebKit is of another
            commit, or npm does not have the WebKit that this build needs.
    """
    if request.jobs is not None and request.jobs < 1:
        raise UsageError(f"--jobs {request.jobs} would build nothing", hint="give at least 1")
    if request.webkit == WEBKIT_FROM_NPM:
        _webkit_package(layout)
    elif request.webkit:
        _check_webkit(Path(request.webkit), layout)
    if "/" in request.zig and not Path(request.zig).is_file():
        raise UsageError(f"--zig {request.zig}: there is no such file", hint="or give a version")


class _NpmPackage(msgspec.Struct):
    name: str = ""
    version: str = ""


def _check_webkit(folder: Path, layout: BuildLayout) -> None:
    """Reject a WebKit folder that is missing, or an npm package of another commit.

    Raises:
        UsageError: the folder is one of these.
    """
    if not folder.is_dir():
        raise UsageError(f"--webkit {folder}: there is no such folder", hint="or give npm")
    with contextlib.suppress(OSError, msgspec.DecodeError):
        package = msgspec.json.decode((folder / "package.json").read_bytes(), type=_NpmPackage)
        commit, pin = package.version.partition("-")[2], layout.pins.get("webkit")
        if package.name.startswith("bun-webkit") and pin and commit != pin:
            raise UsageError(
                f"--webkit {folder} is built from commit {commit}, and Bun {layout.version} pins "
                f"{pin}",
                hint="give the folder of that commit, or npm",
            )


def _options(request: BuildRequest, layout: BuildLayout, bun: Path) -> bun_source.BuildOptions:
    _check_flags(request, layout)
    return bun_source.BuildOptions(
        profile=request.profile,
        jobs=request.jobs or bun_source.jobs_by_memory(),
        bun=bun,
        zig=_zig(request),
        webkit=_webkit(request, layout),
        prefetch=request.offline.prefetch,
        cache=request.offline.cache,
    )


def _zig(request: BuildRequest) -> Path | None:
    """Return the Zig that the user or the series names; None for the one that upstream fetches."""
    if "/" in request.zig:
        return Path(request.zig).absolute()
    version = request.zig or request.series.zig
    return toolchain.zig(version).program if version else None


def _webkit(request: BuildRequest, layout: BuildLayout) -> Path | None:
    """Return the WebKit to link; None for the one that upstream's build fetches itself.

    A ``make`` build fetches none, so npm is its default.
    """
    if request.webkit not in {"", WEBKIT_FROM_NPM}:
        return Path(request.webkit).absolute()
    if not request.webkit and layout.era != "make":
        return None
    package = _webkit_package(layout)
    return fetch.fetch_packages([package])[package]


def _webkit_package(layout: BuildLayout) -> fetch.Package:
    target = host_target().name
    pin = layout.pins.get("webkit", "")
    package = fetch.webkit_package(target, pin) if layout.era == "make" and pin else None
    if package is None:
        raise UsageError(
            f"npm has no WebKit for Bun {layout.version} on {target}",
            hint="give --webkit PATH: a folder with the include and lib of a built WebKit",
        )
    return package


def register(
    program: Path, series: Series, patches: Sequence[Patch], *, unpatched: bool = False
) -> RegisteredBun:
    """Register a Bun that was built elsewhere from a series or, with ``unpatched``, as its control.

    ``patches`` are those that it was built with.

    Raises:
        UsageError: it has another version, is stock or cannot be run, or the series has no patch.
        FetchError: the stock Bun for the comparison could not be fetched.
    """
    if not unpatched:
        series.check_carries("register")
    chosen_patches = series.control_patches if unpatched else tuple(patches)
    commit = bun_source.commit_of_release(series.version).commit
    identity = bun_source.identity_of(commit, series, chosen_patches)
    record = _record(series, chosen_patches, commit, identity, unpatched=unpatched)
    return runtimes.register(program, record, stock_release(series.version).program)


def stock_release(version: str) -> Bun:
    """Return the stock release of Bun that a patched build is compared with.

    Raises:
        FetchError: it cannot be downloaded.
    """
    return runtimes.provide_bun([version], host_target())[0]


def _record(
    series: Series, patches: tuple[Patch, ...], commit: str, identity: str, *, unpatched: bool
) -> RegisteredBun:
    return runtimes.RegisteredBun(
        version=series.version,
        line=series.line,
        identity=identity,
        commit=commit,
        patches=tuple(patch.id for patch in patches),
        whole=unpatched or patches == series.bun_patches,
        target=host_target().name,
        treatment=SELF_BUILT if unpatched else PATCHED,
        warmup_variable=next(filter(None, (patch.warmup_variable for patch in patches)), ""),
    )
