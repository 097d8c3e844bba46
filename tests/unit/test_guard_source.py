"""The guard as one C file, and the Go package with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gobun import build
from gobun.build.guard_source import guard_sources, one_file
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_guard_source_single_file_is_complete() -> None:
    text = one_file()
    assert not re.findall(r'#include "', text)
    for path in guard_sources():
        assert text.count(f"/* ---- guard/{path.name} ---- */") == 1
    assert text.count("GUARD_API int32_t GuardInstall(void);") == 1
    assert "__attribute__((constructor(101)))" in text


def test_vendor_guard_writes_build_tags_on_all_c(tmp_path: Path) -> None:
    written = {path.name: path.read_text() for path in build.vendor_guard(tmp_path / "goguard")}
    tag = "//go:build linux && cgo && (amd64 || arm64)\n"
    assert written["goguard.c"].startswith(tag)
    assert written["goguard_linux.go"].startswith(tag)
    assert "//go:build" not in written["goguard.go"]
    assert {path.name for path in (tmp_path / "goguard").iterdir()} == set(written)


@pytest.mark.parametrize("name", ["main.go", "other.c", "asm.s"])
def test_vendor_guard_beside_other_code_is_rejected(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match=f"holds another Go package already: {name}"):
        build.vendor_guard(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_vendor_guard_into_a_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "goguard").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        build.vendor_guard(tmp_path / "goguard")
