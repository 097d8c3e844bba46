"""The folder to which a compiled executable unpacks its library, if its usual names are in use."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gobun import paths, toolchain

if TYPE_CHECKING:
    from collections.abc import Callable

UNPACK = """
const { unpacked } = require(process.argv[1]);
try {
  console.log(JSON.stringify({ file: unpacked(Buffer.from("library"), "d1gest") }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
"""


def unpack(temporary: Path, home: Path) -> dict[str, str]:
    module = paths.ROOT / "js" / "go-warmup" / "src" / "unpack.js"
    completed = subprocess.run(
        [toolchain.node().program, "-e", UNPACK, module],
        env={"TMPDIR": str(temporary), "HOME": str(home), "PATH": os.defpath},
        capture_output=True,
        check=True,
        timeout=60,
    )
    answer: dict[str, str] = json.loads(completed.stdout)
    return answer


def own_name(temporary: Path) -> Path:
    return temporary / f"go-warmup-{os.getuid()}"


def file_in_the_way(temporary: Path) -> None:
    own_name(temporary).write_text("")


def link_in_the_way(temporary: Path) -> None:
    (temporary / "elsewhere").mkdir()
    own_name(temporary).symlink_to("elsewhere")


def folder_of_another_user(temporary: Path) -> None:
    own_name(temporary).mkdir()
    os.chown(own_name(temporary), 12345, 12345)


def writable_by_all(temporary: Path) -> None:
    own_name(temporary).mkdir()
    own_name(temporary).chmod(0o777)


def parent_without_sticky_bit(temporary: Path) -> None:
    temporary.chmod(0o777)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def test_unpack_free_name_uses_temporary_folder(temporary: Path, tmp_path: Path) -> None:
    first, again = (unpack(temporary, tmp_path) for _ in range(2))
    assert first == again == {"file": str(own_name(temporary) / "d1gest.so")}
    assert [child.name for child in own_name(temporary).iterdir()] == ["d1gest.so"]
    assert own_name(temporary).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "take",
    [
        file_in_the_way,
        link_in_the_way,
        pytest.param(
            folder_of_another_user,
            marks=pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away"),
        ),
        writable_by_all,
        parent_without_sticky_bit,
    ],
)
def test_unpack_name_taken_uses_cache_of_home(
    take: Callable[[Path], None], temporary: Path, tmp_path: Path
) -> None:
    take(temporary)
    first, again = (unpack(temporary, tmp_path) for _ in range(2))
    assert first == again == {"file": str(tmp_path / ".cache" / "go-warmup" / "d1gest.so")}


def test_unpack_every_fixed_name_taken_uses_random_folder(temporary: Path, tmp_path: Path) -> None:
    file_in_the_way(temporary)
    home = tmp_path / "no-folder"
    home.write_text("")
    file = unpack(temporary, home)["file"]
    folder = Path(file).parent
    assert str(folder).startswith(f"{temporary}/go-warmup-")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_unpack_no_folder_at_all_names_each_reason(tmp_path: Path) -> None:
    home = tmp_path / "no-folder"
    home.write_text("")
    error = unpack(home, home)["error"]
    assert error.count(str(home)) == 3
