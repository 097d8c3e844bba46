"""Go modules: fetched once, then taken from the cache, and rejected if their content differs."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from gobun import build, paths, toolchain
from gobun.build import compile as compiling
from gobun.build import go_modules
from gobun.errors import FetchError
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

ASHERAH = paths.GO_SOURCES / "asherah"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the package, on a machine without network access for Go."""
    build.build_fixture(build.ASHERAH, host_target())
    monkeypatch.setenv("GOPROXY", "off")
    for name in ("go.mod", "asherah/go.mod", "asherah/go.sum"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(paths.GO_SOURCES / name, tmp_path / name)
    return tmp_path / "asherah"


def fetch(package: Path, **more: str) -> None:
    go = toolchain.go()
    environment = compiling.go_environment(host_target(), go, toolchain.zig(), compiling.GoFlags())
    go_modules.fetch_modules(package, go, environment | more)


def test_go_modules_in_cache_need_no_network(package: Path) -> None:
    fetch(package)


def test_go_modules_without_network_or_cache_fail(package: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="could not fetch the modules of go/asherah") as raised:
        fetch(package, GOPATH=str(tmp_path / "empty"))
    assert "GOPROXY=off" in raised.value.what
    assert "go env GOPROXY" in (raised.value.hint or "")
    assert raised.value.exit_code == 4


def test_go_modules_with_wrong_digest_are_rejected(package: Path) -> None:
    sums = package / "go.sum"
    pattern = r"(appencryption v[\d.]+ h1:)....."
    wrong, count = re.subn(pattern, r"\1AAAAA", sums.read_text())
    assert count == 1
    sums.write_text(wrong)
    with pytest.raises(FetchError, match="checksum mismatch"):
        fetch(package)


def test_go_modules_exist_only_for_code_with_dependencies() -> None:
    packages = [
        each.name for each in paths.GO_SOURCES.iterdir() if go_modules.has_dependencies(each)
    ]
    assert packages == [ASHERAH.name]
