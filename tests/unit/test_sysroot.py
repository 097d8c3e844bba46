"""The sysroot for musl: which loaders are taken, and programs that are prepared for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import made_elf
import pytest

from gobun.elf import Editor, Image
from gobun.elf import constants as elf
from gobun.errors import UsageError
from gobun.sysroot import sysroot_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not musl's loader"),
        (b"\x7fELF anything", "is not musl's loader"),
        (b"musl libc (x86_64)\nVersion %s\n\x001.2.3\0", "older than musl 1.2.5"),
        (b"musl libc (x86_64)\nVersion %s\n\0", "older than musl 1.2.5"),
    ],
)
def test_sysroot_unusable_loader_is_refused(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    loader = tmp_path / "libc.so"
    if content is not None:
        loader.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        sysroot_for("linux-x64-musl", loader)


def test_sysroot_target_without_musl_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown musl target 'linux-x64'"):
        sysroot_for("linux-x64")


def test_interpreter_of_library_without_one_is_refused(tmp_path: Path) -> None:
    image = Image(tmp_path / "lib.so", made_elf.library())
    editor = Editor(image)
    with pytest.raises(UsageError, match="names no loader"):
        editor.set_interpreter("/lib/ld.so", editor.open_segment(elf.PF_R))
