"""Downloads one file, and resumes where an earlier attempt or run stopped."""

from __future__ import annotations

import re
import time
from typing import IO, TYPE_CHECKING

import msgspec
import requests
import urllib3.exceptions

from gobun import files
from gobun.decoding import decoder_of
from gobun.errors import FetchError, PrerequisiteError
from gobun.fetch.integrity import Integrity
from gobun.fetch.npm import TRUST

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from gobun.console import Progress
    from gobun.fetch.transport import Transport

ATTEMPTS = 4
BACKOFF_S = 0.5
LONGEST_WAIT_S = 10.0
_CHUNK_BYTES = 1 << 16
WINDOW_S = 30.0
_LEAST_RATE = 1000.0
"""Lowest rate in bytes per second over a window. A slower download would never end."""
LONGEST_S = 3600.0
"""Seconds that one attempt may take. The next attempt resumes where this one ended."""
_OVERLOADED = 429
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d+/(?:\d+|\*)", re.ASCII)
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_RESUME_HINT = "run the same command again: it goes on where this one stopped"
_REFUSALS = {
    401: "wants a login for it (401)",
    403: "forbids it (403)",
    404: "does not have it (404)",
    407: "is behind a proxy that wants a login (407)",
    410: "had it once, and does not any more (410)",
}


class DownloadSource(msgspec.Struct, frozen=True):
    """A file to download: its label in messages, its address, and its digest."""

    label: str
    url: str
    integrity: Integrity | None
    """The expected digest, or None if unknown."""
    host: str = "the registry"
    """The host's name in messages about a refusal."""
    advice: str = "check `npm config get registry`; archives are fetched without a login"
    """The hint of these messages."""
    largest_bytes: int = 1 << 30


class StoppedError(Exception):
    """Another download failed, or a signal ended the run. The next run resumes the partial file."""


class _PartialFile(msgspec.Struct, frozen=True):
    """The record next to a partial file."""

    integrity: str
    validator: str | None
    """The host's ETag or date. With it, a download resumes only if the host's file is unchanged."""


class _TransientError(Exception):
    """An error worth a retry. ``after_s`` is the delay in seconds that the host requested."""

    def __init__(self, what: str, after_s: float = 0.0) -> None:
        super().__init__(what)
        self.after_s = after_s


def download(
    source: DownloadSource,
    part: Path,
    transport: Transport,
    *,
    progress: Progress,
    stop: threading.Event,
) -> None:
    """Fill ``part`` with the bytes of ``source``. The caller checks their digest.

    Raises:
        FetchError: the host refused, or kept failing.
        PrerequisiteError: a write failed. The partial file is removed to free its space.
        StoppedError: ``stop`` was set.
    """
    if source.integrity is not None and part.is_file() and source.integrity.matches_file(part):
        return
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _attempt(source, part, transport, progress=progress, stop=stop)
        except _TransientError as error:
            if attempt == ATTEMPTS:
                raise FetchError(
                    f"downloading {source.label} failed {ATTEMPTS} times; the last error: {error}",
                    hint=_RESUME_HINT,
                ) from error
            if stop.wait(max(BACKOFF_S * 2 ** (attempt - 1), error.after_s)):
                raise StoppedError from error
        except PrerequisiteError:
            discard_part(part)
            raise
        else:
            return


def discard_part(part: Path) -> None:
    """Remove a partial file and its record."""
    part.unlink(missing_ok=True)
    _memo(part).unlink(missing_ok=True)


def _attempt(
    source: DownloadSource,
    part: Path,
    transport: Transport,
    *,
    progress: Progress,
    stop: threading.Event,
) -> None:
    headers, offset = _resume(source, part)
    try:
        with transport.get(source.url, headers) as response:
            offset = _accept_response(response, source, part, offset)
            _copy(response, source, part, offset=offset, progress=progress, stop=stop)
    except requests.exceptions.SSLError as error:
        raise FetchError(
            f"downloading {source.label} failed: the host's certificate is not trusted: {error}",
            hint=TRUST,
        ) from error
    except requests.TooManyRedirects as error:
        raise FetchError(
            f"downloading {source.label} failed: {source.host} redirects without end",
            hint=source.advice,
        ) from error
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise _TransientError(_reason(error)) from error
    except requests.RequestException as error:
        raise FetchError(
            f"downloading {source.label} failed: {error}",
            hint=f"{source.advice}, and check the proxy settings",
        ) from error


def _reason(error: Exception) -> str:
    text = f"{type(error).__name__} {error}"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy cannot be used"
    if "timed out" in text.lower():
        return "the host stalled"
    if "IncompleteRead" in text:
        return "the connection was closed before the end"
    if "reset" in text or "RemoteDisconnected" in text:
        return "the connection was reset"
    if "NameResolution" in text:
        return "the host's name cannot be resolved"
    return "the connection failed"


def _memo(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _resume(source: DownloadSource, part: Path) -> tuple[dict[str, str], int]:
    """Return the headers that request the rest of ``part``, and the offset of the rest."""
    try:
        size = part.stat().st_size
        memo = decoder_of(_PartialFile).decode(_memo(part).read_bytes())
    except (FileNotFoundError, msgspec.MsgspecError):
        discard_part(part)
        return {}, 0
    if size == 0 or memo.integrity != str(source.integrity):
        discard_part(part)
        return {}, 0
    headers = {"Range": f"bytes={size}-"}
    if memo.validator:
        headers["If-Range"] = memo.validator
    return headers, size


def _accept_response(
    response: requests.Response, source: DownloadSource, part: Path, offset: int
) -> int:
    """Check the status and headers of a response, and return the offset of its body in the file."""
    status = response.status_code
    if status == _OVERLOADED or status >= 500:
        raise _TransientError(f"the host answers {status}", _asked_wait(response))
    if status in {206, 416}:
        begins = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        if status == 206 and begins and int(begins[1]) == offset > 0:
            return offset
        discard_part(part)
        raise _TransientError("the host does not continue where the partial file ends")
    if status != 200:
        raise FetchError(
            f"downloading {source.label} failed: {source.host} "
            + _REFUSALS.get(status, f"answers {status}"),
            hint=source.advice,
        )
    kind = response.headers.get("Content-Type", "")
    if kind.lower().startswith("text/html"):
        raise FetchError(
            f"downloading {source.label} failed: the host sent a web page instead",
            hint="open the address in a browser; a login page or a proxy may be in the way",
        )
    discard_part(part)
    memo = _PartialFile(str(source.integrity), _validator(response))
    files.write_whole(_memo(part), msgspec.json.encode(memo))
    return 0


def _asked_wait(response: requests.Response) -> float:
    header = response.headers.get("Retry-After", "")
    return min(float(header), LONGEST_WAIT_S) if _LENGTH.fullmatch(header) else 0.0


def _validator(response: requests.Response) -> str | None:
    tag = response.headers.get("ETag", "")
    # A weak tag does not promise the same bytes. RFC 9110 (13.1.5) forbids one in If-Range.
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _copy(
    response: requests.Response,
    source: DownloadSource,
    part: Path,
    *,
    offset: int,
    progress: Progress,
    stop: threading.Event,
) -> None:
    declared = response.headers.get("Content-Length", "")
    expected = int(declared) if _LENGTH.fullmatch(declared) else None
    _check_size(source, part, offset + (expected or 0))
    progress.grow(expected or 0)
    received = 0
    try:
        with files.disk_errors(part):
            # Unbuffered, because close() would retry a buffered write that a full disk rejected.
            stream = part.open("ab", buffering=0)
        pace = _Pace()
        with stream:
            # read1 returns what has arrived, so a broken connection loses no received byte.
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
                with files.disk_errors(part):
                    _write_all(stream, chunk)
                received += len(chunk)
                progress.advance(len(chunk))
                _check_size(source, part, offset + received)
                pace.check(received)
                if stop.is_set():
                    raise StoppedError
    finally:
        progress.grow(received - (expected or 0))  # the total shrinks by the missing bytes
    if expected is not None and received != expected:
        raise _TransientError(f"the connection was closed at {received} of {expected} bytes")


def _write_all(stream: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]


class _Pace:
    """Gives up on a host that sends single bytes slowly, which no read timeout detects."""

    def __init__(self) -> None:
        self._started_at = self._window = time.monotonic()
        self._window_bytes = 0

    def check(self, received_bytes: int) -> None:
        """Check the rate, given the number of bytes that this attempt has received so far.

        Raises:
            _TransientError: the rate is too low, or the attempt takes too long.
        """
        now = time.monotonic()
        if now - self._started_at > LONGEST_S:
            raise _TransientError(f"it takes longer than {LONGEST_S / 60:.0f} minutes")
        if now - self._window < WINDOW_S:
            return
        rate = (received_bytes - self._window_bytes) / (now - self._window)
        if rate < _LEAST_RATE:
            raise _TransientError(f"the host sends {rate:.0f} bytes a second")
        self._window, self._window_bytes = now, received_bytes


def _check_size(source: DownloadSource, part: Path, size: int) -> None:
    if size > source.largest_bytes:
        discard_part(part)
        raise FetchError(
            f"downloading {source.label} failed: more than {source.largest_bytes >> 20} MiB",
            hint=f"no such file is that large; {source.advice}",
        )
