"""Files that appear whole or not at all, whatever the disk does."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest

from gobun import files, paths
from gobun.errors import PrerequisiteError

LIMITED_SCRIPT = """
import resource, signal, sys
from pathlib import Path
from gobun import files
from gobun.errors import PrerequisiteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    files.write_whole(Path(sys.argv[1]), bytes(100_000))
except PrerequisiteError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_file_creates_folders_and_sets_mode(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "text"
    files.write_whole(path, "größe\n", mode=0o755)
    assert path.read_bytes() == "größe\n".encode()
    assert path.stat().st_mode & 0o777 == 0o755
    files.write_whole(path, b"\0\1")
    assert path.read_bytes() == b"\0\1"
    assert path.stat().st_mode & 0o777 == 0o644
    assert names_in(path.parent) == ["text"]


def test_copy_file_keeps_the_mode(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"#!\n")
    source.chmod(0o700)
    files.copy_whole(source, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"#!\n"
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700


def test_write_file_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = (b"a" * 300_000, b"b" * 200_000)
    files.write_whole(path, contents[0])
    done = threading.Event()
    read_contents: set[bytes] = set()

    def read() -> None:
        while not done.is_set():
            read_contents.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(60):
            files.write_whole(path, contents[number % 2])
    finally:
        done.set()
        reader.join()
    assert read_contents
    assert read_contents <= set(contents)


def test_write_file_full_disk_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PrerequisiteError, match="no space is left on its disk") as raised:
        files.write_whole(path, "new")
    assert raised.value.exit_code == 3
    assert str(path) in str(raised.value)
    assert "--out" in str(raised.value)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


def test_write_file_real_rejection_midway_leaves_nothing(tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", LIMITED_SCRIPT, str(tmp_path / "file")],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 3, completed.stderr
    assert "files may not grow that large here" in completed.stdout
    assert names_in(tmp_path) == []


def test_write_file_obstacle_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder" / "below").mkdir(parents=True)
    with pytest.raises(PrerequisiteError, match="a file is in the way"):
        files.write_whole(tmp_path / "file" / "x", "")
    with pytest.raises(PrerequisiteError, match="part of the path is a file"):
        files.write_whole(tmp_path / "file" / "y" / "x", "")
    with pytest.raises(PrerequisiteError, match="a folder is in the way"):
        files.write_whole(tmp_path / "folder", "")
    with pytest.raises(PrerequisiteError, match="its name is too long"):
        files.write_whole(tmp_path / ("n" * 300), "")
    assert names_in(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "mine"


def test_disk_errors_leave_other_errors_unchanged(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), files.disk_errors(tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, "reset")


@pytest.mark.parametrize(
    "number",
    [errno.EROFS, errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.ENOENT, errno.ELOOP],
)
def test_disk_errors_become_prerequisite_errors(tmp_path: Path, number: int) -> None:
    with pytest.raises(PrerequisiteError, match="cannot write"), files.disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))


def test_temporary_folder_is_removed_after_its_block(tmp_path: Path) -> None:
    def use() -> None:
        with files.temporary_sibling(tmp_path / "x") as folder:
            (folder / "part").write_text("")
            assert folder.parent == tmp_path
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert names_in(tmp_path) == []


def test_temporary_folder_removed_before_lock_is_recreated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tempfile.mkdtemp
    events: list[str] = []

    def make_and_lose_the_first(prefix: str, dir: Path) -> str:  # noqa: A002
        events.append(make(prefix=prefix, dir=dir))
        if len(events) == 1:
            Path(events[0]).rmdir()
        return events[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose_the_first)
    with files.temporary_sibling(tmp_path / "x") as folder:
        assert [str(folder)] == events[1:]


def test_publish_folder_first_of_several_wins(tmp_path: Path) -> None:
    path = tmp_path / "published"
    barrier = threading.Barrier(8, timeout=20)

    def publish(number: int) -> None:
        with files.temporary_sibling(path) as staged:
            (staged / "it").mkdir()
            for name in ("a", "b"):
                (staged / "it" / name).write_text(str(number))
            barrier.wait()
            files.publish_folder(staged / "it", path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish, range(8)))
    assert names_in(tmp_path) == ["published"]
    assert len({file.read_text() for file in path.iterdir()}) == 1
    assert names_in(path) == ["a", "b"]


def test_publish_folder_on_existing_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "published").write_text("mine")
    (tmp_path / "staged").mkdir()
    with pytest.raises(PrerequisiteError, match="part of the path is a file"):
        files.publish_folder(tmp_path / "staged", tmp_path / "published")
    assert (tmp_path / "published").read_text() == "mine"


def test_lock_excludes_others_until_released(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "thing"
    with files.locked(path), pytest.raises(filelock.Timeout), files.locked(path, wait=False):
        pytest.fail("two hold it")
    with files.locked(path, wait=False):
        pass
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(PrerequisiteError, match="cannot write"),
        files.locked(tmp_path / "file" / "x"),
    ):
        pytest.fail("held a lock below a file")


def test_copy_sparse_keeps_holes_and_limits_size(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as stream:
        stream.write(b"begin" * 1000)
        stream.seek(1 << 32)
        stream.write(os.urandom(100_000))
        stream.truncate(1 << 33)
    files.copy_whole(source, target)
    assert target.stat().st_size == 1 << 33
    assert target.stat().st_blocks * 512 < 1 << 20
    with source.open("rb") as original, target.open("rb") as copied:
        for at in (0, 1 << 32, (1 << 33) - 10):
            original.seek(at)
            copied.seek(at)
            assert original.read(100_000) == copied.read(100_000)
    assert 105_000 <= files.copy_filled(source, target) < 1 << 18
    with pytest.raises(OSError, match="source holds more than 10,000 bytes"):
        files.copy_filled(source, target, most=10_000)
