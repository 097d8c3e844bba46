"""Bun: releases and canaries from npm packages, and registered ones built from sources."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from gobun import build, fetch
from gobun.errors import UsageError
from gobun.runtimes.registered import own_treatment, registered_as
from gobun.runtimes.versions import select_versions
from gobun.targets import for_libc, target_named
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.build import Fixture
    from gobun.targets import Target


class Bun(msgspec.Struct, frozen=True):
    """A Bun executable."""

    engine: ClassVar[str] = "JavaScriptCore"
    lack: ClassVar[str] = ""

    version: str
    program: Path
    warmup_variable: str = ""
    """The environment variable for the path of the warm-up library, if a patch reads it."""
    dlcall: Path | None = None
    """The addon that makes foreign function calls, if ``bun:ffi`` of this Bun does not work."""

    @property
    def name(self) -> str:
        """``bun``."""
        return "bun"

    def command(self, script: Path, argument: str) -> list[str]:
        """Return the command that runs ``script``."""
        return [str(self.program), str(script), argument]

    def settings(self, module: Fixture) -> dict[str, str]:
        """Return the paths of the library, the addon and any addon for foreign function calls."""
        dlcall = {"dlcall": str(self.dlcall)} if self.dlcall else {}
        return {"library": str(module.library), "addon": str(module.addon), **dlcall}


def bun_variant(target: Target) -> str:
    """Return the build of Bun that runs here: ``baseline``, ``musl``, or ``""`` for the usual."""
    if target.os != "linux" or target.libc == "musl":  # a musl target has its own package
        return ""
    if platform.libc_ver()[0] != "glibc":
        return "musl"
    if target.name == "linux-x64" and "avx2" not in cpu_flags():
        return "baseline"
    return ""


def fitting_package(target: Target) -> str:
    """Return the npm package of the build that this machine can run."""
    return fetch.bun_package(target.name, bun_variant(target))


def cpu_flags() -> set[str]:
    """Return the features of this x64 processor, with the kernel's names for them."""
    lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def choose_bun(spec: str, target: Target) -> tuple[str, ...]:
    """Return the versions of Bun that ``spec`` selects, such as ``1.2.19,1.3.x,latest``.

    npm is queried, unless each part is a version in the lock file or the cache.

    Raises:
        UsageError: a part is malformed, or matches no version and no registered Bun.
        FetchError: a query to npm failed, or the lock file is malformed.
    """
    parts = [part.strip() for part in spec.split(",")]
    ours = [part for part in parts if own_treatment(part)]
    if ours:
        registered_as(ours)
        others = [part for part in parts if part not in ours]
        stock = choose_bun(",".join(others), target) if others else ()
        return (*stock, *dict.fromkeys(ours))
    absent = [part for part in parts if lacks_build(part, target)]
    if absent:
        others = [part for part in parts if part not in absent]
        elsewhere = choose_bun(",".join(others), target) if others else ()
        return tuple(sorted({*absent, *elsewhere}, key=rank))
    package = fitting_package(target)
    local = {*fetch.read_lock().versions(package), *fetch.cached_versions(package)}
    if all(part in local for part in parts):
        return select_versions(spec, known_versions=sorted(local, key=rank), tags={})
    return select_versions(
        spec, known_versions=fetch.published_versions(package), tags=fetch.dist_tags(package)
    )


def lacks_build(version: str, target: Target) -> bool:
    """Return whether a release has no build for ``target``, though it has one for glibc.

    The lock file lists every release of every build. Bun for musl begins with 1.1.39.

    Raises:
        FetchError: the lock file is missing or malformed.
    """
    if target.libc != "musl":
        return False
    lock, glibc = fetch.read_lock(), for_libc(target, "glibc")
    builds = [lock.versions(fetch.bun_package(each.name)) for each in (glibc, target)]
    return version in builds[0] and version not in builds[1]


def provide_bun(versions: Sequence[str], target: Target) -> list[Bun]:
    """Return Bun in each version, fetched if necessary.

    Raises:
        UsageError: a patched or self-built Bun is not registered, or is for another platform.
        PrerequisiteError: npm or Zig is missing, or the cache cannot be written.
        BuildError: the addon for the foreign function calls of a debug build could not be built.
        FetchError: a download failed, or does not match the lock file.
    """
    name = fitting_package(target)
    ours = [version for version in versions if own_treatment(version)]
    packages = [fetch.Package(name, version) for version in versions if version not in ours]
    folders = fetch.fetch_packages(packages) if packages else {}
    buns = {
        package.version: Bun(package.version, folders[package] / "bin" / "bun")
        for package in packages
    }
    for one in registered_as(ours):
        if for_libc(target_named(one.target), target.libc) != target_named(one.target):
            raise UsageError(
                f"Bun {one.label} was built for {one.target}, and not for {target.name}",
                hint="leave out --libc, or name releases only",
            )
        dlcall = build.build_dlcall(target) if one.is_debug else None
        buns[one.label] = Bun(one.label, one.program, one.warmup_variable, dlcall)
    return [buns[version] for version in versions]
