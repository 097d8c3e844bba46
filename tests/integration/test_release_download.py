"""The downloader of libraries, with hosts that serve wrong files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from commands import invoke
from fetch_registry import (
    Handler,
    cut_after,
    noise,
    run_registry,
    self_signed,
    sending,
    stall_after,
    status,
)

from gobun import release
from gobun.errors import FetchError, UsageError
from gobun.fetch import download, transport
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fetch_registry import Answer, Registry

LINUX = TARGETS["linux-x64"]
LIBRARY, HEADER = "go-warmup-linux-x64.so", "go-warmup-linux-x64.h"
CONTENT = {LIBRARY: noise(300_000), HEADER: b"int Warmup(void);\n"}
PLACE = "/releases/v1.2.3"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def serve(registry: Registry, name: str, *answers: Answer) -> None:
    registry.answers[f"{PLACE}/{name}"] = list(answers)


def with_data(answer: Answer, data: bytes) -> Answer:
    return lambda handler, _: answer(handler, data)


def redirect(to: str) -> Answer:
    return status(302, Location=to)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Serve a release as it should be."""
    monkeypatch.setattr(download, "BACKOFF_S", 0.01)
    monkeypatch.setattr(transport, "READ_TIMEOUT_S", 0.3)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with run_registry() as served:
        for name, data in CONTENT.items():
            serve(served, name, sending(data))
        # As earlier releases write it.
        lines = [f"{sha256(data)}  ./{name}\n" for name, data in CONTENT.items()]
        serve(served, "SHA256SUMS", sending("".join(lines).encode()))
        yield served


def download_release(host: Registry, out: Path, trusted: Path | None = None) -> list[Path]:
    source = f"{host.url}/releases/v{{version}}"
    return release.download_warmup("1.2.3", source, out, targets=[LINUX], sums_file=trusted)


def request_count(host: Registry, name: str) -> int:
    return [request.path for request in host.requests].count(f"{PLACE}/{name}")


def test_download_warmup_fetches_library_and_header_once(host: Registry, tmp_path: Path) -> None:
    out = tmp_path / "lib"
    assert download_release(host, out) == [out / LIBRARY, out / HEADER]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == CONTENT
    (out / LIBRARY).write_bytes(b"damaged since")
    download_release(host, out)
    assert (out / LIBRARY).read_bytes() == CONTENT[LIBRARY]
    assert [request_count(host, name) for name in (LIBRARY, HEADER, "SHA256SUMS")] == [2, 1, 2]


@pytest.mark.parametrize(
    "bad",
    [
        with_data(cut_after(1000), CONTENT[LIBRARY]),
        with_data(stall_after(1000, seconds=1), CONTENT[LIBRARY]),
        status(500),
        status(503, Retry_After="0"),
        status(429),
    ],
)
def test_download_warmup_temporary_failure_is_retried(
    host: Registry, bad: Answer, tmp_path: Path
) -> None:
    serve(host, LIBRARY, bad, sending(CONTENT[LIBRARY]))
    download_release(host, tmp_path)
    assert (tmp_path / LIBRARY).read_bytes() == CONTENT[LIBRARY]
    assert request_count(host, LIBRARY) == 2


def page(handler: Handler, _data: bytes) -> None:
    handler.reply(200, b"<html>log in</html>", Content_Type="text/html; charset=utf-8")


def longer(handler: Handler, _data: bytes) -> None:
    handler.reply(200, CONTENT[LIBRARY], Content_Length=str(len(CONTENT[LIBRARY]) + 5))
    handler.close_connection = True


@pytest.mark.parametrize("name", [LIBRARY, "SHA256SUMS"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(404), "does not have it"),
        (status(403), "forbids it"),
        (status(500), "4 times; the last error: the host answers 500"),
        (page, "the host sent a web page instead"),
        (longer, "4 times; the last error: "),
        (with_data(cut_after(1000), CONTENT[LIBRARY]), "closed at|closed before the end"),
        (redirect("file:///etc/passwd"), "No connection adapters"),
        (redirect(f"{PLACE}/{LIBRARY}?again"), "redirects without end"),
        (
            lambda handler, _: handler.reply(200, b"", Content_Length=str(65 << 20)),
            "more than 64 MiB",
        ),
    ],
)
def test_download_warmup_permanent_failure_is_rejected(
    host: Registry, name: str, answer: Answer, message: str, tmp_path: Path
) -> None:
    serve(host, name, answer)
    host.answers[f"{PLACE}/{LIBRARY}?again"] = [redirect(f"{PLACE}/{LIBRARY}?again")]
    with pytest.raises(FetchError, match=message) as caught:
        download_release(host, tmp_path / "lib")
    assert caught.value.exit_code == 4
    assert name in caught.value.what
    assert caught.value.hint
    assert "npm" not in str(caught.value)
    assert not (tmp_path / "lib").exists()


def test_download_warmup_repeated_stalls_give_up(host: Registry, tmp_path: Path) -> None:
    serve(host, LIBRARY, with_data(stall_after(1000, seconds=1), CONTENT[LIBRARY]))
    with pytest.raises(FetchError, match="the host stalled"):
        download_release(host, tmp_path / "lib")
    assert not (tmp_path / "lib").exists()


@pytest.mark.parametrize("data", [CONTENT[LIBRARY][:-9], CONTENT[LIBRARY][:-1] + b"x", b""])
def test_download_warmup_wrong_bytes_write_nothing(
    host: Registry, data: bytes, tmp_path: Path
) -> None:
    serve(host, LIBRARY, sending(data))
    with pytest.raises(FetchError, match="damaged or forged") as caught:
        download_release(host, tmp_path / "lib")
    assert sha256(CONTENT[LIBRARY]) in str(caught.value)
    assert sha256(data) in str(caught.value)
    assert not (tmp_path / "lib").exists()
    # All or nothing: the library is right, and its header is not.
    serve(host, LIBRARY, sending(CONTENT[LIBRARY]))
    serve(host, HEADER, sending(b"int Other(void);\n"))
    with pytest.raises(FetchError, match=HEADER):
        download_release(host, tmp_path / "lib")
    assert not (tmp_path / "lib").exists()


def test_download_warmup_redirect_to_other_host_is_followed(host: Registry, tmp_path: Path) -> None:
    with run_registry() as other:
        other.answers["/elsewhere"] = [sending(CONTENT[LIBRARY])]
        serve(host, LIBRARY, redirect(f"http://localhost:{other.port}/elsewhere"))
        download_release(host, tmp_path)
    assert (tmp_path / LIBRARY).read_bytes() == CONTENT[LIBRARY]


@pytest.mark.parametrize("hops", ["/last", "/back"])
def test_download_warmup_redirect_from_https_to_http_is_rejected(
    host: Registry, hops: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(certificate))
    with run_registry(certificate=certificate, key=key) as secure:
        secure.answers["/1.2.3/SHA256SUMS"] = [redirect(f"{host.url}{hops}")]
        secure.answers["/end"] = host.answers[f"{PLACE}/SHA256SUMS"]
        host.answers["/last"] = secure.answers["/end"]
        host.answers["/back"] = [redirect(f"{secure.url}/end")]
        source = f"{secure.url}/{{version}}"
        with pytest.raises(FetchError, match="redirects from https to plain http"):
            release.download_warmup("1.2.3", source, tmp_path / "lib", targets=[LINUX])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "do not name go-warmup-linux-x64.so"),
        (f"{'0' * 64}  other.so\n", "do not name go-warmup-linux-x64.so"),
        (f"{'0' * 63}  {LIBRARY}\n", "line 1 is not a checksum"),
        (f"{'0' * 64}  ../{LIBRARY}\n", "line 1 is not a checksum"),
        (f"{'0' * 64}  {LIBRARY}\n{'1' * 64}  {LIBRARY}\n", "two checksums"),
        ("Not found", "line 1 is not a checksum"),
    ],
)
def test_download_warmup_malformed_checksums_are_rejected(
    host: Registry, text: str, message: str, tmp_path: Path
) -> None:
    serve(host, "SHA256SUMS", sending(text.encode()))
    with pytest.raises(FetchError, match=message):
        download_release(host, tmp_path / "lib")
    assert request_count(host, LIBRARY) == 0


def test_download_warmup_own_checksums_take_precedence(host: Registry, tmp_path: Path) -> None:
    checksums = tmp_path / "SHA256SUMS"
    checksums.write_text(f"{sha256(CONTENT[LIBRARY])} *{LIBRARY}\n")
    serve(host, "SHA256SUMS", status(404))
    assert download_release(host, tmp_path / "lib", checksums) == [tmp_path / "lib" / LIBRARY]
    checksums.write_text(f"{'0' * 64}  {LIBRARY}\n")
    with pytest.raises(FetchError, match="damaged or forged"):
        download_release(host, tmp_path / "lib", checksums)
    assert (tmp_path / "lib" / LIBRARY).read_bytes() == CONTENT[LIBRARY]


@pytest.mark.parametrize(
    ("version", "source", "name", "message"),
    [
        ("1.2", "https://host/{version}", "go-warmup", "not a version"),
        ("1.2.3", "https://host/1.2.3", "go-warmup", "does not contain {version}"),
        ("1.2.3", "http://192.0.2.1/{version}", "go-warmup", "plain http"),
        ("1.2.3", "ftp://host/{version}", "go-warmup", "not a web address"),
        ("1.2.3", "/folder/{version}", "go-warmup", "not a web address"),
        ("1.2.3", "https://host/{version}?a=b", "go-warmup", "has a query"),
        ("1.2.3", "https://host/{version}", "warmup", "unknown library name"),
    ],
)
def test_download_warmup_bad_arguments_send_no_request(
    version: str, source: str, name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        release.download_warmup(version, source, tmp_path, targets=[LINUX], name=name)


def test_download_warmup_command_explains_its_error(host: Registry, tmp_path: Path) -> None:
    source = f"{host.url}/releases/v{{version}}"
    words = ["--version", "1.2.3", "--from", source, "--target", "linux-x64", "--out"]
    completed = invoke("download-warmup", *words, tmp_path / "lib")
    assert (completed.returncode, completed.stdout) == (
        0,
        "".join(f"{tmp_path / 'lib' / name}\n" for name in (LIBRARY, HEADER)),
    )
    serve(host, HEADER, status(404))
    completed = invoke("download-warmup", *words, tmp_path / "other")
    assert (completed.returncode, completed.stdout) == (4, "")
    assert f"error: downloading {HEADER} failed: 127.0.0.1:{host.port} does not have it" in (
        completed.stderr
    )
    assert "next: check --version and --from" in completed.stderr
    assert not (tmp_path / "other").exists()
