"""The release folder: libraries, headers, checksums and a manifest, and updates of each."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import pytest

from gobun import files
from gobun.build import BuiltLibrary, publish
from gobun.errors import PrerequisiteError
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

ALL_TARGETS = ("linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "dist"


def warmup(folder: Path, name: str, content: bytes = b"library") -> BuiltLibrary:
    target = TARGETS[name]
    library = folder / "cache" / f"go-warmup-{name}{target.library_suffix}"
    header = library.with_suffix(".h")
    files.write_whole(library, content + name.encode(), mode=0o755)
    files.write_whole(header, "int Warmup(void);\n")
    return BuiltLibrary(target, library, header, "1.27.3", "0.17.0", ("-flag",))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_publish_writes_everything_for_every_target(tmp_path: Path, out: Path) -> None:
    entries = publish([warmup(tmp_path, name) for name in ALL_TARGETS], out)
    assert names(out) == [
        "SHA256SUMS",
        "SHA256SUMS-darwin",
        "go-warmup-darwin-arm64.dylib",
        "go-warmup-darwin-arm64.h",
        "go-warmup-darwin-x64.dylib",
        "go-warmup-darwin-x64.h",
        "go-warmup-linux-arm64.h",
        "go-warmup-linux-arm64.so",
        "go-warmup-linux-x64.h",
        "go-warmup-linux-x64.so",
        "manifest.json",
    ]
    assert [entry.target for entry in entries] == list(ALL_TARGETS)
    assert (out / "go-warmup-linux-x64.so").stat().st_mode & 0o777 == 0o755


def test_publish_checksums_have_sha256sum_format(tmp_path: Path, out: Path) -> None:
    publish([warmup(tmp_path, name) for name in ALL_TARGETS], out)
    for sums, listed in {
        "SHA256SUMS": ("go-warmup-linux-arm64.so", "go-warmup-linux-x64.so"),
        "SHA256SUMS-darwin": ("go-warmup-darwin-arm64.dylib", "go-warmup-darwin-x64.dylib"),
    }.items():
        expected = "".join(f"{sha256(out / name)}  {name}\n" for name in listed)
        assert (out / sums).read_bytes() == expected.encode()


def test_publish_manifest_is_complete(tmp_path: Path, out: Path) -> None:
    (entry,) = publish([warmup(tmp_path, "linux-x64")], out)
    document = msgspec.json.decode((out / "manifest.json").read_bytes())
    library = out / "go-warmup-linux-x64.so"
    assert document == {
        "libraries": [
            {
                "file": library.name,
                "header": "go-warmup-linux-x64.h",
                "target": "linux-x64",
                "size": library.stat().st_size,
                "sha256": sha256(library),
                "go": "1.27.3",
                "zig": "0.17.0",
                "zig_target": "x86_64-linux-gnu.2.17",
                "flags": ["-flag"],
            }
        ]
    }
    assert msgspec.to_builtins(entry)["sha256"] == sha256(library)
    assert (out / "manifest.json").read_text().endswith("}\n")


def test_publish_single_system_has_one_checksum_list(tmp_path: Path, out: Path) -> None:
    publish([warmup(tmp_path, "darwin-x64")], out)
    assert "SHA256SUMS" not in names(out)
    assert "SHA256SUMS-darwin" in names(out)


def listed_files(out: Path, sums: str = "SHA256SUMS") -> list[str]:
    return [line.partition("  ")[2] for line in (out / sums).read_text().splitlines()]


def in_manifest(out: Path) -> list[str]:
    document = msgspec.json.decode((out / "manifest.json").read_bytes())
    return [library["target"] for library in document["libraries"]]


def test_publish_keeps_existing_and_drops_missing_libraries(tmp_path: Path, out: Path) -> None:
    publish([warmup(tmp_path, name) for name in ALL_TARGETS], out)
    publish([warmup(tmp_path, "linux-x64", b"newer")], out)
    assert listed_files(out) == ["go-warmup-linux-arm64.so", "go-warmup-linux-x64.so"]
    assert sha256(out / "go-warmup-linux-x64.so") in (out / "SHA256SUMS").read_text()
    assert sorted(in_manifest(out)) == sorted(ALL_TARGETS)
    (out / "go-warmup-linux-arm64.so").unlink()
    publish([warmup(tmp_path, "linux-x64", b"newer")], out)
    assert listed_files(out) == ["go-warmup-linux-x64.so"]
    assert sorted(in_manifest(out)) == ["darwin-arm64", "darwin-x64", "linux-x64"]


def test_publish_empty_checksum_list_is_removed(tmp_path: Path, out: Path) -> None:
    publish([warmup(tmp_path, name) for name in ("linux-x64", "darwin-x64")], out)
    (out / "go-warmup-darwin-x64.dylib").unlink()
    publish([warmup(tmp_path, "linux-x64")], out)
    assert "SHA256SUMS-darwin" not in names(out)
    assert in_manifest(out) == ["linux-x64"]


def test_publish_repeated_writes_nothing(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = [warmup(tmp_path, name) for name in ALL_TARGETS]
    first = publish(built, out)
    before = {path.name: path.stat().st_ino for path in out.iterdir()}

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("something was written")

    monkeypatch.setattr(files, "write_whole", refuse)
    assert publish(built, out) == first
    assert {path.name: path.stat().st_ino for path in out.iterdir()} == before


def test_publish_damaged_library_is_replaced(tmp_path: Path, out: Path) -> None:
    built = warmup(tmp_path, "linux-x64")
    publish([built], out)
    (out / built.library.name).write_bytes(b"damaged")
    publish([built], out)
    assert sha256(out / built.library.name) == sha256(built.library)


@pytest.mark.parametrize("damage", [b"", b"not json", b"[]", b'{"libraries": [{}]}', b"\xff\xfe"])
def test_publish_damaged_manifest_and_list_are_recreated(
    tmp_path: Path, out: Path, damage: bytes
) -> None:
    out.mkdir()
    (out / "manifest.json").write_bytes(damage)
    (out / "SHA256SUMS").write_bytes(damage)
    publish([warmup(tmp_path, "linux-x64")], out)
    assert in_manifest(out) == ["linux-x64"]
    assert listed_files(out) == ["go-warmup-linux-x64.so"]


def test_publish_file_as_output_folder_is_rejected(tmp_path: Path, out: Path) -> None:
    out.write_text("mine")
    with pytest.raises(PrerequisiteError, match="a file is in the way"):
        publish([warmup(tmp_path, "linux-x64")], out)
    assert out.read_text() == "mine"


@pytest.mark.parametrize("name", ["go-warmup-linux-x64.so", "SHA256SUMS", "manifest.json"])
def test_publish_folder_as_output_file_is_rejected(tmp_path: Path, out: Path, name: str) -> None:
    (out / name).mkdir(parents=True)
    with pytest.raises(PrerequisiteError, match="a folder is in the way"):
        publish([warmup(tmp_path, "linux-x64")], out)
    assert not [each for each in names(out) if each.startswith(".")]
