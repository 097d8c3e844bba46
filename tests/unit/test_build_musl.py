"""Conversion of files: the path of the result, and the files that remain after a failure."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import made_elf
import pytest

from gobun.build import musl
from gobun.errors import PrerequisiteError, UsageError
from gobun.musl import Adapters, NativeCode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(musl, "native_code", lambda _: NativeCode(bytes(32), Adapters(b"", ())))
    path = tmp_path / "lib.so"
    path.write_bytes(made_elf.library())
    path.chmod(0o755)
    return path


def test_outputs_default_to_a_new_name_beside_input(library: Path) -> None:
    assert musl.conversion_outputs([library], None) == [(library, library.with_name("lib-musl.so"))]


def test_outputs_folder_keeps_the_names(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert musl.conversion_outputs([library], out) == [(library, out / "lib.so")]


def test_outputs_of_several_inputs_need_a_folder(library: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 libraries cannot be written to the one file"):
        musl.conversion_outputs([library, library], tmp_path / "one.so")


def test_outputs_of_same_name_are_rejected(library: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the same name"):
        musl.conversion_outputs([library, library], tmp_path)


def test_outputs_over_another_input_are_rejected(library: Path, tmp_path: Path) -> None:
    converted = library.with_name("lib-musl.so")
    with pytest.raises(UsageError, match=r"the converted lib\.so would replace .*lib-musl\.so"):
        musl.conversion_outputs([library, converted], None)
    out = tmp_path / "out"
    out.mkdir()
    pairs = musl.conversion_outputs([library, out / "other.so"], out)
    assert pairs == [(library, out / "lib.so"), (out / "other.so", out / "other.so")]


def test_convert_file_keeps_the_input_and_its_mode(library: Path, tmp_path: Path) -> None:
    before = library.read_bytes()
    out = tmp_path / "out.so"
    conversion = musl.convert_file(library, out)

    assert library.read_bytes() == before
    assert out.read_bytes() == conversion.data
    assert out.stat().st_mode & 0o777 == 0o755


def test_convert_file_in_place_replaces_its_input(library: Path) -> None:
    conversion = musl.convert_file(library, library)

    assert library.read_bytes() == conversion.data


def test_convert_file_full_disk_leaves_no_half_file(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PrerequisiteError, match="no space is left"):
        musl.convert_file(library, tmp_path / "out.so")
    assert sorted(tmp_path.iterdir()) == before


def test_convert_file_rejection_writes_nothing(tmp_path: Path, library: Path) -> None:
    library.write_bytes(made_elf.library(go=False))
    with pytest.raises(UsageError):
        musl.convert_file(library, tmp_path / "out.so")

    assert sorted(each.name for each in tmp_path.iterdir()) == ["lib.so"]


def test_convert_file_unwritable_path_leaves_no_half_file(tmp_path: Path, library: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PrerequisiteError, match="cannot write"):
        musl.convert_file(library, tmp_path / "file" / "out.so")

    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "lib.so"]
