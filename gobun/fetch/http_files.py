"""Downloads files from an address that a person names, and checks their known digests."""

from __future__ import annotations

import functools
import ipaddress
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gobun import console, files
from gobun.errors import FetchError, UsageError
from gobun.fetch import integrity, npm
from gobun.fetch.download import DownloadSource, download
from gobun.fetch.integrity import Integrity
from gobun.fetch.transport import Transport, split_address

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LARGEST_BYTES = 64 << 20


def check_address(url: str, *, trusted: bool) -> str:
    """Return ``url`` if files may be fetched from it.

    Anybody can change an unencrypted download. So plain http needs ``trusted``, which means that
    the digests come from another source. This machine itself is exempt.

    Raises:
        UsageError: it is not a web address, or is not allowed.
    """
    parts = split_address(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{url!r} is not a web address", hint="write it like https://host/path")
    if parts.query or parts.fragment:
        raise UsageError(
            f"{url!r} has a query or a fragment, behind which no file name can stand",
            hint="give the address of the folder",
        )
    if parts.scheme == "http" and not trusted and not _is_this_machine(parts.hostname):
        raise UsageError(
            f"{url!r} is plain http, by which anybody between here and there can send anything",
            hint="use https, or give the sums you trust",
        )
    return url.rstrip("/")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@functools.cache
def _transport() -> Transport:
    return Transport(npm.settings(), functools.cache(npm.own_registry))


def fetch_files(
    base: str, wanted: Sequence[tuple[str, str | None]], folder: Path, *, advice: str
) -> None:
    """Download files of the folder ``base`` into ``folder``: names, and their SHA-256 if known.

    ``folder`` is temporary, so nothing is flushed to disk here.

    Release pages redirect, so redirects to any host are followed, but never from https to plain
    http. A file with a known digest must match it.

    Raises:
        FetchError: a host refused or kept failing, or a digest does not match.
        PrerequisiteError: a write failed, or npm is missing, whose settings configure network
            access.
    """
    transport = _transport()
    host = urlsplit(base).netloc.rpartition("@")[2]
    # Count a file once it is in place, so that the progress ends with the last file.
    with console.progress("downloading", len(wanted), unit="bytes") as shown:
        for name, sha256 in wanted:
            known = Integrity(bytes.fromhex(sha256), "sha256") if sha256 else None
            source = DownloadSource(
                name, f"{base}/{name}", known, host, advice, largest_bytes=_LARGEST_BYTES
            )
            path = folder / name
            with files.temporary_sibling(path) as staged:
                part = staged / "part"
                download(source, part, transport, shown=shown, stop=threading.Event())
                if known is not None and not known.fits(part):
                    found = integrity.of_file(part, "sha256")
                    raise FetchError(
                        f"{name} arrived damaged or forged, and was removed:\n"
                        f"  expected SHA-256: {sha256}\n"
                        f"  found:            {found.digest.hex()}",
                        hint="run the same command again; if it happens twice, the sums and the"
                        " files are not of the same release",
                    )
                part.replace(path)
            shown.advance(note=name)
