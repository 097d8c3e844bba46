"""Checks that hosts answer at all, so that a long build does not fail in the middle."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT_S = 10.0


def unreachable_hosts(urls: Sequence[str]) -> dict[str, str]:
    """Return the addresses that do not answer, with the reasons."""
    if not urls:
        return {}
    with ThreadPoolExecutor(max_workers=len(urls)) as pool:
        return {url: why for url, why in zip(urls, pool.map(_why_not, urls), strict=True) if why}


def _why_not(url: str) -> str:
    # Importing the HTTP library takes a quarter of a command's start, and few commands need it.
    import requests  # noqa: PLC0415

    from gobun.fetch.transport import answers  # noqa: PLC0415

    try:
        answers(url, _TIMEOUT_S)
    except requests.Timeout:
        return f"no answer within {_TIMEOUT_S:g} seconds"
    except requests.exceptions.SSLError:
        return "its certificate is not trusted"
    except requests.exceptions.ProxyError:
        return "the proxy refuses"
    except (requests.RequestException, OSError, ValueError):  # OSError: the CA file is unreadable
        return "no connection"
    return ""
