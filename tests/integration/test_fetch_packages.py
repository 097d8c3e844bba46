"""Packages, fetched by the real npm client and by us from a registry that can misbehave."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from fetch_registry import (
    Handler,
    Registry,
    archive_path,
    cut_after,
    noise,
    npm_archive,
    release_marks,
    serving,
    sri,
    stall_after,
    status,
    whole,
)

from gobun import cache, fetch, paths
from gobun.errors import FetchError, PrerequisiteError, UsageError
from gobun.fetch import download, integrity, lock, npm, transport, versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fetch_registry import Answer

NAME = "@oven/bun-linux-x64"
HALF = 150_000


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    for name in list(os.environ):
        if name.lower().startswith("npm_config_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "LOCK_FILE", tmp_path / "lock.toml")
    monkeypatch.setattr(download, "_BACKOFF_S", 0.01)
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    versions._known.cache_clear()
    with serving() as served:
        monkeypatch.setenv("npm_config_registry", served.url)
        write_lock(served)
        yield served
    release_marks(cache._held)
    versions._known.cache_clear()


def write_lock(registry: Registry) -> None:
    entries = {package: integrity.parse(sri(data)) for package, data in registry.archives.items()}
    lock.write_lock(entries)


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


# --- what works


def test_packages_come_verified_and_unpacked(registry: Registry) -> None:
    wanted = [locked_package(registry, f"1.2.{patch}") for patch in range(6)]
    other = registry.publish("node-api-headers", "1.9.0")
    write_lock(registry)
    folders = fetch.fetch_packages([*wanted, other])
    assert list(folders) == [*wanted, other]
    for package, folder in folders.items():
        assert folder == paths.cache_root() / "npm" / package.name / package.version
        assert (folder / "bin" / "tool").read_bytes() == noise(300_000)
        assert (folder / "bin" / "tool").stat().st_mode & 0o7777 == 0o755
        assert (folder / "package.json").stat().st_mode & 0o7777 == 0o644
        assert nothing_kept(package) is False
    assert not list(paths.cache_root().rglob("*.part*"))
    asked = [request.path for request in registry.requests if "archives" not in request.path]
    assert len(asked) == 2, "one question a package, however many versions"


def test_warm_cache_needs_neither_network_nor_npm(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locked_package(registry)
    first = fetch.fetch_packages([package])
    go_offline(monkeypatch)
    monkeypatch.setattr("gobun.toolchain.npm_command", lambda: pytest.fail("npm was started"))
    assert fetch.fetch_packages([package]) == first


def test_downloads_run_side_by_side(registry: Registry) -> None:
    def slow(handler: Handler, data: bytes) -> None:
        time.sleep(0.6)
        whole(handler, data)

    wanted = [locked_package(registry, f"1.2.{patch}") for patch in range(4)]
    for package in wanted:
        registry.answer(package, slow)
    began = time.monotonic()
    fetch.fetch_packages(wanted)
    assert time.monotonic() - began < 4 * 0.6 + 0.4


def test_canary_is_checked_against_the_registry_and_said(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    package = registry.publish(NAME, "1.3.9-canary.20260218.1")
    release = locked_package(registry, "1.3.8")
    lock.write_lock({release: integrity.parse(sri(registry.archives[release]))})
    fetch.fetch_packages([package, release])
    said = [line for line in capsys.readouterr().err.splitlines() if "not in the lock" in line]
    assert len(said) == 1
    assert str(package) in said[0]
    assert str(release) not in said[0]


def test_redirect_is_followed_and_a_loop_is_not(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, status(302, Location="/elsewhere"))
    registry.answers["/elsewhere"] = [
        lambda handler, _data: whole(handler, registry.archives[package])
    ]
    fetch.fetch_packages([package])
    loop = locked_package(registry, "1.2.20")
    registry.answer(loop, status(302, Location=archive_path(loop)))
    with pytest.raises(FetchError, match="redirects without end"):
        fetch.fetch_packages([loop])


# --- going on


def test_cut_connection_is_continued(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, cut_after(HALF), whole)
    fetch.fetch_packages([package])
    first, second = registry.asked(package)
    assert (first.range, second.range) == (None, f"bytes={HALF}-")
    assert second.if_range
    assert first.sent + second.sent == len(registry.archives[package])


def test_next_run_continues_the_last(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, cut_after(HALF), status(404))
    with pytest.raises(FetchError, match="not there"):
        fetch.fetch_packages([package])
    assert nothing_kept(package, part=True)
    registry.answers.clear()
    fetch.fetch_packages([package])
    assert registry.asked(package)[-1].range == f"bytes={HALF}-"
    assert sum(r.sent for r in registry.asked(package)) == len(registry.archives[package])


def test_host_that_ignores_ranges_starts_again(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, cut_after(HALF), lambda handler, data: handler.reply(200, data))
    fetch.fetch_packages([package])
    assert registry.asked(package)[1].range
    assert registry.asked(package)[1].sent == len(registry.archives[package])


def test_changed_file_is_not_glued_to_an_old_part(registry: Registry) -> None:
    package = locked_package(registry)
    old = noise(400_000, seed=7)
    registry.answer(package, lambda handler, _data: cut_after(HALF)(handler, old), whole)
    fetch.fetch_packages([package])
    assert registry.asked(package)[1].sent == len(registry.archives[package])


@pytest.mark.parametrize(
    "odd",
    [
        status(416),
        lambda handler, data: handler.reply(206, data, Content_Range="bytes 5-9/10"),
        lambda handler, data: handler.reply(206, data),
    ],
)
def test_odd_answer_to_a_range_starts_again(registry: Registry, odd: Answer) -> None:
    package = locked_package(registry)
    registry.answer(package, cut_after(HALF), odd, whole)
    fetch.fetch_packages([package])
    assert registry.asked(package)[2].range is None


def test_complete_part_of_a_killed_run_is_not_fetched_again(registry: Registry) -> None:
    package = locked_package(registry)
    part = fetch.package_folder(package).with_name(f"{package.version}.tgz.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(registry.archives[package])
    fetch.fetch_packages([package])
    assert registry.asked(package) == []


def test_overload_is_waited_out(registry: Registry) -> None:
    package = locked_package(registry)
    registry.answer(package, status(429, Retry_After="0"), status(503), status(500), whole)
    fetch.fetch_packages([package])
    assert len(registry.asked(package)) == 4


# --- what is refused


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
        (status(404), "not there", False),
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
    lock.write_lock({package: integrity.parse(sri(b"something else"))})
    with pytest.raises(FetchError, match="not what the lock file names") as caught:
        fetch.fetch_packages([package])
    assert sri(b"something else") in str(caught.value)
    assert registry.asked(package) == []


def test_forged_bytes_with_forged_metadata_are_refused(registry: Registry) -> None:
    package = locked_package(registry)
    registry.archives[package] = npm_archive({"package/bin/tool": b"evil"})
    with pytest.raises(FetchError, match="not what the lock file names"):
        fetch.fetch_packages([package])
    registry.integrity[package] = str(lock.read_lock().entries[package])
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


# --- the disk


@pytest.mark.parametrize(
    "data",
    [None, npm_archive({"package/bin/tool": bytes(4_000_000)})],
    ids=["while downloading", "while unpacking"],
)
def test_full_disk(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes | None
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        monkeypatch.setenv("GOBUN_CACHE", str(disk))
        package = locked_package(registry, data=data)
        with pytest.raises(PrerequisiteError, match="no space is left") as caught:
            fetch.fetch_packages([package])
        assert caught.value.exit_code == 3
        assert nothing_kept(package)
    finally:
        release_marks(cache._held)
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_disk_that_fails_while_unpacking(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    package = locked_package(registry)
    monkeypatch.setattr("gobun.fetch.archive.os.fsync", full)
    with pytest.raises(PrerequisiteError, match="no space is left"):
        fetch.fetch_packages([package])
    assert not fetch.package_folder(package).exists()


def test_cache_that_cannot_be_written(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locked_package(registry)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "file"))
    with pytest.raises(PrerequisiteError, match="GOBUN_CACHE") as caught:
        fetch.fetch_packages([package])
    assert caught.value.exit_code == 3


# --- several processes, and their ends

CHILD = """
import sys
from pathlib import Path
from gobun import fetch, paths
paths.LOCK_FILE = Path(sys.argv[1])
fetch.fetch_packages([fetch.Package(sys.argv[2], sys.argv[3])])
print("have it", flush=True)
sys.stdin.read()
"""


def child_fetching(package: fetch.Package) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(paths.LOCK_FILE), package.name, package.version],
        cwd=paths.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_share_one_download(registry: Registry) -> None:
    def slow(handler: Handler, data: bytes) -> None:
        time.sleep(1.5)
        whole(handler, data)

    package = locked_package(registry)
    registry.answer(package, slow)
    children = [child_fetching(package) for _ in range(2)]
    for child in children:
        _, err = child.communicate("", timeout=60)
        assert child.returncode == 0, err
    assert len(registry.asked(package)) == 1
    assert (fetch.package_folder(package) / "bin" / "tool").is_file()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_killed_run_is_continued_by_the_next(registry: Registry, how: signal.Signals) -> None:
    package = locked_package(registry)
    registry.answer(package, stall_after(HALF, seconds=60))
    child = child_fetching(package)
    part = fetch.package_folder(package).with_name(f"{package.version}.tgz.part")
    last = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size == HALF):
        assert time.monotonic() < last
        time.sleep(0.02)
    child.send_signal(how)
    began = time.monotonic()
    _, err = child.communicate(timeout=30)
    assert time.monotonic() - began < 8, "an interruption does not wait for the host"
    assert child.returncode != 0, err
    assert nothing_kept(package, part=True)
    registry.answers.clear()
    fetch.fetch_packages([package])
    assert registry.asked(package)[-1].range == f"bytes={HALF}-"
    assert (fetch.package_folder(package) / "bin" / "tool").is_file()


def test_half_unpacked_folder_of_a_killed_run_is_cleared(registry: Registry) -> None:
    package = locked_package(registry)
    left = fetch.package_folder(package).parent / f".{package.version}.abc123"
    (left / "package").mkdir(parents=True)
    assert fetch.cached_versions(NAME) == ()
    fetch.fetch_packages([package])
    assert not left.exists()
    assert fetch.cached_versions(NAME) == (package.version,)


def test_eviction_leaves_what_another_process_uses(registry: Registry) -> None:
    package = locked_package(registry)
    child = child_fetching(package)
    assert child.stdout is not None
    assert child.stdout.readline() == "have it\n"
    done = cache.evict()
    assert [entry.name for entry in done.busy] == [str(package)]
    assert fetch.package_folder(package).is_dir()
    child.communicate("", timeout=30)
    assert cache.evict().freed > 300_000
    assert cache.usage() == []


# --- versions, the lock, and how a host is reached


def test_versions_and_tags(registry: Registry) -> None:
    for version in ("1.10.0", "1.9.0", "1.9.1-canary.20260101.1", "1.9.1"):
        registry.publish(NAME, version)
    assert fetch.published_versions(NAME) == ("1.9.0", "1.9.1-canary.20260101.1", "1.9.1", "1.10.0")
    assert fetch.dist_tags(NAME) == {"latest": "1.9.1"}
    assert len(registry.requests) == 1
    registry.publish("single", "1.0.0")
    assert fetch.published_versions("single") == ("1.0.0",)


def test_versions_without_network(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = registry.publish(NAME, "1.4.0-canary.1")
    fetch.fetch_packages([canary])
    entry = integrity.parse(sri(b""))
    lock.write_lock({fetch.Package(NAME, it): entry for it in ("1.2.1", "1.3.0")})
    go_offline(monkeypatch)
    capsys.readouterr()
    assert fetch.published_versions(NAME) == ("1.2.1", "1.3.0", "1.4.0-canary.1")
    assert fetch.dist_tags(NAME) == {"latest": "1.3.0"}
    assert len(capsys.readouterr().err.splitlines()) == 1
    with pytest.raises(FetchError, match="nothing is known"):
        fetch.published_versions("unheard-of")


def test_lock_grows_and_never_changes(registry: Registry) -> None:
    first = registry.publish(NAME, "1.0.0")
    registry.publish(NAME, "0.8.0")
    registry.publish(NAME, "1.1.0-canary.1")
    registry.publish("node-api-headers", "1.8.0")
    headers = registry.publish("node-api-headers", "1.9.0")
    names = (NAME, "node-api-headers")
    assert fetch.update_lock(names).added == (first, headers)
    second = registry.publish(NAME, "1.1.0")
    del registry.archives[first]  # what is withdrawn stays known
    summary = fetch.update_lock(names)
    assert (summary.added, summary.kept) == ((second,), 2)
    before = paths.LOCK_FILE.read_bytes()
    assert fetch.update_lock(names).added == ()
    registry.archives[second] += b"other bytes"
    registry.publish(NAME, "1.2.0")
    with pytest.raises(FetchError, match=r"other bytes for .*1\.1\.0"):
        fetch.update_lock(names)
    assert paths.LOCK_FILE.read_bytes() == before


def test_mirror_that_keeps_its_origins_addresses(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = locked_package(registry)
    origin = registry.packument

    def kept(name: str) -> bytes | None:
        said = origin(name)
        return said and said.replace(registry.url.encode(), b"http://origin.invalid")

    monkeypatch.setattr(registry, "packument", kept)
    monkeypatch.setattr(download, "_TRIES", 1)
    with pytest.raises(FetchError, match="cannot be resolved"):
        fetch.fetch_packages([package])
    monkeypatch.setenv("npm_config_replace_registry_host", "always")
    fetch.fetch_packages([package])


def test_proxy_of_npm_is_used(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    package = locked_package(registry)
    with serving() as proxy:
        monkeypatch.setenv("npm_config_proxy", proxy.url)
        address = registry.url + archive_path(package)
        proxy.answers[address] = [lambda handler, _data: whole(handler, registry.archives[package])]
        seen = registry.packument(NAME) or b""
        for path in (f"{registry.url}/@oven%2fbun-linux-x64",):
            proxy.answers[path] = [lambda handler, _data: whole(handler, seen)]
        fetch.fetch_packages([package])
    assert registry.asked(package) == []


@pytest.mark.network
def test_real_release_against_the_committed_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path))
    package = fetch.Package(fetch.HEADERS_PACKAGE, "1.9.0")
    assert package in fetch.read_lock().entries
    folder = fetch.fetch_packages([package])[package]
    assert (folder / "include" / "node_api.h").is_file()
    release_marks(cache._held)


@pytest.mark.parametrize("setting", ["npm_config_cafile", "NODE_EXTRA_CA_CERTS"])
def test_authority_of_npm_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry, setting: str
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    if not shutil.which("openssl"):
        pytest.skip("making a certificate takes openssl")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    for name in ("NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with serving(certificate=certificate, key=key) as secure:
        package = secure.publish(NAME, "1.2.19")
        write_lock(secure)
        monkeypatch.setenv("npm_config_registry", secure.url)
        with pytest.raises(FetchError):
            fetch.fetch_packages([package])
        monkeypatch.setenv(setting, str(certificate))
        fetch.fetch_packages([package])
