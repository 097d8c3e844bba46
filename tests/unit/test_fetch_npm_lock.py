"""The lock file and the digests in it."""

from __future__ import annotations

import base64
import hashlib
import tomllib
from typing import TYPE_CHECKING

import pytest
import semver

from gobun import fetch, paths
from gobun.errors import FetchError
from gobun.fetch import integrity, npm_lock

if TYPE_CHECKING:
    from pathlib import Path

SHA512 = "sha512-" + base64.b64encode(hashlib.sha512(b"x").digest()).decode()


def test_digest_round_trips(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    assert str(integrity.parse(SHA512)) == SHA512
    assert integrity.of_file(tmp_path / "x") == integrity.parse(SHA512)
    assert integrity.parse(f"sha1-AAAA {SHA512}?opt") == integrity.parse(SHA512)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha1-AAAA",
        "sha512",
        "sha512-",
        "sha512-!!!!",
        SHA512[:-4],
        SHA512 + "AAAA",
        f"{SHA512} {SHA512}",
        SHA512.replace("sha512", "SHA512"),
    ],
)
def test_digest_malformed_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"has [0-9]+ bytes|base64"):
        integrity.parse(text)


def test_npm_lock_is_sorted_and_round_trips(tmp_path: Path) -> None:
    value = integrity.parse(SHA512)
    names = [("b", "1.10.0"), ("b", "1.9.0"), ("b", "1.10.0-canary.2"), ("@a/c", "1.0.0")]
    entries = {fetch.Package(*name): value for name in names}
    path = tmp_path / "lock.toml"
    npm_lock.write_lock(entries, path)
    assert npm_lock.read_lock(path).entries == entries
    assert npm_lock.read_lock(path).versions("b") == ("1.9.0", "1.10.0-canary.2", "1.10.0")
    assert list(tomllib.loads(path.read_text())) == ["@a/c", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "lock.toml is not TOML"),
        ('["a"]\n"1.0.0" = "x"\n"1.0.0" = "y"', "not TOML"),
        ("a = 1", "'a' must be a table"),
        ('["../a"]', "'../a'.* is not a package name"),
        (f'["a"]\n"1.0" = "{SHA512}"', "'a'.* key '1.0' is not a version"),
        ('["a"]\n"1.0.0" = 5', "'a'.* key '1.0.0' must be a string"),
        ('["a"]\n"1.0.0" = "sha512-AAAA"', "'a'.* key '1.0.0' has 3 bytes, not 64"),
        (f'["a"]\n1.0.0 = "{SHA512}"', "'a'.* key '1' is not a version"),
    ],
)
def test_npm_lock_malformed_names_table_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "lock.toml"
    path.write_text(text)
    with pytest.raises(FetchError, match=message) as caught:
        npm_lock.read_lock(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 4


def test_npm_lock_missing_or_binary_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "lock.toml"
    with pytest.raises(FetchError, match="No such file"):
        npm_lock.read_lock(path)
    path.write_bytes(b"\xff")
    with pytest.raises(FetchError, match="UTF-8"):
        npm_lock.read_lock(path)


def test_npm_lock_committed_file_is_complete_and_canonical() -> None:
    locked = npm_lock.read_lock()
    assert npm_lock.format_lock(locked.entries) == paths.LOCK_FILE.read_text()
    for name in fetch.bun_packages():
        versions = locked.versions(name)
        assert versions, name
        assert all(semver.Version.parse(version).prerelease is None for version in versions)
    assert {"1.2.1", "1.2.19"} < set(locked.versions(fetch.bun_package("linux-x64")))
    assert fetch.Package(fetch.HEADERS_PACKAGE, "1.9.0") in locked.entries
    assert set(fetch.webkit_packages()) <= locked.entries.keys()


def test_bun_packages_cover_every_build_of_bun() -> None:
    assert len(fetch.bun_packages()) == 7
    assert fetch.bun_package("linux-arm64", "musl") in fetch.bun_packages()
