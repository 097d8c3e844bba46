"""Finds the kernel modules that a guest needs to mount its disk and folders, in loading order."""

from __future__ import annotations

import lzma
import re
from typing import TYPE_CHECKING

from gobun.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NEEDED_MODULES = ("virtio_pci", "virtio_blk", "ext4", "overlay", "9pnet_virtio", "9p")
"""The disk, its file system, the layer that takes writes, and the shared folders."""
OPTIONAL = ("crc32c_generic",)
"""ext4 requests it by an alias, so no module lists it as a dependency. It may be built in."""

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def modules_in_order(
    folder: Path, needed_modules: Sequence[str] = NEEDED_MODULES
) -> list[tuple[str, bytes]]:
    """Return the modules below ``lib/modules/VERSION``, each after those that it depends on.

    Modules that are built into the kernel are left out.

    Raises:
        FetchError: a module is missing, and is not built in.
    """
    files = {_name(path.name): path for path in sorted(folder.rglob("*.ko*"))}
    listed = (folder / "modules.builtin").read_text().splitlines()
    builtin = {_name(line.rpartition("/")[2]) for line in listed}
    modules: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in modules or name in builtin:
            return
        if name not in files:
            raise FetchError(
                f"the kernel in {folder.name} has no module {name}",
                hint="choose another --release: a guest cannot start without it",
            )
        data = _content(files[name])
        for other in depends(data):
            add(other)
        modules[name] = data

    for name in (*(each for each in OPTIONAL if each in files), *needed_modules):
        add(_name(name))
    return list(modules.items())


def depends(module: bytes) -> list[str]:
    """Return the names of the modules that a module lists as its dependencies."""
    match = _DEPENDS.search(module)
    return [_name(name) for name in match[1].decode().split(",") if name] if match else []


def _name(text: str) -> str:
    """Return a module's name as the kernel writes it."""
    return text.partition(".ko")[0].replace("-", "_")


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data
