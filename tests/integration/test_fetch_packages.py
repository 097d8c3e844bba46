"""Packages arrive complete, resumed, and through proxies, mirrors and private authorities."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from fetch_registry import (
    HALF_SIZE,
    NAME,
    Handler,
    Registry,
    archive_path,
    cut_after,
    go_offline,
    locked_package,
    noise,
    nothing_kept,
    prepared,
    release_marks,
    run_registry,
    self_signed,
    send_whole,
    sri,
    status,
    write_lock,
)

from gobun import cache, fetch, paths
from gobun.errors import FetchError
from gobun.fetch import download, integrity, npm_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fetch_registry import Answer


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    with prepared(tmp_path, monkeypatch) as served:
        yield served


def test_fetch_packages_are_verified_and_unpacked(registry: Registry) -> None:
    packages = [locked_package(registry, f"1.2.{patch}") for patch in range(6)]
    other = registry.publish("node-api-headers", "1.9.0")
    write_lock(registry)
    folders = fetch.fetch_packages([*packages, other])
    assert list(folders) == [*packages, other]
    for package, folder in folders.items():
        assert folder == paths.cache_root() / "npm" / package.name / package.version
        assert (folder / "bin" / "tool").read_bytes() == noise(300_000)
        assert (folder / "bin" / "tool").stat().st_mode & 0o7777 == 0o755
        assert (folder / "package.json").stat().st_mode & 0o7777 == 0o644
        assert nothing_kept(package) is False
    assert not list(paths.cache_root().rglob("*.part*"))
    requested_paths = [
        request.path for request in registry.requests if "archives" not in request.path
    ]
    assert len(requested_paths) == 2, "one question a package, however many versions"


def test_fetch_warm_cache_needs_neither_network_nor_npm(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locked_package(registry)
    first = fetch.fetch_packages([package])
    go_offline(monkeypatch)
    monkeypatch.setattr("gobun.toolchain.npm_command", lambda: pytest.fail("npm was started"))
    assert fetch.fetch_packages([package]) == first


def test_fetch_downloads_run_in_parallel(registry: Registry) -> None:
    together = threading.Barrier(4, timeout=30)

    def with_the_others(handler: Handler, data: bytes) -> None:
        together.wait()  # breaks unless all four arrive at the same time
        send_whole(handler, data)

    packages = [locked_package(registry, f"1.2.{patch}") for patch in range(4)]
    for package in packages:
        registry.answer(package, with_the_others)
    assert len(fetch.fetch_packages(packages)) == 4


def test_fetch_canary_is_checked_against_the_registry(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    package = registry.publish(NAME, "1.3.9-canary.20260218.1")
    release = locked_package(registry, "1.3.8")
    npm_lock.write_lock({release: integrity.parse(sri(registry.archives[release]))})
    fetch.fetch_packages([package, release])
    output = [line for line in capsys.readouterr().err.splitlines() if "not in the lock" in line]
    assert len(output) == 1
    assert str(package) in output[0]
    assert str(release) not in output[0]


def test_fetch_redirect_is_followed_and_loop_rejected(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, status(302, Location="/elsewhere"))
    registry.answers["/elsewhere"] = [
        lambda handler, _data: send_whole(handler, registry.archives[package])
    ]
    fetch.fetch_packages([package])
    loop = locked_package(registry, "1.2.20")
    registry.answer(loop, status(302, Location=archive_path(loop)))
    with pytest.raises(FetchError, match="redirects without end"):
        fetch.fetch_packages([loop])


# --- going on


def test_fetch_cut_connection_is_resumed(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, cut_after(HALF_SIZE), send_whole)
    fetch.fetch_packages([package])
    first, second = registry.requests_for(package)
    assert (first.range, second.range) == (None, f"bytes={HALF_SIZE}-")
    assert second.if_range
    assert first.sent_bytes + second.sent_bytes == len(registry.archives[package])


def test_fetch_partial_file_is_resumed_by_next_run(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, cut_after(HALF_SIZE), status(404))
    with pytest.raises(FetchError, match="does not have it"):
        fetch.fetch_packages([package])
    assert nothing_kept(package, part=True)
    registry.answers.clear()
    fetch.fetch_packages([package])
    assert registry.requests_for(package)[-1].range == f"bytes={HALF_SIZE}-"
    assert sum(r.sent_bytes for r in registry.requests_for(package)) == len(
        registry.archives[package]
    )


def test_fetch_host_without_ranges_restarts_the_file(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, cut_after(HALF_SIZE), lambda handler, data: handler.reply(200, data))
    fetch.fetch_packages([package])
    assert registry.requests_for(package)[1].range
    assert registry.requests_for(package)[1].sent_bytes == len(registry.archives[package])


def test_fetch_changed_file_is_not_joined_to_old_part(registry: Registry) -> None:
    package = locked_package(registry)
    old = noise(400_000, seed=7)
    registry.answer(package, lambda handler, _data: cut_after(HALF_SIZE)(handler, old), send_whole)
    fetch.fetch_packages([package])
    assert registry.requests_for(package)[1].sent_bytes == len(registry.archives[package])


@pytest.mark.parametrize(
    "odd",
    [
        status(416),
        lambda handler, data: handler.reply(206, data, Content_Range="bytes 5-9/10"),
        lambda handler, data: handler.reply(206, data),
    ],
)
def test_fetch_wrong_range_answer_restarts_the_file(registry: Registry, odd: Answer) -> None:
    package = locked_package(registry)
    registry.answer(package, cut_after(HALF_SIZE), odd, send_whole)
    fetch.fetch_packages([package])
    assert registry.requests_for(package)[2].range is None


def test_fetch_complete_part_of_killed_run_is_reused(registry: Registry) -> None:
    package = locked_package(registry)
    part = fetch.package_folder(package).with_name(f"{package.version}.tgz.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(registry.archives[package])
    fetch.fetch_packages([package])
    assert registry.requests_for(package) == []


def test_fetch_overloaded_host_is_retried(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, status(429, Retry_After="0"), status(503), status(500), send_whole)
    fetch.fetch_packages([package])
    assert len(registry.requests_for(package)) == 4


# --- how a host is reached, and the lock


def test_fetch_versions_and_tags_are_listed(registry: Registry) -> None:
    for version in ("1.10.0", "1.9.0", "1.9.1-canary.20260101.1", "1.9.1"):
        registry.publish(NAME, version)
    assert fetch.published_versions(NAME) == ("1.9.0", "1.9.1", "1.9.1-canary.20260101.1", "1.10.0")
    assert fetch.dist_tags(NAME) == {"latest": "1.9.1"}
    assert len(registry.requests) == 1
    registry.publish("single", "1.0.0")
    assert fetch.published_versions("single") == ("1.0.0",)


def test_fetch_versions_without_network_come_from_cache(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = registry.publish(NAME, "1.4.0-canary.1")
    fetch.fetch_packages([canary])
    entry = integrity.parse(sri(b""))
    npm_lock.write_lock({fetch.Package(NAME, version): entry for version in ("1.2.1", "1.3.0")})
    go_offline(monkeypatch)
    capsys.readouterr()
    assert fetch.published_versions(NAME) == ("1.2.1", "1.3.0", "1.4.0-canary.1")
    assert fetch.dist_tags(NAME) == {"latest": "1.3.0"}
    assert len(capsys.readouterr().err.splitlines()) == 1
    with pytest.raises(FetchError, match="there is no known version"):
        fetch.published_versions("unheard-of")


def test_fetch_lock_grows_and_keeps_old_entries(registry: Registry) -> None:
    first = registry.publish(NAME, "1.0.0")
    registry.publish(NAME, "0.8.0")
    registry.publish(NAME, "1.1.0-canary.1")
    registry.publish("node-api-headers", "1.8.0")
    headers = registry.publish("node-api-headers", "1.9.0")
    names = (NAME, "node-api-headers")
    assert fetch.update_lock(names).added_packages == (first, headers)
    second = registry.publish(NAME, "1.1.0")
    del registry.archives[first]  # a withdrawn version stays known
    summary = fetch.update_lock(names)
    assert (summary.added_packages, summary.kept_count) == ((second,), 2)
    before = paths.LOCK_FILE.read_bytes()
    assert fetch.update_lock(names).added_packages == ()
    registry.archives[second] += b"other bytes"
    registry.publish(NAME, "1.2.0")
    with pytest.raises(FetchError, match=r"another digest for .*1\.1\.0"):
        fetch.update_lock(names)
    assert paths.LOCK_FILE.read_bytes() == before


def test_fetch_lock_of_webkit_takes_the_pinned_commit(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "LOCK_FILE", tmp_path / "npm.lock.toml")
    package = fetch.webkit_packages()[0]
    registry.publish(package.name, package.version)
    registry.publish(package.name, "0.0.1-" + "0" * 40)
    assert fetch.update_lock((package.name,)).added_packages == (package,)


def test_fetch_mirror_with_original_addresses_works(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locked_package(registry)
    origin = registry.packument

    def with_original_addresses(name: str) -> bytes | None:
        packument = origin(name)
        return packument and packument.replace(registry.url.encode(), b"http://origin.invalid")

    monkeypatch.setattr(registry, "packument", with_original_addresses)
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    with pytest.raises(FetchError, match="cannot be resolved"):
        fetch.fetch_packages([package])
    monkeypatch.setenv("npm_config_replace_registry_host", "always")
    fetch.fetch_packages([package])


def test_fetch_proxy_from_npm_config_is_used(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locked_package(registry)
    with run_registry() as proxy:
        monkeypatch.setenv("npm_config_proxy", proxy.url)
        address = registry.url + archive_path(package)
        proxy.answers[address] = [
            lambda handler, _data: send_whole(handler, registry.archives[package])
        ]
        packument = registry.packument(NAME) or b""
        for path in (f"{registry.url}/@oven%2fbun-linux-x64",):
            proxy.answers[path] = [lambda handler, _data: send_whole(handler, packument)]
        fetch.fetch_packages([package])
    assert registry.requests_for(package) == []


@pytest.mark.network
def test_fetch_real_release_matches_the_committed_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path))
    package = fetch.Package(fetch.HEADERS_PACKAGE, "1.9.0")
    assert package in fetch.read_lock().entries
    folder = fetch.fetch_packages([package])[package]
    assert (folder / "include" / "node_api.h").is_file()
    release_marks(cache.pinned_entries)


@pytest.mark.parametrize("setting", ["npm_config_cafile", "NODE_EXTRA_CA_CERTS"])
def test_fetch_authority_from_npm_config_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry, setting: str
) -> None:
    certificate, key = self_signed(tmp_path)
    for name in ("NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with run_registry(certificate=certificate, key=key) as secure:
        package = secure.publish(NAME, "1.2.19")
        write_lock(secure)
        monkeypatch.setenv("npm_config_registry", secure.url)
        with pytest.raises(FetchError):
            fetch.fetch_packages([package])
        monkeypatch.setenv(setting, str(certificate))
        fetch.fetch_packages([package])


def test_fetch_missing_authority_file_is_reported(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locked_package(registry)
    redirect = status(302, Location="https://127.0.0.1:9/")
    registry.answer(package, redirect)
    monkeypatch.setenv("npm_config_cafile", str(tmp_path / "gone.pem"))
    with pytest.raises(FetchError, match="cannot be read"):
        fetch.fetch_packages([package])
