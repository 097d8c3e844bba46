"""What a registry may say that is refused, and what a person is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from fetch_registry import (
    HALF,
    NAME,
    Handler,
    Registry,
    go_offline,
    locked_package,
    nothing_kept,
    npm_archive,
    prepared,
    sri,
    stall_after,
    status,
)

from gobun import fetch
from gobun.errors import FetchError, UsageError
from gobun.fetch import integrity, npm, npm_lock, transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fetch_registry import Answer


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
    ("answer", "said", "part"),
    [
        (status(404), "does not have it", False),
        (status(401), "login", False),
        (status(403), "forbids", False),
        (status(418), "answers 418", False),
        (status(500), "4 times, at last: the host says 500", False),
        (_page, "web page", False),
        (_corrupt, "damaged or forged", False),
        (_lying_short, "damaged or forged", False),
        (_lying_long, "at last", True),
        (
            lambda handler, _data: handler.reply(200, b"", Content_Length=str(1 << 31)),
            "more than 1024 MiB",
            False,
        ),
    ],
)
def test_bad_answer_is_refused(registry: Registry, answer: Answer, said: str, part: bool) -> None:
    package = locked_package(registry)
    registry.answer(package, answer)
    with pytest.raises(FetchError, match=said) as caught:
        fetch.fetch_packages([package])
    assert str(package) in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 4
    assert nothing_kept(package, part=part)


def test_truncation_for_ever_gives_up_and_keeps_the_part(registry: Registry) -> None:
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
    assert [request.range for request in registry.asked(package)] == [
        None,
        "bytes=1000-",
        "bytes=2000-",
        "bytes=3000-",
    ]
    assert nothing_kept(package, part=True)


def test_stall_is_noticed(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_READ_TIMEOUT_S", 0.2)
    package = locked_package(registry)
    registry.answer(package, stall_after(HALF, seconds=1))
    with pytest.raises(FetchError, match="stalled"):
        fetch.fetch_packages([package])
    assert nothing_kept(package, part=True)


def test_damage_names_both_digests(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, _corrupt)
    with pytest.raises(FetchError) as caught:
        fetch.fetch_packages([package])
    assert sri(registry.archives[package]) in str(caught.value)
    assert str(caught.value).count("sha512-") == 2


def test_tampered_lock_is_refused_before_any_byte(registry: Registry) -> None:
    package = locked_package(registry)
    npm_lock.write_lock({package: integrity.parse(sri(b"something else"))})
    with pytest.raises(FetchError, match="not what the lock file names") as caught:
        fetch.fetch_packages([package])
    assert sri(b"something else") in str(caught.value)
    assert registry.asked(package) == []


def test_forged_bytes_with_forged_metadata_are_refused(registry: Registry) -> None:
    package = locked_package(registry)
    registry.archives[package] = npm_archive({"package/bin/tool": b"evil"})
    with pytest.raises(FetchError, match="not what the lock file names"):
        fetch.fetch_packages([package])
    registry.integrity[package] = str(npm_lock.read_lock().entries[package])
    with pytest.raises(FetchError, match="damaged or forged"):
        fetch.fetch_packages([package])
    assert nothing_kept(package)


def test_bad_archive_is_refused_and_removed(registry: Registry, tmp_path: Path) -> None:
    package = locked_package(
        registry, data=npm_archive({"package/ok": b"1", "package/../../../../evil": b"2"})
    )
    with pytest.raises(FetchError, match="leads outside"):
        fetch.fetch_packages([package])
    assert nothing_kept(package)
    assert not list(tmp_path.rglob("evil"))


def test_one_failure_stops_the_rest_soon(registry: Registry) -> None:
    bad = locked_package(registry, "1.0.0")
    slow = [locked_package(registry, f"1.2.{patch}") for patch in range(8)]
    registry.answer(bad, status(404))
    for package in slow:
        registry.answer(package, stall_after(HALF, seconds=20))
    began = time.monotonic()
    with pytest.raises(FetchError, match=r"1\.0\.0"):
        fetch.fetch_packages([bad, *slow])
    assert time.monotonic() - began < 8


# --- npm's own errors


def test_no_network_names_the_step_and_what_is_cached(
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


def test_no_network_and_nothing_cached(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    package = locked_package(registry)
    go_offline(monkeypatch)
    with pytest.raises(npm.UnreachableError, match="connect once"):
        fetch.fetch_packages([package])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(401), "login"),
        (status(403), "forbids"),
        (status(404), "does not have it"),
        (status(500), "E500"),
        (_page, "npm"),
        (lambda handler, _data: handler.reply(200, b"[1,2"), "npm"),
    ],
)
def test_bad_metadata_is_refused(registry: Registry, answer: Answer, said: str) -> None:
    package = locked_package(registry)
    registry.answers["/" + NAME.replace("/", "%2f")] = [answer]
    with pytest.raises(FetchError, match=said) as caught:
        fetch.fetch_packages([package])
    assert caught.value.hint


def test_release_that_is_not_there(registry: Registry) -> None:
    locked_package(registry, "1.2.1")
    for wanted in (["1.9.9"], ["1.2.1", "1.9.9"]):
        with pytest.raises(FetchError, match=r"does not have .*1\.9\.9"):
            fetch.fetch_packages([fetch.Package(NAME, version) for version in wanted])


@pytest.mark.parametrize("shown", ["sha1-AAAA", "", "sha512-AAAA"])
def test_registry_without_a_usable_integrity(registry: Registry, shown: str) -> None:
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
def test_name_that_must_not_become_a_path(registry: Registry, name: str, version: str) -> None:
    with pytest.raises(UsageError):
        fetch.fetch_packages([fetch.Package(name, version)])
    assert registry.requests == []
