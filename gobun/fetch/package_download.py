"""Downloads packages, checks their digests, and unpacks them into the cache."""

from __future__ import annotations

import functools
import shutil
from typing import TYPE_CHECKING

import msgspec

from gobun import console, files
from gobun.errors import FetchError
from gobun.fetch import integrity, npm, thread_pool
from gobun.fetch.archive import unpack
from gobun.fetch.download import DownloadSource, StoppedError, discard_part, download
from gobun.fetch.npm_lock import Lock, read_lock
from gobun.fetch.package import Package
from gobun.fetch.package_cache import cached_versions, package_folder
from gobun.fetch.transport import Transport

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gobun.console import Progress

_THREADS = 4


def fetch_missing(missing_packages: Sequence[Package]) -> None:
    """Download packages into the cache. Raises the errors that ``fetch_packages`` lists."""
    sources = _sources(missing_packages)
    # Each package in place counts as one byte more, so that the progress ends with the last one.
    with console.progress("downloading", len(sources), unit="bytes") as progress:
        transport = Transport(npm.settings(), functools.cache(npm.own_registry))

        def fetch_one(source: _Download, stop: threading.Event) -> None:
            _fetch_package(source, transport, progress, stop)

        thread_pool.run_all(sources, fetch_one, threads=_THREADS)


class _Download(msgspec.Struct, frozen=True):
    """A missing package, and the address of its archive."""

    package: Package
    source: DownloadSource


def _sources(missing_packages: Sequence[Package]) -> list[_Download]:
    """Return the downloads, after one npm call per name. Check digests against the lock file."""
    lock = read_lock()
    downloads: list[_Download] = []
    unlocked: list[str] = []
    for name in sorted({package.name for package in missing_packages}):
        packages = [package for package in missing_packages if package.name == name]
        try:
            released = npm.releases(name, [package.version for package in packages])
        except npm.UnreachableError as error:
            raise npm.UnreachableError(error.what, hint=_go_on(packages)) from error
        for package in packages:
            if package not in released:
                raise FetchError(f"the registry does not have {package}", hint=_go_on(packages))
            release = released[package]
            expected = _expected_integrity(package, lock, release)
            if package not in lock.entries:
                unlocked.append(str(package))
            downloads.append(
                _Download(package, DownloadSource(str(package), release.tarball, expected))
            )
    if unlocked:
        console.log(f"not in the lock file, so checked against the registry: {', '.join(unlocked)}")
    return downloads


def _expected_integrity(
    package: Package, lock: Lock, release: npm.NpmRelease
) -> integrity.Integrity:
    expected = lock.entries.get(package, release.integrity)
    if expected != release.integrity:
        raise FetchError(
            f"{package} is not what the lock file names, so it is not downloaded:\n"
            f"  expected (lock file): {expected}\n"
            f"  found (registry):     {release.integrity}",
            hint="run `git diff gobun/fetch/npm.lock.toml`; if the lock file is unchanged, do not "
            "trust this registry",
        )
    return expected


def _go_on(packages: Iterable[Package]) -> str:
    lines = []
    for name in sorted({package.name for package in packages}):
        cached = cached_versions(name)
        if cached:
            lines.append(f"{name} is cached in {', '.join(cached)}: --versions {','.join(cached)}")
        else:
            lines.append(
                f"no version of {name} is cached: connect to the network once to fetch one"
            )
    return "; ".join(lines)


def _fetch_package(
    job: _Download, transport: Transport, progress: Progress, stop: threading.Event
) -> None:
    package, folder = job.package, package_folder(job.package)
    with files.locked(folder):
        if stop.is_set():
            raise StoppedError
        if folder.is_dir():  # another process was faster
            progress.advance(note=str(package))
            return
        part = folder.with_name(f"{package.version}.tgz.part")
        _clear_leftovers(folder)
        source = msgspec.structs.replace(job.source, url=transport.tarball_url(job.source.url))
        download(source, part, transport, progress=progress, stop=stop)
        digest = integrity.of_file(part)
        if digest != source.integrity:
            discard_part(part)
            raise FetchError(
                f"{package} arrived damaged or forged, and was removed:\n"
                f"  expected: {source.integrity}\n"
                f"  found:    {digest}",
                hint="run the same command again; if it happens twice, something between here"
                " and the registry changes what is sent",
            )
        _publish(package, part, folder)
        progress.advance(note=str(package))


def _publish(package: Package, part: Path, folder: Path) -> None:
    try:
        with files.temporary_sibling(folder) as staged:
            content = staged / "package"
            with files.disk_errors(folder):
                content.mkdir()
            unpack(part, content, str(package))
            files.publish_folder(content, folder)
    finally:
        # The archive is either unpacked or rejected, so remove it.
        discard_part(part)


def _clear_leftovers(folder: Path) -> None:
    """Remove the partly unpacked folders of a killed process. We now hold its lock."""
    for leftover in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
