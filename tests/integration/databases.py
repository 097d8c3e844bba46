"""Runs real database servers from Debian's packages on loopback, in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

READY_S = 90
TABLE = (
    "CREATE TABLE encryption_key (id VARCHAR(255) NOT NULL, created {timestamp} NOT NULL, "
    "key_record TEXT NOT NULL, PRIMARY KEY (id, created));"
)


class Place(msgspec.Struct, frozen=True):
    """A folder of an unprivileged user, because servers refuse to run as root."""

    folder: Path
    user: str | None
    """None where this process has no rights to give up."""

    def start(self, words: Sequence[str | Path], *, stdin: int) -> subprocess.Popen[str]:
        """Start a program in the folder, with its output in the file ``said``."""
        group = None if self.user is None else pwd.getpwnam(self.user).pw_gid
        with (self.folder / "said").open("a") as said:
            return subprocess.Popen(
                [str(word) for word in words],
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(self.folder)},
                stdin=stdin,
                stdout=said,
                stderr=said,
                text=True,
                start_new_session=True,
                user=self.user,
                group=group,
                extra_groups=None if group is None else [],
            )

    @property
    def output(self) -> str:
        return (self.folder / "said").read_text(errors="replace")

    def finish(self, words: Sequence[str | Path], text: str = "") -> None:
        """Run a program in the folder to its end."""
        child = self.start(words, stdin=subprocess.PIPE)
        child.communicate(text, timeout=READY_S)
        assert child.returncode == 0, f"{words}: {self.output[-2000:]}"

    @contextlib.contextmanager
    def run_server(self, words: Sequence[str | Path], ready: str) -> Iterator[None]:
        """Run a server while the context is active."""
        child = self.start(words, stdin=subprocess.DEVNULL)
        try:
            until = time.monotonic() + READY_S
            while ready not in self.output:
                assert child.poll() is None, self.output[-2000:]
                assert time.monotonic() < until, self.output[-2000:]
                time.sleep(0.1)
            yield
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextlib.contextmanager
def _place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="gobun-db-"))
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    try:
        yield Place(folder, user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _program(name: str, *elsewhere: str) -> Path:
    for pattern in elsewhere:
        candidates = sorted(Path("/").glob(f"{pattern}/{name}"))
        if candidates:
            return candidates[-1]
    on_path = shutil.which(name, path=f"{os.defpath}:/usr/sbin")
    if on_path is None:
        pytest.skip(f"{name} is not installed (Debian: postgresql, mariadb-server, openssl)")
    return Path(on_path)


def _certificate(place: Place) -> tuple[Path, Path]:
    certificate, key = place.folder / "certificate.pem", place.folder / "key.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate)]
    place.finish([_program("openssl"), *words, "-keyout", key])
    key.chmod(0o600)
    return certificate, key


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Yield the connection string of a PostgreSQL server. Clients verify its certificate."""
    initdb, server = (_program(name, "usr/lib/postgresql/*/bin") for name in ("initdb", "postgres"))
    with _place() as place:
        data, port = place.folder / "data", _free_port()
        certificate, key = _certificate(place)
        place.finish([initdb, "-D", data, "-U", "asherah", "-A", "trust", "--no-sync"])
        place.finish(
            [server, "--single", "-D", data, "postgres"],
            f"{TABLE.format(timestamp='TIMESTAMPTZ')}\n",
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": certificate,
            "ssl_key_file": key,
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with place.run_server([server, "-D", data, *flags], "ready to accept connections"):
            more = f"sslmode=verify-full&sslrootcert={certificate}"
            yield f"postgres://asherah@127.0.0.1:{port}/postgres?{more}"


@contextlib.contextmanager
def mariadb() -> Iterator[str]:
    """Yield the connection string of a MariaDB, over TLS."""
    install, server = _program("mariadb-install-db"), _program("mariadbd")
    with _place() as place:
        data, port = place.folder / "data", _free_port()
        certificate, key = _certificate(place)
        words: list[str | Path] = [install, "--no-defaults", f"--datadir={data}"]
        place.finish([*words, "--skip-test-db", "--auth-root-authentication-method=normal"])
        first = place.folder / "first.sql"
        first.write_text(
            "CREATE DATABASE IF NOT EXISTS asherah;\n"
            "CREATE USER IF NOT EXISTS asherah@'127.0.0.1' IDENTIFIED BY 'secret';\n"
            "GRANT ALL ON asherah.* TO asherah@'127.0.0.1';\n"
            "USE asherah;\n" + TABLE.format(timestamp="TIMESTAMP") + "\n"
        )
        words = [server, "--no-defaults", f"--datadir={data}", f"--init-file={first}"]
        words += [
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={place.folder / 'socket'}",
        ]
        words += [f"--ssl-cert={certificate}", f"--ssl-key={key}", "--skip-name-resolve"]
        with place.run_server(words, "ready for connections"):
            yield f"asherah:secret@tcp(127.0.0.1:{port})/asherah?tls=skip-verify"


SERVERS = {"postgresql": postgresql, "mariadb": mariadb}
