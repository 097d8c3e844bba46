"""How a host is reached: npm's own settings for certificates and proxies, else the environment."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import requests.adapters
import requests.utils

from gobun import __version__
from gobun.errors import FetchError
from gobun.fetch.npm import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


_CONNECT_TIMEOUT_S = 15.0
_READ_TIMEOUT_S = 30.0
"""A host that sends nothing for this long has stalled."""
_MAX_REDIRECTS = 5


class _Adapter(requests.adapters.HTTPAdapter):
    """Trusts more certificates beside those that requests loads by itself."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: object, **options: object) -> None:
        """Give the certificates to direct connections."""
        options["ssl_context"] = self._context
        super().init_poolmanager(*args, **options)  # type: ignore[arg-type]  # passed on as is

    def proxy_manager_for(self, *args: object, **options: object) -> object:
        """Give the certificates to connections through a proxy."""
        options["ssl_context"] = self._context
        return super().proxy_manager_for(*args, **options)  # type: ignore[arg-type]  # as above


class Transport(msgspec.Struct, frozen=True):
    """Opens addresses the way npm would."""

    settings: Settings
    own_registry: Callable[[], str]
    """Says what npm's registry is when none is configured; asked only if it matters."""

    def get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Open ``url``; the body is read by the caller.

        Raises:
            FetchError: the certificates cannot be read, or the redirects are not followed.
            requests.RequestException: whatever else goes wrong.
        """
        session = requests.Session()
        session.max_redirects = _MAX_REDIRECTS
        session.mount("https://", _Adapter(self._context()))
        try:
            response = session.get(
                url,
                headers={
                    "Accept-Encoding": "identity",  # the digest is that of the bytes as sent
                    "User-Agent": f"gobun/{__version__}",
                    **headers,
                },
                stream=True,
                timeout=(_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S),
                proxies=self._proxies(url),
                verify=self._verify(),
            )
        except requests.RequestException:
            raise
        except OSError as error:  # how requests says that it cannot read a bundle
            raise FetchError(
                f"the certificates to trust cannot be read: {error}",
                hint="look at `npm config get cafile` and REQUESTS_CA_BUNDLE",
            ) from error
        hops = [hop.url for hop in (*response.history, response)]
        if url.startswith("https:") and not all(hop.startswith("https:") for hop in hops):
            response.close()
            raise FetchError(
                "the host redirects from https to plain http, which is not followed",
                hint="ask who runs it, or use another (`npm config get registry` for packages)",
            )
        return response

    def tarball_url(self, url: str) -> str:
        """Return where npm would fetch ``url`` from: a mirror may keep its origin's addresses.

        Raises:
            FetchError: it is not an address of the web.
        """
        given = urlsplit(url)
        if given.scheme not in {"http", "https"} or not given.hostname:
            raise FetchError(
                f"the registry names {url!r} as the archive, which is not a web address",
                hint="look at `npm config get registry`",
            )
        registry = urlsplit(self.settings.registry)
        rule = self.settings.replace_registry_host
        if given.hostname == registry.hostname or rule == "never":
            return url
        if rule == "npmjs":
            rule = urlsplit(self.own_registry()).hostname or rule
        if rule not in {"always", given.hostname}:
            return url
        return urlunsplit(given._replace(scheme=registry.scheme, netloc=registry.netloc))

    def _verify(self) -> bool | str:
        if not self.settings.strict_ssl:
            return False
        return self.settings.cafile or True

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        extra = os.environ.get("NODE_EXTRA_CA_CERTS")
        if extra:
            # npm's Node adds these to its own, and passes over a file that it cannot read.
            with contextlib.suppress(OSError):
                context.load_verify_locations(cafile=extra)
        inline = self.settings.ca or ""
        if inline:
            joined = inline if isinstance(inline, str) else "\n".join(inline)
            try:
                context.load_verify_locations(cadata=joined.replace("\\n", "\n"))
            except ssl.SSLError as error:
                raise FetchError(
                    f"npm's configured certificates cannot be read: {error}",
                    hint="look at `npm config get ca`",
                ) from error
        if not self.settings.strict_ssl:
            context.check_hostname = False
        return context

    def _proxies(self, url: str) -> dict[str, str]:
        """Return npm's proxies; requests fills in the environment's where it names none."""
        given = self.settings.noproxy or ""
        exempt = given if isinstance(given, str) else ",".join(given)
        if exempt and requests.utils.should_bypass_proxies(url, exempt):
            return {}
        plain = self.settings.proxy if isinstance(self.settings.proxy, str) else None
        secure = self.settings.https_proxy or plain
        named = {"http": plain, "https": secure}
        return {scheme: proxy for scheme, proxy in named.items() if proxy}
