"""Checks the records of a release against its files and against each other."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING

import msgspec

from gobun import audit, build, files
from gobun.errors import GobunError, UsageError
from gobun.release import layout, sbom
from gobun.release import loader as loader_package
from gobun.release.loader import tarball_name
from gobun.release.provenance import Statement
from gobun.release.version import check_version
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from gobun.release.layout import Manifest


def problems(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Yield the errors in a release, one line each.

    Raises:
        FetchError: a record cannot be parsed.
    """
    digests = {path.name: files.sha256_of(path) for path in folder.iterdir() if path.is_file()}
    yield from _of_manifest(folder, manifest, digests)
    if set(digests) != set(layout.files_below(folder)):
        yield "there is a folder in it"
    stated = read_provenance(folder)
    if stated is None:
        yield f"{layout.PROVENANCE} is missing"
    else:
        subjects = {subject.name: subject.digest.get("sha256", "") for subject in stated.subject}
        others = {name: subject for name, subject in digests.items() if name != layout.PROVENANCE}
        yield from _digest_differences(layout.PROVENANCE, subjects, others)
        parameters = stated.predicate.build_definition.external_parameters
        if (parameters.version, parameters.names) != (manifest.version, manifest.names):
            yield f"{layout.PROVENANCE} is of another release than {layout.MANIFEST}"
    yield from _of_sums(folder, manifest, digests)
    yield from _of_libraries(folder, manifest)
    yield from _of_packages(folder, manifest, digests)
    yield from _of_sbom(folder, manifest, digests)


def _of_manifest(folder: Path, manifest: Manifest, digests: dict[str, str]) -> Iterator[str]:
    try:
        check_version(manifest.version)
    except UsageError as error:
        yield f"{layout.MANIFEST}: {error.what}"
    records = {layout.MANIFEST, layout.PROVENANCE}
    listed_digests = {file.name: file.sha256 for file in manifest.files}
    yield from _digest_differences(
        layout.MANIFEST, listed_digests, {k: v for k, v in digests.items() if k not in records}
    )
    for file in manifest.files:
        if file.name in digests and file.size != (folder / file.name).stat().st_size:
            yield f"{layout.MANIFEST} says that {file.name} has {file.size:,} bytes"
    expected = {(name, target) for name in manifest.names for target in TARGETS}
    named = {
        (name, entry.target)
        for entry in manifest.libraries
        for name in manifest.names
        if entry.target in TARGETS
        and build.file_names(name, TARGETS[entry.target]) == (entry.file, entry.header)
    }
    if named != expected or len(manifest.libraries) != len(expected):
        yield f"{layout.MANIFEST} does not name one library a platform and name"
    for entry in manifest.libraries:
        if digests.get(entry.file) != entry.sha256:
            yield f"{layout.MANIFEST} has another checksum of {entry.file} among its libraries"


def _digest_differences(
    place: str, listed_digests: dict[str, str], digests: dict[str, str]
) -> Iterator[str]:
    for name in sorted({*listed_digests, *digests}):
        if name not in digests:
            yield f"{name} is missing, which {place} names"
        elif name not in listed_digests:
            yield f"{name} is there, which {place} does not name"
        elif listed_digests[name] != digests[name]:
            yield f"{name} has the SHA-256 {digests[name]}, and {place} says {listed_digests[name]}"


def read_provenance(folder: Path) -> Statement | None:
    """Return the provenance of a release, if it has one.

    Raises:
        FetchError: it cannot be parsed.
    """
    path = folder / layout.PROVENANCE
    if not path.is_file():
        return None
    return layout.read_json(files.read_input(path), Statement, layout.PROVENANCE)


def _of_sums(folder: Path, manifest: Manifest, digests: dict[str, str]) -> Iterator[str]:
    for system, name in build.SUMS.items():
        expected = {
            file: digests.get(file, "")
            for entry in manifest.libraries
            if entry.target in TARGETS and TARGETS[entry.target].os == system
            for file in (entry.file, entry.header)
        }
        if (folder / name).is_file():
            text = files.read_input(folder / name).decode(errors="replace")
            yield from _digest_differences(name, layout.read_sums(text, name), expected)


def _of_libraries(folder: Path, manifest: Manifest) -> Iterator[str]:
    for entry in manifest.libraries:
        path = folder / entry.file
        if entry.file.endswith(".a"):
            continue  # a static library has no exports or dependencies; its digest is checked above
        if path.is_file() and entry.target in TARGETS:
            is_guard = entry.file.startswith(f"{build.GUARD_NAME}-")
            rules_of = audit.guard_rules if is_guard else audit.warmup_rules
            rules = rules_of(TARGETS[entry.target], file_name=entry.file)
            try:
                yield from (
                    f"{entry.file}: {violation}"
                    for violation in audit.check(audit.inspect(path), rules)
                )
            except GobunError as error:
                yield f"{entry.file}: {error.what}"


class _Package(msgspec.Struct):
    name: str
    version: str


def _of_packages(folder: Path, manifest: Manifest, digests: dict[str, str]) -> Iterator[str]:
    guards = [it for it in manifest.libraries if it.file.startswith(f"{build.GUARD_NAME}-")]
    warmups = [it for it in manifest.libraries if it.file.startswith(f"{build.DEFAULT_NAME}-")]
    linux_guards = [
        it for it in guards if it.target in TARGETS and TARGETS[it.target].os == "linux"
    ]
    loader = tarball_name(manifest.version)
    content = yield from _of_package(folder, loader, loader_package.PACKAGE, manifest.version)
    if content:
        expected = {it.file: it.sha256 for it in (*linux_guards, *warmups)}
        yield from _of_sums_inside(loader, content, expected)
        yield from _of_content(loader, content, [f"lib/{it.file}" for it in linux_guards], digests)
    for entry in warmups:
        if entry.target not in TARGETS:
            continue
        target = TARGETS[entry.target]
        tarball = tarball_name(manifest.version, target)
        name = loader_package.platform_package(target)
        content = yield from _of_package(folder, tarball, name, manifest.version)
        if content:
            yield from _of_content(tarball, content, [entry.file], digests)


def _of_package(
    folder: Path, tarball: str, name: str, version: str
) -> Generator[str, None, dict[str, bytes]]:
    """Yield the errors in a package. Return its files, or none if it is missing or unreadable."""
    if not (folder / tarball).is_file():
        yield f"the npm package {tarball} is missing"
        return {}
    try:
        with tarfile.open(folder / tarball) as archive:
            content_by_name = {member.name: _bytes(archive, member) for member in archive}
        about = msgspec.json.decode(content_by_name["package/package.json"], type=_Package)
    except (OSError, EOFError, KeyError, tarfile.TarError, msgspec.MsgspecError) as error:
        yield f"{tarball} cannot be read: {error}"
        return {}
    if (about.name, about.version) != (name, version):
        yield f"{tarball} is of {about.name} {about.version}"
    return content_by_name


def _of_sums_inside(
    tarball: str, content: dict[str, bytes], expected_digests: dict[str, str]
) -> Iterator[str]:
    try:
        sums = msgspec.json.decode(content.get("package/sums.json", b""), type=dict[str, str])
    except msgspec.MsgspecError as error:
        yield f"{tarball} cannot be read: sums.json: {error}"
    else:
        yield from _digest_differences(f"sums.json in {tarball}", sums, expected_digests)


def _of_content(
    tarball: str, content: dict[str, bytes], names: list[str], digests: dict[str, str]
) -> Iterator[str]:
    for name in names:
        file = name.rpartition("/")[2]
        data = content.get(f"package/{name}", b"")
        if file in digests and hashlib.sha256(data).hexdigest() != digests[file]:
            yield f"{tarball} has another {file} than the release"


def _bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read() if stream else b""


def _of_sbom(folder: Path, manifest: Manifest, digests: dict[str, str]) -> Iterator[str]:
    if not (folder / layout.SBOM).is_file():
        return  # another check reports it
    bill = layout.read_json(files.read_input(folder / layout.SBOM), sbom.Bom, layout.SBOM)
    listed_digests = {
        component.bom_ref: component.hashes[0].content
        for component in bill.components
        if component.hashes
    }
    tarballs = [tarball_name(manifest.version, target) for target in (None, *TARGETS.values())]
    parts = [*(entry.file for entry in manifest.libraries), *tarballs]
    yield from _digest_differences(
        layout.SBOM, listed_digests, {name: digests.get(name, "") for name in parts}
    )
