"""The sysroot for musl: accepted loaders, and the programs that are prepared for them."""

from __future__ import annotations

from pathlib import Path

import made_elf
import pytest

from gobun.elf import Editor, Image
from gobun.elf import constants as elf
from gobun.errors import UsageError
from gobun.matrix.results import this_host
from gobun.sysroot import sysroot_for
from gobun.sysroot.loader import own_loader


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not musl's loader"),
        (b"\x7fELF anything", "is not musl's loader"),
        (b"musl libc (x86_64)\nVersion %s\n\x001.2.3\0", "older than musl 1.2.5"),
        (b"musl libc (x86_64)\nVersion %s\n\0", "older than musl 1.2.5"),
    ],
)
def test_sysroot_unusable_loader_is_rejected(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    loader = tmp_path / "libc.so"
    if content is not None:
        loader.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        sysroot_for("linux-x64-musl", loader)


def test_sysroot_target_without_musl_is_rejected() -> None:
    with pytest.raises(UsageError, match="unknown musl target 'linux-x64'"):
        sysroot_for("linux-x64")


def test_interpreter_of_library_without_one_is_rejected(tmp_path: Path) -> None:
    image = Image(tmp_path / "lib.so", made_elf.library())
    editor = Editor(image)
    with pytest.raises(UsageError, match="names no dynamic linker"):
        editor.set_interpreter("/lib/ld.so", editor.open_segment(elf.PF_R))


@pytest.mark.parametrize(
    ("machine", "loader"),
    [("x86_64", "/lib/ld-musl-x86_64.so.1"), ("aarch64", "/lib/ld-musl-aarch64.so.1")],
)
def test_own_loader_on_musl_has_the_usual_path(
    monkeypatch: pytest.MonkeyPatch, machine: str, loader: str
) -> None:
    monkeypatch.setattr("gobun.targets.platform.machine", lambda: machine)
    monkeypatch.setattr("gobun.targets.platform.libc_ver", lambda: ("", ""))
    assert own_loader() == Path(loader)
    monkeypatch.setattr("gobun.targets.platform.libc_ver", lambda: ("glibc", "2.36"))
    assert own_loader() is None


def test_header_on_musl_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python does not know musl's version, and expectations use only the name of the C library."""
    loader = tmp_path / "ld-musl-x86_64.so.1"
    loader.write_bytes(b"musl libc (x86_64)\nVersion %s\n\x001.2.6-git-3\0")
    monkeypatch.setattr("gobun.sysroot.loader.own_loader", lambda: loader)
    monkeypatch.setattr("gobun.targets.platform.machine", lambda: "x86_64")
    monkeypatch.setattr("gobun.targets.platform.libc_ver", lambda: ("", ""))
    host = this_host()
    assert (host.libc, host.libc_name) == ("musl 1.2.6", "musl")
