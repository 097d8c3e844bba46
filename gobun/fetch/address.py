"""Checks addresses that a person or a registry names."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from gobun.errors import UsageError


def split_address(url: str) -> SplitResult | None:
    """Return the parts of an address, or None if it is invalid, such as ``http://[::1``."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError if it is not a number
    except ValueError:
        return None
    return parts


def check_address(url: str, *, trusted: bool) -> str:
    """Return ``url`` if files may be fetched from it.

    Anybody can change an unencrypted download. So plain http needs ``trusted``, which means that
    the digests come from another source. This machine itself is exempt.

    Raises:
        UsageError: it is not a web address, has a query or a fragment, or is plain http without
            ``trusted``.
    """
    parts = split_address(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{url!r} is not a web address", hint="write it like https://host/path")
    if parts.query or parts.fragment:
        raise UsageError(
            f"{url!r} has a query or a fragment, so no file name can follow it",
            hint="give the address of the folder",
        )
    if parts.scheme == "http" and not trusted and not _is_this_machine(parts.hostname):
        raise UsageError(
            f"{url!r} is plain http, so anybody on the way can change the files",
            hint="use https, or give the sums you trust",
        )
    return url.rstrip("/")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
