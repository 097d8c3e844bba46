"""Downloads libraries of a published release, for use in scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gobun import build, fetch, files
from gobun.errors import FetchError, UsageError
from gobun.release import layout
from gobun.release.version import check_version
from gobun.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.targets import Target

_PLACE = "{version}"
_ADVICE = "check --version and --from"


def download_warmup(
    version: str,
    source: str,
    out: Path,
    *,
    targets: Sequence[Target],
    name: str = build.DEFAULT_NAME,
    sums_file: Path | None = None,
) -> list[Path]:
    """Put the libraries of a release and their headers into ``out``, and return their paths.

    ``source`` is the address of the release's folder, with ``{version}`` in it. The files must
    match the checksums beside them, or those of ``sums_file``, which the caller trusts. Existing
    files with the right digest are not fetched again. No file is placed before all have passed.

    Raises:
        UsageError: the version, the address or the name is invalid, or ``sums_file`` is unreadable.
        FetchError: a host refused or kept failing, a digest does not match, or the release lacks a
            library.
        PrerequisiteError: ``out`` cannot be written, or npm is missing.
    """
    check_version(version)
    known_names = (*build.NAMES, build.GUARD_NAME, build.STATIC_NAME)
    if name not in known_names:
        raise UsageError.unknown("library name", name, known_names)
    if _PLACE not in source:
        raise UsageError(
            f"--from {source!r} does not contain {_PLACE}",
            hint=f"write {_PLACE} there, like https://host/releases/v{_PLACE}",
        )
    base = fetch.check_address(source.replace(_PLACE, version), trusted=sums_file is not None)
    with scratch_folder("download") as temporary:
        download_folder = Path(temporary)
        needed = _needed_files(base, download_folder, targets, name, sums_file)
        missing = [(file, digest) for file, digest in needed if not _has_digest(out / file, digest)]
        fetch.fetch_files(base, missing, download_folder, advice=_ADVICE)
        for file, _ in missing:
            files.copy_whole(download_folder / file, out / file)
    return [out / file for file, _ in needed]


def _has_digest(path: Path, digest: str) -> bool:
    return path.is_file() and files.sha256_of(path) == digest


def _needed_files(
    base: str, folder: Path, targets: Sequence[Target], name: str, sums_file: Path | None
) -> list[tuple[str, str]]:
    """Return the needed files and their SHA-256."""
    digests: dict[str, str] = {}
    where = "the lists of sums"
    if sums_file is not None:
        where = str(sums_file)
        text = files.read_input(sums_file).decode(errors="replace")
        digests = layout.read_sums(text, f"--sums {sums_file}")
    else:
        lists = sorted({build.SUMS[target.os] for target in targets})
        fetch.fetch_files(base, [(each, None) for each in lists], folder, advice=_ADVICE)
        for each in lists:
            digests |= layout.read_sums((folder / each).read_text(errors="replace"), each)
    needed: list[tuple[str, str]] = []
    for target in targets:
        library, header = build.file_names(name, target)
        if library not in digests:
            raise FetchError(
                f"{where} of this release do not name {library}",
                hint=f"the names are: {', '.join(sorted(digests)) or 'none'}",
            )
        # The lists of the first releases do not name the headers.
        needed += [(file, digests[file]) for file in (library, header) if file in digests]
    return needed
