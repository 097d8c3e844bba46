"""Diagnoses of, and next to, processes with hostile names and files."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from gobun import diagnose, observe
from gobun.build import compile as compiling
from gobun.diagnose import libraries
from gobun.diagnose.libraries import go_libraries
from gobun.diagnose.runtime import seen_runtime
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

SOURCE = Path(__file__).parent / "native" / "hostile_names.c"
NAME = b"lib\n\xff\x1b[2J\xe2\x80\xae\xc2\x85.so"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("hostile") / "hostile"
    compiling.c_program(SOURCE, target=host_target(), output=output)
    return output


@contextlib.contextmanager
def running(*command: Path | bytes | str) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_diagnose_hostile_names_escapes_them(program: Path, tmp_path: Path) -> None:
    with running(program, os.fsencode(tmp_path) + b"/" + NAME) as pid:
        snapshot = observe.take_snapshot(pid, None)
        mapped = [each for each in observe.mappings(pid) if each.path.endswith(".so")]
        diagnosis = diagnose.diagnose(pid)
    names = [view.seen.name for view in snapshot.threads]
    assert all(name.isprintable() for name in names)
    assert "\\x1b[2J\\x9b\\x85) R 1" in names[1]
    assert snapshot.threads[0].seen.state in {"R", "S"}  # its name claims Z
    assert Path(mapped[0].path).name == "lib\\n\\xff\\x1b[2J\\u202e\\x85.so"
    assert diagnose.render(diagnosis).replace("\n", "").isprintable()
    assert msgspec.json.encode(diagnosis)


def test_diagnose_command_beside_hostile_process_works(program: Path, tmp_path: Path) -> None:
    with running(program, os.fsencode(tmp_path) + b"/" + NAME):
        diagnosis = diagnose.diagnose_command(["sleep", "1.2"])
    assert diagnosis.kind == "ended"


def test_diagnose_mapped_file_replaced_by_pipe_is_not_opened(program: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with running(program, tmp_path / "code.so", "fifo", pipe) as pid:
        [mapping] = [each for each in observe.mappings(pid) if each.path.endswith("code.so")]
        assert mapping.is_deleted
        # The name leads to a pipe now. Opening it would block for ever, beyond the test's limit.
        handle = observe.open_mapped(pid, msgspec.structs.replace(mapping, is_deleted=False))
        if handle is not None:  # by map_files
            assert os.fstat(handle).st_size == 4096
            os.close(handle)


def test_diagnose_mapped_device_is_not_opened(tmp_path: Path) -> None:
    with Path("/dev/zero").open("rb") as zero:
        mapping = observe.Mapping(
            0, 4096, "r-xp", "/dev/zero", inode=os.fstat(zero.fileno()).st_ino
        )
    assert observe.open_mapped(os.getpid(), mapping) is None


def test_diagnose_huge_sparse_library_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "MOST_BYTES", 1 << 25)
    library = tmp_path / "huge.so"
    with library.open("wb") as file:
        file.truncate(1 << 40)
    about = library.stat()
    mapping = observe.Mapping(0, 4096, "r-xp", str(library), inode=about.st_ino)
    assert go_libraries(os.getpid(), [mapping]).unread_files == (str(library),)


def test_diagnose_deleted_program_is_still_recognised(program: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(program.read_bytes() + b"BUN_JSC_ Bun v1.2.19 ")
    copy.chmod(0o755)
    with running(copy) as pid:
        copy.unlink()
        runtime = seen_runtime(pid)
    assert (runtime.name, runtime.version) == ("bun", "1.2.19")
