"""Fuzzers and bombs for the code that opens archives and reads the answers of hosts."""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import socket
import tarfile
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

from hypothesis import strategies as st

from benchmarks.torture.fuzzing import fuzz, mutations_of, randomly
from benchmarks.torture.registry import Budget, Figure, part
from gobun.console import Progress
from gobun.errors import FetchError
from gobun.fetch import download, transport
from gobun.fetch.archive import MOST_MEMBERS, unpack
from gobun.fetch.npm import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

_KINDS = (b"0", b"\0", b"1", b"2", b"3", b"5", b"6", b"7", b"L", b"K", b"x", b"g", b"S")
_NAMES = ("package/a", "package/a/b", "package", "../x", "/x", "package/\u202e", "", "n" * 300)
_SPARSE_HEADERS = b"30 GNU.sparse.name=package/a\n22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"


@part(seconds=60, quick=True)
def fuzz_archives(budget: Budget) -> Iterator[Figure]:
    """Unpack changed npm archives, and archives of random members."""
    archive, folder = budget.folder / "it.tgz", budget.folder / "out"

    def feed(data: bytes) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        archive.write_bytes(gzip.compress(data, 1))
        unpack(archive, folder, "fuzz@1.0.0")
        _check_plain(folder)

    plain = tarfile.TarInfo("package/bin/tool")
    plain.size = 700
    seed = plain.tobuf() + bytes(2048)
    yield from fuzz(budget, st.one_of(mutations_of([seed]), randomly(_members)), feed)
    remaining = [child.name for child in budget.folder.iterdir()]
    yield Figure(
        "files outside of the folder",
        len({*remaining} - _EXPECTED_FILES),
        at_most=0,
        detail=str(remaining),
    )


_EXPECTED_FILES = {"it.tgz", "out", "hypothesis"}


def _members(random: Random) -> bytes:
    """Return a tar file of members with random headers."""
    buffer = io.BytesIO()
    for _ in range(random.randrange(1, 6)):
        member = tarfile.TarInfo(random.choice(_NAMES))
        member.type = random.choice(_KINDS)
        member.linkname = random.choice(("", "..", "/etc/passwd", "package/a"))
        body = random.choice((b"", b"abc", _SPARSE_HEADERS, _SPARSE_HEADERS * 20))
        member.size = random.choice((len(body), len(body), 1 << 32))
        buffer.write(member.tobuf(random.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))))
        buffer.write(body.ljust(-(-len(body) // 512) * 512, b"\0"))
    return buffer.getvalue() + bytes(1024)


def _check_plain(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise AssertionError(f"{path} is neither a file nor a folder")


@part(seconds=20, quick=True)
def archive_bombs(budget: Budget) -> Iterator[Figure]:
    """Unpack archives that are far larger inside, or have very many members."""
    header = tarfile.TarInfo("package/x")
    header.type, header.size = tarfile.XHDTYPE, 4 << 30
    archive = budget.folder / "it.tgz"
    archive.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
    tracemalloc.start()
    with contextlib.suppress(FetchError):
        unpack(archive, budget.folder, "bomb@1.0.0")
    peak = tracemalloc.get_traced_memory()[1] / (1 << 20)
    tracemalloc.stop()
    yield Figure("memory for a header of 4 GiB", peak, "MiB", at_most=16)
    count = budget.scale(MOST_MEMBERS - 1, 20, least=500)
    with tarfile.open(archive, "w:gz", compresslevel=1) as opened:
        for number in range(count):
            opened.addfile(tarfile.TarInfo(f"package/{number % 100}/{number}"))
    folder = budget.folder / "many"
    folder.mkdir()
    started = time.process_time()
    unpack(archive, folder, "many@1.0.0")
    seconds = time.process_time() - started
    yield Figure("members unpacked", count, at_least=1)
    each = seconds / count * 1e6
    yield Figure("processor time for each member", each, "µs", at_most=2000)


@part(seconds=60, quick=True)
def fuzz_http(budget: Budget) -> Iterator[Figure]:
    """Download from a host that answers anything."""
    body = b"0123456789" * 20
    seeds = [
        b'HTTP/1.1 200 OK\r\nContent-Length: 200\r\nETag: "a"\r\n\r\n' + body,
        b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-199/200\r\nContent-Length: 195\r\n\r\n"
        + body[5:],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc8\r\n" + body + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1/x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 No\r\nRetry-After: " + b"9" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n" + body,
    ]
    part_file = budget.folder / "part"
    quick: dict[str, Any] = {"BACKOFF_S": 0.0, "LONGEST_WAIT_S": 0.0, "ATTEMPTS": 2}
    with _Host() as host, mock.patch.multiple(download, **quick):
        opened = transport.Transport(Settings(registry=host.url), lambda: host.url)

        def feed(answer: bytes) -> None:
            host.answer = answer
            source = download.DownloadSource("it", f"{host.url}/it", None, largest_bytes=1 << 20)
            shown = Progress("", 0, None, "bytes")
            download.download(source, part_file, opened, progress=shown, stop=threading.Event())

        with mock.patch.multiple(transport, READ_TIMEOUT_S=0.1, CONNECT_TIMEOUT_S=1.0):
            yield from fuzz(budget, mutations_of(seeds), feed, least=3)


class _Host:
    """Answers every connection with the same bytes, then closes it."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(0.3)
                connection.recv(65536)
                connection.sendall(self.answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65536)  # until the client has gone: a reset would lose bytes
