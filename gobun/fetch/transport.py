"""Connects to hosts with npm's settings for certificates and proxies, else the environment's."""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import requests.adapters
import requests.utils

from gobun import __version__
from gobun.errors import FetchError
from gobun.fetch.address import split_address
from gobun.fetch.npm import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 30.0
"""A host that sends no bytes for this time has stalled."""
ANSWER_S = 120.0
"""Seconds for the status and headers of a response, redirects included."""
_MAX_REDIRECTS = 5

_T = TypeVar("_T")


class _Adapter(requests.adapters.HTTPAdapter):
    """Trusts additional certificates, and those that requests loads by default."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: object, **options: object) -> None:
        """Add the certificates to direct connections."""
        options["ssl_context"] = self._context
        super().init_poolmanager(*args, **options)  # type: ignore[arg-type]  # passed on as is

    def proxy_manager_for(self, *args: object, **options: object) -> object:
        """Add the certificates to connections through a proxy."""
        options["ssl_context"] = self._context
        return super().proxy_manager_for(*args, **options)  # type: ignore[arg-type]  # as above


class _Session(requests.Session):
    """Takes proxies from a function, and no settings or logins from the environment.

    By default, requests sends the logins of ``~/.netrc``, even to hosts that it is redirected to.
    Nobody expects that from a download.
    """

    def __init__(self, proxies_of: Callable[[str], dict[str, str]]) -> None:
        super().__init__()
        self.trust_env = False
        self.max_redirects = _MAX_REDIRECTS
        self._proxies_of = proxies_of

    def rebuild_proxies(
        self, prepared_request: requests.PreparedRequest, proxies: object
    ) -> dict[str, str]:
        """Choose the proxy for the host that a redirect leads to."""
        del proxies
        prepared_request.headers.pop("Proxy-Authorization", None)
        return self._proxies_of(prepared_request.url or "")


def environ_proxies(url: str) -> dict[str, str]:
    """Return the proxies that the environment names for an address."""
    return dict(requests.utils.get_environ_proxies(url))


def environ_bundle() -> str | bool:
    """Return the environment's file of trusted authorities, or True for the default of requests."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return named or True


def answers(url: str, timeout_s: float) -> None:
    """Request the head of ``url`` without a login, and accept any response.

    Raises:
        requests.RequestException: it does not answer.
        OSError: the environment's file of trusted authorities cannot be read.
        ValueError: ``url`` is invalid.
    """
    session = _Session(environ_proxies)

    def send_request() -> None:
        session.head(
            url,
            timeout=timeout_s,
            allow_redirects=False,
            proxies=environ_proxies(url),
            verify=environ_bundle(),
        ).close()

    call_within(timeout_s, send_request)


def call_within(seconds: float, call: Callable[[], _T]) -> _T:
    """Return the result of ``call`` if it finishes in time. Its exceptions are raised here.

    A timeout of requests restarts with each byte. A host that sends its headers a byte at a time
    would block us for hours.

    Raises:
        requests.Timeout: it takes longer. The call continues on its thread.
    """
    outcome: queue.SimpleQueue[Callable[[], _T]] = queue.SimpleQueue()

    def run_call() -> None:
        try:
            value = call()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller
            outcome.put(functools.partial(_raise, error))
        else:
            outcome.put(lambda: value)

    threading.Thread(target=run_call, daemon=True).start()
    try:
        answer = outcome.get(timeout=seconds)
    except queue.Empty:
        raise requests.Timeout(f"timed out after {seconds:g} seconds") from None
    return answer()


def _raise(error: BaseException) -> NoReturn:
    raise error


class Transport(msgspec.Struct, frozen=True):
    """Opens addresses as npm does."""

    settings: Settings
    own_registry: Callable[[], str]
    """Returns npm's default registry. Called only if needed."""

    def get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Open ``url``. The caller reads the body.

        Raises:
            FetchError: the certificates cannot be read, or a redirect is not allowed.
            requests.RequestException: any other failure.
        """
        session = _Session(self._proxies)
        session.mount("https://", _Adapter(self._context()))

        def send_request() -> requests.Response:
            return session.get(
                url,
                headers={
                    "Accept-Encoding": "identity",  # the digest applies to the bytes as sent
                    "User-Agent": f"gobun/{__version__}",
                    **headers,
                },
                stream=True,
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                proxies=self._proxies(url),
                verify=self._verify(),
            )

        try:
            response = call_within(ANSWER_S, send_request)
        except requests.RequestException:
            raise
        except ValueError as error:  # an invalid address, perhaps of a redirect
            raise requests.exceptions.InvalidURL(str(error)) from error
        except OSError as error:  # requests raises this for an unreadable bundle
            raise FetchError(
                f"the certificates to trust cannot be read: {error}",
                hint="check `npm config get cafile` and REQUESTS_CA_BUNDLE",
            ) from error
        hops = [hop.url for hop in (*response.history, response)]
        if url.startswith("https:") and not all(hop.startswith("https:") for hop in hops):
            response.close()
            raise FetchError(
                "the host redirects from https to plain http, which is not followed",
                hint="ask its operator, or use another (`npm config get registry` for packages)",
            )
        return response

    def tarball_url(self, url: str) -> str:
        """Return the address that npm would use for ``url``: see its ``replace-registry-host``.

        The records of a mirror may still have the addresses of the original registry.

        Raises:
            FetchError: ``url`` or npm's registry is not a web address.
        """
        address = split_address(url)
        if address is None or address.scheme not in {"http", "https"} or not address.hostname:
            raise FetchError(
                f"the registry names {url!r} as the archive, which is not a web address",
                hint="check `npm config get registry`",
            )
        registry = split_address(self.settings.registry)
        if registry is None:
            raise FetchError(
                f"npm's registry {self.settings.registry!r} is not a web address",
                hint="check `npm config get registry`",
            )
        rule = self.settings.replace_registry_host
        if address.hostname == registry.hostname or rule == "never":
            return url
        if rule == "npmjs":
            rule = urlsplit(self.own_registry()).hostname or rule
        if rule not in {"always", address.hostname}:
            return url
        return urlunsplit(address._replace(scheme=registry.scheme, netloc=registry.netloc))

    def _verify(self) -> bool | str:
        if not self.settings.strict_ssl:
            return False
        return self.settings.cafile or environ_bundle()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        extra = os.environ.get("NODE_EXTRA_CA_CERTS")
        if extra:
            # npm's Node adds these to its own, and ignores a file that it cannot read.
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
                    hint="check `npm config get ca`",
                ) from error
        if not self.settings.strict_ssl:
            context.check_hostname = False
        return context

    def _proxies(self, url: str) -> dict[str, str]:
        """Return npm's proxies, or the environment's if npm has none."""
        noproxy = self.settings.noproxy or ""
        exempt = noproxy if isinstance(noproxy, str) else ",".join(noproxy)
        if exempt and requests.utils.should_bypass_proxies(url, exempt):
            return {}
        proxy_url = self.settings.proxy if isinstance(self.settings.proxy, str) else None
        secure = self.settings.https_proxy or proxy_url
        named = {"http": proxy_url, "https": secure}
        configured = {scheme: proxy for scheme, proxy in named.items() if proxy}
        return environ_proxies(url) | configured
