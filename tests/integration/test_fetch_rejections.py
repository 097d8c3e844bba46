"""Answers of a registry that are rejected, and the messages for the user."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fetch_registry import (
    HALF_SIZE,
    NAME,
    Handler,
    Registry,
    archive_path,
    go_offline,
    locked_package,
    nothing_kept,
    npm_archive,
    prepared,
    run_registry,
    self_signed,
    sending,
    sri,
    stall_after,
    status,
)

from gobun import fetch, toolchain
from gobun.errors import FetchError, UsageError
from gobun.fetch import download, integrity, npm, npm_lock, transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fetch_registry import Answer

STALL_S = 60.0


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    with prepared(tmp_path, monkeypatch) as served:
        yield served


def _lying_short(handler: Handler, data: bytes) -> None:
    handler.reply(200, data[:1000])


def _lying_long(handler: Handler, data: bytes) -> None:
    handler.reply(200, data, Content_Length=str(len(data) + 5))
    handler.close_connection = True


def _page(handler: Handler, _data: bytes) -> None:
    handler.reply(200, b"<html>log in</html>", Content_Type="text/html; charset=utf-8")


def _corrupt(handler: Handler, data: bytes) -> None:
    handler.reply(200, data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


@pytest.mark.parametrize(
    ("answer", "message", "part"),
    [
        (status(404), "does not have it", False),
        (status(401), "login", False),
        (status(403), "forbids", False),
        (status(418), "answers 418", False),
        (status(500), "4 times; the last error: the host answers 500", False),
        (_page, "web page", False),
        (_corrupt, "damaged or forged", False),
        (_lying_short, "damaged or forged", False),
        (_lying_long, "the last error", True),
        (
            lambda handler, _data: handler.reply(200, b"", Content_Length=str(1 << 31)),
            "more than 1024 MiB",
            False,
        ),
    ],
)
def test_fetch_bad_answer_is_rejected(
    registry: Registry, answer: Answer, message: str, part: bool
) -> None:
    package = locked_package(registry)
    registry.answer(package, answer)
    with pytest.raises(FetchError, match=message) as caught:
        fetch.fetch_packages([package])
    assert str(package) in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 4
    assert nothing_kept(package, part=part)


def test_fetch_endless_truncation_gives_up_and_keeps_part(registry: Registry) -> None:
    package = locked_package(registry)

    def shorter(handler: Handler, data: bytes) -> None:
        begin = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        span = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        head = {"Content_Range": span, "Content_Length": str(len(data) - begin)}
        handler.reply(206 if begin else 200, data[begin : begin + 1000], **head)
        handler.close_connection = True

    registry.answer(package, shorter)
    with pytest.raises(FetchError, match="failed 4 times"):
        fetch.fetch_packages([package])
    assert [request.range for request in registry.requests_for(package)] == [
        None,
        "bytes=1000-",
        "bytes=2000-",
        "bytes=3000-",
    ]
    assert nothing_kept(package, part=True)


def test_fetch_stall_is_noticed(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "READ_TIMEOUT_S", 0.2)
    package = locked_package(registry)
    registry.answer(package, stall_after(HALF_SIZE, seconds=1))
    with pytest.raises(FetchError, match="stalled"):
        fetch.fetch_packages([package])
    assert nothing_kept(package, part=True)


def test_fetch_damaged_file_names_both_digests(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, _corrupt)
    with pytest.raises(FetchError) as caught:
        fetch.fetch_packages([package])
    assert sri(registry.archives[package]) in str(caught.value)
    assert str(caught.value).count("sha512-") == 2


def test_fetch_tampered_lock_is_rejected_before_download(registry: Registry) -> None:
    package = locked_package(registry)
    npm_lock.write_lock({package: integrity.parse(sri(b"something else"))})
    with pytest.raises(FetchError, match="not what the lock file names") as caught:
        fetch.fetch_packages([package])
    assert sri(b"something else") in str(caught.value)
    assert registry.requests_for(package) == []


def test_fetch_forged_bytes_with_forged_metadata_are_rejected(registry: Registry) -> None:
    package = locked_package(registry)
    registry.archives[package] = npm_archive({"package/bin/tool": b"evil"})
    with pytest.raises(FetchError, match="not what the lock file names"):
        fetch.fetch_packages([package])
    registry.integrity[package] = str(npm_lock.read_lock().entries[package])
    with pytest.raises(FetchError, match="damaged or forged"):
        fetch.fetch_packages([package])
    assert nothing_kept(package)


def test_fetch_bad_archive_is_rejected_and_removed(registry: Registry, tmp_path: Path) -> None:
    package = locked_package(
        registry, data=npm_archive({"package/ok": b"1", "package/../../../../evil": b"2"})
    )
    with pytest.raises(FetchError, match="leads outside"):
        fetch.fetch_packages([package])
    assert nothing_kept(package)
    assert not list(tmp_path.rglob("evil"))


def test_fetch_one_failure_stops_the_others(registry: Registry) -> None:
    bad = locked_package(registry, "1.0.0")
    slow = [locked_package(registry, f"1.2.{patch}") for patch in range(8)]
    registry.answer(bad, status(404))
    for package in slow:
        registry.answer(package, stall_after(HALF_SIZE, seconds=STALL_S))
    began = time.monotonic()
    with pytest.raises(FetchError, match=r"1\.0\.0"):
        fetch.fetch_packages([bad, *slow])
    assert time.monotonic() - began < STALL_S


# --- npm's own errors


def test_fetch_without_network_names_step_and_cache(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = locked_package(registry, "1.2.1")
    missing = locked_package(registry, "1.2.19")
    fetch.fetch_packages([cached])
    go_offline(monkeypatch)
    with pytest.raises(npm.UnreachableError) as caught:
        fetch.fetch_packages([cached, missing])
    assert "asking npm where" in caught.value.what
    assert "ECONNREFUSED" in caught.value.what
    assert "--versions 1.2.1" in (caught.value.hint or "")
    assert caught.value.exit_code == 4


def test_fetch_without_network_or_cache_fails(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locked_package(registry)
    go_offline(monkeypatch)
    with pytest.raises(npm.UnreachableError, match="connect to the network once"):
        fetch.fetch_packages([package])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(401), "login"),
        (status(403), "forbids"),
        (status(404), "does not have it"),
        (status(500), "E500"),
        (_page, "npm"),
        (lambda handler, _data: handler.reply(200, b"[1,2"), "npm"),
    ],
)
def test_fetch_bad_metadata_is_rejected(registry: Registry, answer: Answer, message: str) -> None:
    package = locked_package(registry)
    registry.answers["/" + NAME.replace("/", "%2f")] = [answer]
    with pytest.raises(FetchError, match=message) as caught:
        fetch.fetch_packages([package])
    assert caught.value.hint


def test_fetch_missing_release_is_reported(registry: Registry) -> None:
    locked_package(registry, "1.2.1")
    for versions in (["1.9.9"], ["1.2.1", "1.9.9"]):
        with pytest.raises(FetchError, match=r"does not have .*1\.9\.9"):
            fetch.fetch_packages([fetch.Package(NAME, version) for version in versions])


@pytest.mark.parametrize("shown", ["sha1-AAAA", "", "sha512-AAAA"])
def test_fetch_registry_without_usable_integrity_is_rejected(
    registry: Registry, shown: str
) -> None:
    package = locked_package(registry)
    registry.integrity[package] = shown
    with pytest.raises(FetchError, match="integrity of"):
        fetch.fetch_packages([package])


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("../evil", "1.0.0"),
        ("--json", "1.0.0"),
        (NAME, "latest"),
        (NAME, "../1.0.0"),
        ("", "1.0.0"),
    ],
)
def test_fetch_name_outside_the_folder_is_rejected(
    registry: Registry, name: str, version: str
) -> None:
    with pytest.raises(UsageError):
        fetch.fetch_packages([fetch.Package(name, version)])
    assert registry.requests == []


def drip(handler: Handler, data: bytes) -> None:
    """Send a byte now and then, which no timeout of a read notices."""
    handler.reply(200, b"", Content_Length=str(len(data)))
    with contextlib.suppress(OSError):
        for number in range(200):
            handler.send(data[number : number + 1])
            time.sleep(0.02)
    handler.close_connection = True


def drip_head(handler: Handler, _data: bytes) -> None:
    with contextlib.suppress(OSError):
        for _ in range(200):
            handler.send(b"H")
            time.sleep(0.02)
    handler.close_connection = True


def test_download_host_drips_gives_up(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WINDOW_S", 0.1)
    package = locked_package(registry)
    registry.answer(package, drip)
    with pytest.raises(
        FetchError, match=r"4 times; the last error: the host sends .* bytes a second"
    ):
        fetch.fetch_packages([package])


def test_download_takes_too_long_gives_up(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LONGEST_S", 0.1)
    package = locked_package(registry)
    registry.answer(package, drip)
    with pytest.raises(FetchError, match="longer than"):
        fetch.fetch_packages([package])


def test_download_head_drips_gives_up(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_S", 0.2)
    package = locked_package(registry)
    registry.answer(package, drip_head)
    with pytest.raises(FetchError, match="the host stalled"):
        fetch.fetch_packages([package])


def test_download_sends_no_login_of_netrc(registry: Registry) -> None:
    netrc = Path.home() / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    package = locked_package(registry)
    redirect = status(302, Location=f"{registry.url}/moved.tgz")
    registry.answer(package, redirect)
    registry.answers["/moved.tgz"] = [sending(registry.archives[package])]
    fetch.fetch_packages([package])
    assert fetch.unreachable_hosts([f"{registry.url}/head"]) == {}
    assert [request.path for request in registry.requests][-2:] == ["/moved.tgz", "/head"]
    assert [request.authorization for request in registry.requests] == [None] * 4


def test_download_address_names_login_sends_it(registry: Registry, tmp_path: Path) -> None:
    package = locked_package(registry)
    base = registry.url.replace("//", "//me:secret@")
    path = archive_path(package)
    fetch.fetch_files(
        f"{base}{path[: path.rindex('/')]}", [("1.2.19.tgz", None)], tmp_path, advice=""
    )
    assert registry.requests[-1].authorization == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize("url", ["http://[::1", "https://[fe80::%]/x", "https://host:99999999/x"])
def test_download_malformed_address_is_rejected(registry: Registry, url: str) -> None:
    with pytest.raises(UsageError, match="not a web address"):
        fetch.check_address(url, trusted=True)
    package = locked_package(registry)
    packument = registry.packument(package.name) or b""
    changed = packument.replace(f"{registry.url}{archive_path(package)}".encode(), url.encode())
    registry.answers[f"/{package.name.replace('/', '%2f')}"] = [sending(changed)]
    with pytest.raises(FetchError, match="not a web address"):
        fetch.fetch_packages([package])


def test_npm_untrusted_certificate_is_reported(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    monkeypatch.delenv("NODE_EXTRA_CA_CERTS", raising=False)
    with run_registry(certificate=certificate, key=key) as secure:
        monkeypatch.setenv("npm_config_registry", secure.url)
        with pytest.raises(FetchError, match="certificate is not trusted") as caught:
            npm.package_record(NAME)
    assert "NODE_EXTRA_CA_CERTS" in (caught.value.hint or "")
    assert "cafile" in (caught.value.hint or "")
    assert "login" not in str(caught.value)


def test_npm_stall_falls_back_to_cached_versions(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locked_package(registry)
    sleeping = tmp_path / "npm"
    sleeping.write_text("#!/bin/sh\nsleep 60\n")
    sleeping.chmod(0o755)
    monkeypatch.setattr(toolchain, "npm_command", lambda: [str(sleeping)])
    monkeypatch.setattr(npm, "TIMEOUT_S", 0.2)
    assert fetch.published_versions(NAME) == ("1.2.19",)
    with pytest.raises(npm.UnreachableError, match="no answer") as caught:
        fetch.fetch_packages([package])
    assert caught.value.exit_code == 4
    assert "doctor" not in str(caught.value)
