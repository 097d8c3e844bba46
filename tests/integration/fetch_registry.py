"""An npm registry on this machine that can misbehave, for the real npm client."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import tarfile
import threading
import time
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from gobun import cache, fetch, paths
from gobun.fetch import Package, download, integrity, npm_lock, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from email.message import Message
    from pathlib import Path

    Answer = Callable[["Handler", bytes], None]


NAME = "@oven/bun-linux-x64"
HALF_SIZE = 150_000
"""About half of a published archive."""


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(seed).randbytes(size)  # noqa: S311  not a secret


def npm_archive(content: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o755 if "/bin/" in name else 0o600
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def sri(data: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


class Request:
    def __init__(self, path: str, headers: Message) -> None:
        self.path = path
        self.range = headers.get("Range")
        self.if_range = headers.get("If-Range")
        self.authorization = headers.get("Authorization")
        self.sent_bytes = 0


class Registry:
    """The content of the server, its answers, and the requests that it received."""

    def __init__(self) -> None:
        self.archives: dict[Package, bytes] = {}
        self.integrity: dict[Package, str] = {}
        self.answers: dict[str, list[Answer]] = {}
        """Scripted answers by path; the last one stays."""
        self.requests: list[Request] = []
        self.port = 0
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def publish(self, name: str, version: str, archive: bytes | None = None) -> Package:
        package = Package(name, version)
        default = {"package/package.json": b"{}", "package/bin/tool": noise(300_000)}
        self.archives[package] = npm_archive(default) if archive is None else archive
        return package

    def answer(self, package: Package, *answers: Answer) -> None:
        self.answers[archive_path(package)] = list(answers)

    def requests_for(self, package: Package) -> list[Request]:
        return [request for request in self.requests if request.path == archive_path(package)]

    def packument(self, name: str) -> bytes | None:
        versions = {
            package.version: {
                "name": name,
                "version": package.version,
                "dist": {
                    "tarball": self.url + archive_path(package),
                    "integrity": self.integrity.get(package, sri(data)),
                },
            }
            for package, data in self.archives.items()
            if package.name == name
        }
        if not versions:
            return None
        stable = [version for version in versions if "-" not in version]
        tags = {"latest": (stable or list(versions))[-1]}
        return json.dumps({"name": name, "dist-tags": tags, "versions": versions}).encode()


def archive_path(package: Package) -> str:
    return f"/archives/{package.name}/{package.version}.tgz"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: Registry

    def do_GET(self) -> None:
        registry = self.registry
        self.request_seen = Request(self.path, self.headers)
        registry.requests.append(self.request_seen)
        scripted = registry.answers.get(self.path, [])
        data = next(
            (
                data
                for package, data in registry.archives.items()
                if archive_path(package) == self.path
            ),
            None,
        )
        if scripted:
            (scripted.pop(0) if len(scripted) > 1 else scripted[0])(self, data or b"")
            return
        if data is None:
            data = registry.packument(urllib.parse.unquote(self.path[1:]))
        if data is None:
            self.reply(404, b"{}")
            return
        send_whole(self, data)

    def do_HEAD(self) -> None:
        self.do_GET()

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.send(body)

    def send(self, body: bytes) -> None:
        self.wfile.write(body)
        self.wfile.flush()
        self.request_seen.sent_bytes += len(body)

    def log_message(self, *args: object) -> None:
        pass


def send_whole(handler: Handler, data: bytes) -> None:
    """Answer as a good host does, ranges included."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
    range_header = handler.headers.get("Range")
    if range_header and handler.headers.get("If-Range", tag) == tag:
        begin = int(range_header.removeprefix("bytes=").rstrip("-"))
        span = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        handler.reply(206, data[begin:], Content_Range=span, ETag=tag)
    else:
        handler.reply(200, data, ETag=tag)


def cut_after(size: int) -> Answer:
    """Announce everything, send ``size`` bytes of it, and close."""

    def answer(handler: Handler, data: bytes) -> None:
        head = {"Content_Length": str(len(data)), "ETag": '"one"'}
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        handler.reply(200, data[:size], **(head | {"ETag": tag}))
        handler.close_connection = True

    return answer


def stall_after(size: int, *, seconds: float = 3.0) -> Answer:
    """Announce everything, send ``size`` bytes of it, and then nothing for a while."""

    def answer(handler: Handler, data: bytes) -> None:
        cut_after(size)(handler, data)
        time.sleep(seconds)

    return answer


def sending(data: bytes) -> Answer:
    """Answer with ``data`` instead of the registry's content."""
    return lambda handler, _: send_whole(handler, data)


def status(code: int, **headers: str) -> Answer:
    return lambda handler, _data: handler.reply(code, b"", **headers)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for this machine's own address, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not shutil.which("openssl"):
        pytest.skip("making a certificate takes openssl")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    return certificate, key


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        """Ignore clients that disconnect, because some tests make them do so."""


@contextlib.contextmanager
def run_registry(certificate: Path | None = None, key: Path | None = None) -> Iterator[Registry]:
    registry = Registry()
    handler = type("BoundHandler", (Handler,), {"registry": registry})
    server = _Server(("127.0.0.1", 0), handler)
    server.block_on_close = False
    registry.port = server.server_address[1]
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        registry.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def release_marks(locks: dict[Path, int]) -> None:
    """Release the cache entries that this process protects from eviction."""
    for number in locks.values():
        os.close(number)
    locks.clear()


@contextlib.contextmanager
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Serve a registry, and point npm to it, with a fresh home, cache and lock file."""
    for name in list(os.environ):
        if name.lower().startswith("npm_config_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "LOCK_FILE", tmp_path / "lock.toml")
    monkeypatch.setattr(download, "BACKOFF_S", 0.01)
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    versions.known_versions.cache_clear()
    with run_registry() as served:
        monkeypatch.setenv("npm_config_registry", served.url)
        write_lock(served)
        yield served
    release_marks(cache.pinned_entries)
    versions.known_versions.cache_clear()


def write_lock(registry: Registry) -> None:
    entries = {package: integrity.parse(sri(data)) for package, data in registry.archives.items()}
    npm_lock.write_lock(entries)


def locked_package(
    registry: Registry, version: str = "1.2.19", data: bytes | None = None
) -> fetch.Package:
    package = registry.publish(NAME, version, data)
    write_lock(registry)
    return package


def nothing_kept(package: fetch.Package, *, part: bool = False) -> bool:
    folder = fetch.package_folder(package)
    left = [child.name for child in folder.parent.iterdir()] if folder.parent.is_dir() else []
    left = [name for name in left if not name.endswith((".lock", ".used"))]
    expected = [f"{package.version}.tgz.part", f"{package.version}.tgz.part.json"] if part else []
    return sorted(left) == expected


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{port}")
