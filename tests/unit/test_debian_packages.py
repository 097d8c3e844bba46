"""Debian packages: the sources of apt, missing packages, and unpacking."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from gobun import debian
from gobun.errors import FetchError, PrerequisiteError

if TYPE_CHECKING:
    from pathlib import Path

STANZAS = """\
# a comment
Types: deb
URIs: mirror://example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: mirror://example/other
Suites: nodistro
Components: main
"""


def test_sources_stanza_is_rewritten_for_other_suite() -> None:
    ((suffix, text),) = debian.rewritten(".sources", STANZAS, "bookworm", "trixie")

    assert suffix == ".sources"
    assert "Suites: trixie\nComponents: main\n" in text
    assert "URIs: mirror://example/debian" in text
    assert "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg" in text
    assert "nodistro" not in text


def test_sources_lines_are_rewritten_for_other_suite() -> None:
    text = (
        "deb [signed-by=/a b=c] mirror://example/debian bookworm main contrib\n"
        "# deb mirror://example/debian bookworm main\n"
        "deb-src mirror://example/debian bookworm main\n"
        "deb mirror://example/x stable main\n"
        "deb mirror://example/debian bookworm main\n"
    )
    assert [line for _, line in debian.rewritten(".list", text, "bookworm", "trixie")] == [
        "deb [signed-by=/a b=c] mirror://example/debian trixie main\n",
        "deb mirror://example/debian trixie main\n",
    ]


def test_apt_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="apt-get and dpkg-deb are missing") as raised:
        debian.Apt("arm64", "bookworm", tmp_path / "apt", hint="another way")
    assert raised.value.hint == "another way"


def test_mirror_source_names_the_archive_and_the_suite() -> None:
    suffix, text = debian.mirror_source("mirror://example/debian", "bookworm")

    assert suffix == ".list"
    assert text.startswith("deb ")
    assert text.endswith("mirror://example/debian bookworm main\n")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is missing")
def test_unpack_damaged_package_is_rejected(tmp_path: Path) -> None:
    package = tmp_path / "musl_1.deb"
    package.write_bytes(b"!<arch>\nnothing")
    with pytest.raises(FetchError, match=r"musl_1\.deb cannot be unpacked"):
        debian.unpack(package, tmp_path / "out")
