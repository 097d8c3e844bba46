"""Downloads files from an address that a person names, and checks their known digests."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gobun import console, files
from gobun.errors import FetchError
from gobun.fetch import integrity, npm
from gobun.fetch.integrity import Integrity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.fetch.transport import Transport

_LARGEST_BYTES = 64 << 20


@functools.cache
def _transport() -> Transport:
    from gobun.fetch.transport import Transport  # noqa: PLC0415 - see fetch_files

    return Transport(npm.settings(), functools.cache(npm.own_registry))


def fetch_files(
    base: str, names: Sequence[tuple[str, str | None]], folder: Path, *, advice: str
) -> None:
    """Download files of the web folder ``base`` into ``folder``.

    ``names`` has each file's name and its SHA-256 in hex, or None if that is unknown. A file with a
    known digest must match it. ``advice`` is the hint if a host refuses. ``folder`` is temporary,
    so nothing is flushed to disk here.

    Release pages redirect, so this follows redirects to any host, but never from https to plain
    http.

    Raises:
        FetchError: a host refused or kept failing, or a digest does not match.
        PrerequisiteError: a write failed, or npm is missing. Its settings configure network access.
    """
    # Importing the HTTP library takes a quarter of a command's start, and few commands need it.
    from gobun.fetch.download import DownloadSource, download  # noqa: PLC0415

    transport = _transport()
    host = urlsplit(base).netloc.rpartition("@")[2]
    # Each file in place counts as one byte more, so that the progress ends with the last file.
    with console.progress("downloading", len(names), unit="bytes") as progress:
        for name, sha256 in names:
            expected_digest = Integrity(bytes.fromhex(sha256), "sha256") if sha256 else None
            source = DownloadSource(
                name, f"{base}/{name}", expected_digest, host, advice, largest_bytes=_LARGEST_BYTES
            )
            path = folder / name
            with files.temporary_sibling(path) as staged:
                part = staged / "part"
                download(source, part, transport, progress=progress, stop=threading.Event())
                if expected_digest is not None and not expected_digest.matches_file(part):
                    actual = integrity.of_file(part, "sha256")
                    raise FetchError(
                        f"{name} arrived damaged or forged, and was removed:\n"
                        f"  expected SHA-256: {sha256}\n"
                        f"  found:            {actual.digest.hex()}",
                        hint="run the same command again; if it happens twice, the sums and the"
                        " files are not of the same release",
                    )
                part.replace(path)
            progress.advance(note=name)
