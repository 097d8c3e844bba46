"""Archives that are rejected as packages."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from gobun.errors import FetchError
from gobun.fetch import archive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def member(name: str, kind: bytes = tarfile.REGTYPE, **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = 3 if kind in {tarfile.REGTYPE, tarfile.CONTTYPE} else 0
    for key, value in more.items():
        setattr(info, key, value)
    return info


def write_archive(path: Path, members: Sequence[tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as opened:
        for each in members:
            opened.addfile(each, io.BytesIO(b"abc") if each.size else None)
    return path


def unpack_members(tmp_path: Path, members: Sequence[tarfile.TarInfo]) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    archive.unpack(write_archive(tmp_path / "it.tgz", members), folder, "it@1.0.0")
    return folder


def test_unpack_keeps_files_and_modes(tmp_path: Path) -> None:
    folder = unpack_members(
        tmp_path,
        [
            member("package", tarfile.DIRTYPE, mode=0),
            member("package/bin/", tarfile.DIRTYPE, mode=0o7777),
            member("package/bin/tool", mode=0o6777),
            member("./package/deep/er/x", mode=0),
        ],
    )
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*")} == {
        "bin",
        "bin/tool",
        "deep",
        "deep/er",
        "deep/er/x",
    }
    assert (folder / "bin/tool").stat().st_mode & 0o7777 == 0o755
    assert (folder / "deep/er/x").stat().st_mode & 0o7777 == 0o644
    assert (folder / "bin/tool").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (member("../evil"), "leads outside"),
        (member("package/../../evil"), "leads outside"),
        (member("package/.."), "leads outside"),
        (member("package\\..\\evil"), "leads outside"),
        (member("/package/evil"), "absolute"),
        (member("//evil"), "absolute"),
        (member("other/evil"), "outside of package/"),
        (member("evil"), "outside of package/"),
        (member("."), "outside of package/"),
        (member("package/link", tarfile.SYMTYPE, linkname="/etc/passwd"), "symbolic link"),
        (member("package/link", tarfile.SYMTYPE, linkname="ok"), "symbolic link"),
        (member("package/link", tarfile.LNKTYPE, linkname="package/ok"), "hard link"),
        (member("package/dev", tarfile.CHRTYPE), "device"),
        (member("package/dev", tarfile.BLKTYPE), "device"),
        (member("package/pipe", tarfile.FIFOTYPE), "named pipe"),
        (member("package/odd", tarfile.CONTTYPE), "neither"),
        (member("package/ok"), "place of another"),
        (member("package/ok/inside"), "place of another"),
        (member("package/ok", tarfile.DIRTYPE), "place of another"),
        (member("package/folder"), "place of another"),
        (member("package"), "place of another"),
    ],
)
def test_unpack_bad_member_is_rejected(tmp_path: Path, bad: tarfile.TarInfo, message: str) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        unpack_members(tmp_path, [member("package/folder/x"), member("package/ok"), bad])
    assert "it@1.0.0" in str(caught.value)
    assert not list(tmp_path.rglob("evil"))
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_unpack_size_bomb_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST_BYTES", 5)
    with pytest.raises(FetchError, match="beyond"):
        unpack_members(tmp_path, [member("package/a"), member("package/b")])


def test_unpack_member_count_bomb_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_MEMBERS", 10)
    with pytest.raises(FetchError, match="too many"):
        unpack_members(tmp_path, [member(f"package/{number}") for number in range(11)])


@pytest.mark.parametrize(
    "data", [b"", b"not an archive", gzip.compress(b"not a tar" * 200, mtime=0)]
)
def test_unpack_other_file_is_rejected(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "it.tgz"
    path.write_bytes(data)
    with pytest.raises(FetchError, match="damaged"):
        archive.unpack(path, tmp_path, "it@1.0.0")


def test_unpack_truncated_archive_is_rejected(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "it.tgz", [member(f"package/{number}") for number in range(50)])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FetchError, match="damaged"):
        archive.unpack(path, tmp_path, "it@1.0.0")


@pytest.mark.parametrize(
    "kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE]
)
def test_unpack_huge_header_is_rejected_unread(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, 4 << 30
    path = tmp_path / "it.tgz"
    path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(20 << 20), mtime=0))
    tracemalloc.start()
    try:
        with pytest.raises(FetchError, match="a header of 4,294,967,296 bytes"):
            archive.unpack(path, tmp_path, "it@1.0.0")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_unpack_extreme_compression_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "HEADERS_BYTES", 1 << 20)
    large = member("package/zeros", size=8 << 20)
    path = tmp_path / "it.tgz"
    path.write_bytes(gzip.compress(large.tobuf() + bytes(8 << 20), mtime=0))
    with pytest.raises(FetchError, match="unpacks to more than"):
        archive.unpack(path, tmp_path, "it@1.0.0")


def test_unpack_many_small_members_never_rewinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewinds = []
    monkeypatch.setattr(gzip.GzipFile, "rewind", lambda _self: rewinds.append(1))
    folder = unpack_members(
        tmp_path, [member(f"package/{number}", size=0) for number in range(500)]
    )
    assert len(list(folder.iterdir())) == 500
    assert rewinds == []


@pytest.mark.parametrize("name", ["package/" + "n" * 256, "package/" + "n/" * 600 + "n"])
def test_unpack_name_too_long_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(FetchError, match="longer than file systems take"):
        unpack_members(tmp_path, [member(name)])
