"""The package cache: fetches missing packages, checks their digests, and unpacks them."""

from __future__ import annotations

import functools
import shutil
from typing import TYPE_CHECKING

import msgspec

from gobun import cache, console, files, paths
from gobun.errors import FetchError
from gobun.fetch import integrity, npm, thread_pool
from gobun.fetch.archive import unpack
from gobun.fetch.download import DownloadSource, StoppedError, discard, download
from gobun.fetch.npm_lock import Lock, read_lock
from gobun.fetch.package import Package, check_package
from gobun.fetch.transport import Transport
from gobun.version_ranges import rank

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gobun.console import Progress

_THREADS = 4


def package_folder(package: Package) -> Path:
    """Return the folder for the unpacked content of a package's ``package/``."""
    return paths.cache_root() / "npm" / package.name / package.version


def cached_versions(name: str) -> tuple[str, ...]:
    """Return the cached versions of a package, ascending."""
    folder = paths.cache_root() / "npm" / name
    if not folder.is_dir():
        return ()
    # Guards, partial files and temporary folders are not folders named like a version.
    found = [
        child.name
        for child in folder.iterdir()
        if child.is_dir() and not child.name.startswith(".")
    ]
    return tuple(sorted(found, key=rank))


def fetch_packages(wanted: Sequence[Package]) -> dict[Package, Path]:
    """Return the folder of each package, after downloading those that are not cached.

    The returned folders cannot be evicted until this process ends. A cached package needs neither
    the network nor npm.

    Raises:
        FetchError: the registry cannot be reached or refuses, or a download does not match the
            lock file.
        PrerequisiteError: npm is missing, or the cache cannot be written.
        UsageError: a name or a version is not valid for npm.
    """
    folders: dict[Package, Path] = {}
    for package in wanted:
        check_package(package)
        folders[package] = package_folder(package)
        cache.pin(folders[package])
    missing = sorted(package for package, folder in folders.items() if not folder.is_dir())
    if missing:
        _fetch(missing)
    return folders


def _fetch(missing: Sequence[Package]) -> None:
    sources = _sources(missing)
    # Count a package once it is in place, so that the progress ends with the last package.
    with console.progress("downloading", len(sources), unit="bytes") as shown:
        transport = Transport(npm.settings(), functools.cache(npm.own_registry))

        def bring(source: _Download, stop: threading.Event) -> None:
            _bring(source, transport, shown, stop)

        thread_pool.run_all(sources, bring, threads=_THREADS)


class _Download(msgspec.Struct, frozen=True):
    """A missing package, and the address of its archive."""

    package: Package
    source: DownloadSource


def _sources(missing: Sequence[Package]) -> list[_Download]:
    """Get the archives' addresses with one npm call per package, and check the lock file."""
    lock = read_lock()
    found: list[_Download] = []
    unlocked: list[str] = []
    for name in sorted({package.name for package in missing}):
        packages = [package for package in missing if package.name == name]
        try:
            released = npm.releases(name, [package.version for package in packages])
        except npm.UnreachableError as error:
            raise npm.UnreachableError(error.what, hint=_go_on(packages)) from error
        for package in packages:
            if package not in released:
                raise FetchError(f"the registry does not have {package}", hint=_go_on(packages))
            release = released[package]
            expected = _expected(package, lock, release)
            if package not in lock.entries:
                unlocked.append(str(package))
            found.append(
                _Download(package, DownloadSource(str(package), release.tarball, expected))
            )
    if unlocked:
        console.log(f"not in the lock file, so checked against the registry: {', '.join(unlocked)}")
    return found


def _expected(package: Package, lock: Lock, release: npm.NpmRelease) -> integrity.Integrity:
    expected = lock.entries.get(package, release.integrity)
    if expected != release.integrity:
        raise FetchError(
            f"{package} is not what the lock file names, so it is not downloaded:\n"
            f"  expected (lock file): {expected}\n"
            f"  found (registry):     {release.integrity}",
            hint="git diff gobun/fetch/npm.lock.toml; if the lock file is as committed, do not"
            " trust this registry",
        )
    return expected


def _go_on(packages: Iterable[Package]) -> str:
    lines = []
    for name in sorted({package.name for package in packages}):
        cached = cached_versions(name)
        if cached:
            lines.append(f"{name} is cached in {', '.join(cached)}: --versions {','.join(cached)}")
        else:
            lines.append(f"no version of {name} is cached: connect once, then it works offline")
    return "; ".join(lines)


def _bring(wanted: _Download, transport: Transport, shown: Progress, stop: threading.Event) -> None:
    package, folder = wanted.package, package_folder(wanted.package)
    with files.locked(folder):
        if stop.is_set():
            raise StoppedError
        if folder.is_dir():  # another process was faster
            shown.advance(note=str(package))
            return
        part = folder.with_name(f"{package.version}.tgz.part")
        _clear_leftovers(folder)
        source = msgspec.structs.replace(
            wanted.source, url=transport.tarball_url(wanted.source.url)
        )
        download(source, part, transport, shown=shown, stop=stop)
        found = integrity.of_file(part)
        if found != source.integrity:
            discard(part)
            raise FetchError(
                f"{package} arrived damaged or forged, and was removed:\n"
                f"  expected: {source.integrity}\n"
                f"  found:    {found}",
                hint="run the same command again; if it happens twice, something between here"
                " and the registry changes what is sent",
            )
        _publish(package, part, folder)
        shown.advance(note=str(package))


def _publish(package: Package, part: Path, folder: Path) -> None:
    try:
        with files.temporary_sibling(folder) as staged:
            inside = staged / "package"
            with files.disk_errors(folder):
                inside.mkdir()
            unpack(part, inside, str(package))
            files.publish_folder(inside, folder)
    finally:
        # The archive is either unpacked or rejected, so remove it.
        discard(part)


def _clear_leftovers(folder: Path) -> None:
    """Remove the partly unpacked folders of a killed process, whose lock we now hold."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
