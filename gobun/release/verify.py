"""Checks a release: every file against every record of it, and against a release made anew."""

from __future__ import annotations

import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import audit, build, fetch, files, paths, toolchain
from gobun.errors import FetchError, GobunError, PrerequisiteError, UsageError
from gobun.process import run_tool
from gobun.release import layout, provenance, sbom
from gobun.release.layout import Manifest
from gobun.release.loader import tarball_name
from gobun.release.make import differences
from gobun.release.provenance import Statement
from gobun.release.version import check_version
from gobun.targets import TARGETS, target_named

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADVICE = "look whether the address is that of a release's folder"


def verify_release(where: str, *, rebuild: bool) -> Manifest:
    """Check the release in a folder, or behind an address, and return what it says of itself.

    Raises:
        UsageError: there is no such folder, or the address cannot be used.
        FetchError: a file could not be had, or something is not as it must be: all of it is named.
        PrerequisiteError: the tools here are not those that the release was made by.
        BuildError: it could not be made again.
    """
    if "://" not in where:
        return _verify(Path(where), rebuild=rebuild)
    base = fetch.check_address(where, trusted=False)
    with tempfile.TemporaryDirectory(prefix="gobun-") as name:
        folder = Path(name) / "release"
        folder.mkdir()
        fetch.fetch_files(base, [(layout.MANIFEST, None)], folder, advice=_ADVICE)
        listed = _manifest(folder).files
        wanted = [(layout.PROVENANCE, None), *((file.name, file.sha256) for file in listed)]
        fetch.fetch_files(base, wanted, folder, advice=_ADVICE)
        return _verify(folder, rebuild=rebuild)


def _verify(folder: Path, *, rebuild: bool) -> Manifest:
    if not (folder / layout.MANIFEST).is_file():
        raise UsageError(
            f"{folder} has no {layout.MANIFEST}, so it is not a release's folder",
            hint="`invoke release --version X` makes one",
        )
    manifest = _manifest(folder)
    wrong = list(_findings(folder, manifest))
    if not wrong and rebuild:
        wrong = list(_rebuilt(folder, manifest))
    if wrong:
        listed = "\n".join(f"  - {finding}" for finding in wrong)
        raise FetchError(
            f"{folder} is not the release that it says it is:\n{listed}",
            hint="do not use it; get it again, or make it again from its commit",
        )
    return manifest


def _manifest(folder: Path) -> Manifest:
    data = (folder / layout.MANIFEST).read_bytes()
    manifest = layout.read_json(data, Manifest, layout.MANIFEST)
    layout.check_names(file.name for file in manifest.files)
    return manifest


def _findings(folder: Path, manifest: Manifest) -> Iterator[str]:
    found = {path.name: files.sha256_of(path) for path in folder.iterdir() if path.is_file()}
    yield from _of_manifest(folder, manifest, found)
    if set(found) != set(layout.files_below(folder)):
        yield "there is a folder in it"
    stated = _stated(folder)
    if stated is None:
        yield f"{layout.PROVENANCE} is missing"
    else:
        subjects = {it.name: it.digest.get("sha256", "") for it in stated.subject}
        others = {name: it for name, it in found.items() if name != layout.PROVENANCE}
        yield from _unlike(layout.PROVENANCE, subjects, others)
        given = stated.predicate.build_definition.external_parameters
        if (given.version, given.names) != (manifest.version, manifest.names):
            yield f"{layout.PROVENANCE} is of another release than {layout.MANIFEST}"
    yield from _of_sums(folder, manifest, found)
    yield from _of_libraries(folder, manifest)
    yield from _of_loader(folder, manifest, found)
    yield from _of_sbom(folder, manifest, found)


def _of_manifest(folder: Path, manifest: Manifest, found: dict[str, str]) -> Iterator[str]:
    try:
        check_version(manifest.version)
    except UsageError as error:
        yield f"{layout.MANIFEST}: {error.what}"
    own = {layout.MANIFEST, layout.PROVENANCE}
    listed = {file.name: file.sha256 for file in manifest.files}
    yield from _unlike(layout.MANIFEST, listed, {k: v for k, v in found.items() if k not in own})
    for file in manifest.files:
        if file.name in found and file.size != (folder / file.name).stat().st_size:
            yield f"{layout.MANIFEST} says that {file.name} has {file.size:,} bytes"
    expected = {(name, target) for name in manifest.names for target in TARGETS}
    named = {
        (name, entry.target)
        for entry in manifest.libraries
        for name in manifest.names
        if entry.target in TARGETS
        and layout.library_files(TARGETS[entry.target], name) == (entry.file, entry.header)
    }
    if named != expected or len(manifest.libraries) != len(expected):
        yield f"{layout.MANIFEST} does not name one library a platform and name"
    for entry in manifest.libraries:
        if found.get(entry.file) != entry.sha256:
            yield f"{layout.MANIFEST} has another checksum of {entry.file} among its libraries"


def _unlike(where: str, listed: dict[str, str], found: dict[str, str]) -> Iterator[str]:
    for name in sorted({*listed, *found}):
        if name not in found:
            yield f"{name} is missing, which {where} names"
        elif name not in listed:
            yield f"{name} is there, which {where} does not name"
        elif listed[name] != found[name]:
            yield f"{name} has the SHA-256 {found[name]}, and {where} says {listed[name]}"


def _stated(folder: Path) -> Statement | None:
    path = folder / layout.PROVENANCE
    if not path.is_file():
        return None
    return layout.read_json(path.read_bytes(), Statement, layout.PROVENANCE)


def _of_sums(folder: Path, manifest: Manifest, found: dict[str, str]) -> Iterator[str]:
    for system, name in layout.SUMS.items():
        wanted = {
            file: found.get(file, "")
            for entry in manifest.libraries
            if entry.target in TARGETS and TARGETS[entry.target].os == system
            for file in (entry.file, entry.header)
        }
        if (folder / name).is_file():
            text = (folder / name).read_text(errors="replace")
            yield from _unlike(name, layout.read_sums(text, name), wanted)


def _of_libraries(folder: Path, manifest: Manifest) -> Iterator[str]:
    for entry in manifest.libraries:
        path = folder / entry.file
        if path.is_file() and entry.target in TARGETS:
            rules = audit.warmup_rules(target_named(entry.target), file_name=entry.file)
            try:
                yield from (f"{entry.file}: {it}" for it in audit.check(audit.inspect(path), rules))
            except GobunError as error:
                yield f"{entry.file}: {error.what}"


class _Package(msgspec.Struct):
    name: str
    version: str


def _of_loader(folder: Path, manifest: Manifest, found: dict[str, str]) -> Iterator[str]:
    name = tarball_name(manifest.version)
    if name not in found:
        yield f"the loader's package {name} is missing"
        return
    try:
        with tarfile.open(folder / name) as archive:
            inside = {it.name: _bytes(archive, it) for it in archive}
        about = msgspec.json.decode(inside["package/package.json"], type=_Package)
        sums = msgspec.json.decode(inside["package/sums.json"], type=dict[str, str])
    except (OSError, EOFError, KeyError, tarfile.TarError, msgspec.MsgspecError) as error:
        yield f"{name} cannot be read: {error}"
        return
    if (about.name, about.version) != ("go-warmup", manifest.version):
        yield f"{name} is of {about.name} {about.version}"
    wanted = {
        entry.file: entry.sha256
        for entry in manifest.libraries
        if entry.file.startswith(f"{build.DEFAULT_NAME}-")
    }
    yield from _unlike(f"sums.json in {name}", sums, wanted)
    for file in wanted:
        if inside.get(f"package/lib/{file}") != (folder / file).read_bytes():
            yield f"{name} has another {file} than the release"


def _bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read() if stream else b""


def _of_sbom(folder: Path, manifest: Manifest, found: dict[str, str]) -> Iterator[str]:
    if not (folder / layout.SBOM).is_file():
        return  # said above
    bill = layout.read_json((folder / layout.SBOM).read_bytes(), sbom.Bom, layout.SBOM)
    listed = {it.bom_ref: it.hashes[0].content for it in bill.components if it.hashes}
    parts = [*(entry.file for entry in manifest.libraries), tarball_name(manifest.version)]
    yield from _unlike(layout.SBOM, listed, {name: found.get(name, "") for name in parts})


def _rebuilt(folder: Path, manifest: Manifest) -> Iterator[str]:
    pins = toolchain.pins()
    stated = _stated(folder)
    commit = provenance.commit_of(stated) if stated else None
    for entry in manifest.libraries:
        if (entry.go, entry.zig) != (pins["go"], pins["zig"]):
            raise PrerequisiteError(
                f"{entry.file} was made by Go {entry.go} and Zig {entry.zig}, and this checkout has"
                f" Go {pins['go']} and Zig {pins['zig']}",
                hint=f"check out the release's commit, {commit}, or --no-rebuild",
            )
    with tempfile.TemporaryDirectory(prefix="gobun-") as name:
        again = Path(name) / "dist" / manifest.version
        _make_again(manifest, Path(name))
        differing = [it for it in differences(folder, again) if it != layout.PROVENANCE]
        made = _stated(again)
    if stated and made:
        if provenance.without_source(made) != provenance.without_source(stated):
            differing.append(layout.PROVENANCE)
        if differing and provenance.commit_of(made) != commit:
            yield f"this checkout is not commit {commit}, from which the release was made"
    yield from (f"{file} comes out differently here" for file in differing)


def _make_again(manifest: Manifest, folder: Path) -> None:
    """Make the release in a process that has nothing built, only what compilers keep."""
    cache = folder / "cache"
    cache.mkdir()
    for kept in ("go-build", "gopath", "zig"):
        (paths.cache_root() / kept).mkdir(parents=True, exist_ok=True)
        (cache / kept).symlink_to(paths.cache_root() / kept)
    names = [name for name in manifest.names if name != build.DEFAULT_NAME]
    words = ["release", "--version", manifest.version, "--out", str(folder / "dist"), "--dirty"]
    done = run_tool(
        [sys.executable, "-m", "invoke", *words, *(["--names", ",".join(names)] if names else [])],
        cwd=paths.ROOT,
        env={"GOBUN_CACHE": str(cache)},
    )
    if done.code != 0:
        raise PrerequisiteError(
            f"the release could not be made again:\n{done.tail}", hint="`invoke doctor`"
        )
