"""Verifies a release: each file against each of its records, and against a fresh build."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gobun import build, fetch, files, paths, toolchain
from gobun.errors import BuildError, FetchError, PrerequisiteError, UsageError
from gobun.process import run_tool
from gobun.release import layout, provenance
from gobun.release.checks import problems, read_provenance
from gobun.release.layout import Manifest
from gobun.release.make import differences
from gobun.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADVICE = "look whether the address is that of a release's folder"


def verify_release(location: str, *, rebuild: bool) -> Manifest:
    """Verify the release in a folder or at an address, and return its manifest.

    Raises:
        UsageError: there is no such folder, or the address cannot be used.
        FetchError: a file could not be fetched, or a check failed. The message lists all errors.
        PrerequisiteError: the tools here differ from those that made the release, or are missing.
        BuildError: the release could not be made again.
    """
    if "://" not in location:
        return _verify(Path(location), rebuild=rebuild)
    base = fetch.check_address(location, trusted=False)
    with scratch_folder("verify") as name:
        folder = Path(name) / "release"
        folder.mkdir()
        fetch.fetch_files(base, [(layout.MANIFEST, None)], folder, advice=_ADVICE)
        listed = _manifest(folder).files
        files_and_digests = [
            (layout.PROVENANCE, None),
            *((file.name, file.sha256) for file in listed),
        ]
        fetch.fetch_files(base, files_and_digests, folder, advice=_ADVICE)
        return _verify(folder, rebuild=rebuild)


def _verify(folder: Path, *, rebuild: bool) -> Manifest:
    if not (folder / layout.MANIFEST).is_file():
        raise UsageError(
            f"{folder} has no {layout.MANIFEST}, so it is not the folder of a release",
            hint="`invoke release --version X` makes one",
        )
    manifest = _manifest(folder)
    faults = list(problems(folder, manifest))
    if not faults and rebuild:
        faults = list(_rebuilt(folder, manifest))
    if faults:
        listed = "\n".join(f"  - {finding}" for finding in faults)
        raise FetchError(
            f"{folder} is not the release that it claims to be:\n{listed}",
            hint="do not use it; download it again, or make it again from its commit",
        )
    return manifest


def _manifest(folder: Path) -> Manifest:
    data = files.read_input(folder / layout.MANIFEST)
    manifest = layout.read_json(data, Manifest, layout.MANIFEST)
    named = [name for entry in manifest.libraries for name in (entry.file, entry.header)]
    layout.check_names([*named, *(file.name for file in manifest.files)])
    return manifest


def _rebuilt(folder: Path, manifest: Manifest) -> Iterator[str]:
    pins = toolchain.pins()
    stated = read_provenance(folder)
    commit = provenance.commit_of(stated) if stated else None
    for entry in manifest.libraries:
        if entry.go not in {"", pins["go"]} or entry.zig != pins["zig"]:
            by = f"Go {entry.go} and Zig {entry.zig}" if entry.go else f"Zig {entry.zig}"
            raise PrerequisiteError(
                f"{entry.file} was made by {by}, and this checkout has"
                f" Go {pins['go']} and Zig {pins['zig']}",
                hint=f"check out the commit of the release, {commit}, or use --no-rebuild",
            )
    with scratch_folder("verify") as name:
        rebuilt_folder = Path(name) / "dist" / manifest.version
        make_again(manifest, Path(name))
        differing = [it for it in differences(folder, rebuilt_folder) if it != layout.PROVENANCE]
        rebuilt = read_provenance(rebuilt_folder)
    if stated and rebuilt:
        if provenance.without_source(rebuilt) != provenance.without_source(stated):
            differing.append(layout.PROVENANCE)
        if differing and provenance.commit_of(rebuilt) != commit:
            yield f"this checkout is not commit {commit}, from which the release was made"
    yield from (f"{file} comes out differently here" for file in differing)


def make_again(manifest: Manifest, folder: Path) -> None:
    """Make the release in a new process, with the compilers' caches but without finished builds.

    Raises:
        PrerequisiteError: something is missing on this machine.
        BuildError: the process failed for another reason.
    """
    cache = folder / "cache"
    cache.mkdir()
    for cache_name in ("go-build", "gopath", "zig"):
        (paths.cache_root() / cache_name).mkdir(parents=True, exist_ok=True)
        (cache / cache_name).symlink_to(paths.cache_root() / cache_name)
    always = {build.DEFAULT_NAME, build.GUARD_NAME, build.STATIC_NAME}
    names = [name for name in manifest.names if name not in always]
    words = ["release", "--version", manifest.version, "--out", str(folder / "dist"), "--dirty"]
    completed = run_tool(
        [sys.executable, "-m", "invoke", *words, *(["--names", ",".join(names)] if names else [])],
        cwd=paths.ROOT,
        env={"GOBUN_CACHE": str(cache)},
    )
    if completed.code == PrerequisiteError.exit_code:
        raise PrerequisiteError(
            f"cannot make the release again:\n{completed.tail}", hint="`invoke doctor`"
        )
    if completed.code != 0:
        raise BuildError(f"cannot make the release again:\n{completed.tail}")
