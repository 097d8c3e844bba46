"""Identifies files that are not libraries, and makes the errors for them."""

from __future__ import annotations

import codecs
import stat
from typing import TYPE_CHECKING, NamedTuple

from gobun.errors import UsageError
from gobun.files import read_input
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

GIVE_LIBRARY = "give a shared library or a Node addon (.so, .dylib, .node)"
OTHER_SYSTEM = f"give a library for one of: {', '.join(TARGETS)}"
_LARGEST_BYTES = 2 << 30
REBUILD = "build it, or fetch it, again"


class _Kind(NamedTuple):
    start: bytes
    description: str
    hint: str


_ARCHIVE_HINT = "link it into a shared library first (with Go: -buildmode=c-shared)"
_KINDS = (
    _Kind(b"!<arch>\n", "a static archive (.a)", _ARCHIVE_HINT),
    _Kind(b"!<thin>\n", "a thin static archive (.a)", _ARCHIVE_HINT),
    _Kind(b"MZ", "a Windows program or DLL (PE)", OTHER_SYSTEM),
    _Kind(b"\0asm", "a WebAssembly module", GIVE_LIBRARY),
    _Kind(b"PK\x03\x04", "a zip archive", "unpack it and give the library inside"),
    _Kind(b"\x1f\x8b", "a gzip archive", "unpack it and give the library inside"),
    _Kind(b"BC\xc0\xde", "LLVM bitcode", "compile and link it first, without -flto for objects"),
    _Kind(b"--- !tapi-tbd", "a linker's stub (.tbd), which holds no code", GIVE_LIBRARY),
    _Kind(b"version https://git-lfs", "a Git LFS pointer", "fetch the content: git lfs pull"),
    _Kind(b"#!", "a script", GIVE_LIBRARY),
)


def read_bytes(path: Path) -> bytes:
    """Return the content of ``path``.

    Raises:
        UsageError: there is no such file, it cannot be read, or it is empty.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{path} is a folder", hint=GIVE_LIBRARY)
        if not stat.S_ISREG(mode):
            raise UsageError(f"{path} is not a regular file", hint=GIVE_LIBRARY)
        data = read_input(path, most=_LARGEST_BYTES)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist", hint=GIVE_LIBRARY) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="check its permissions"
        ) from error
    if not data:
        raise UsageError(f"{path} is empty", hint=REBUILD)
    return data


def not_a_library_error(path: Path, data: bytes) -> UsageError:
    """Return the error for a file that is neither ELF nor Mach-O, with its actual kind."""
    for kind in _KINDS:
        if data.startswith(kind.start):
            return UsageError(f"{path} is {kind.description}, not a library", hint=kind.hint)
    if _is_text(data[:4096]):
        return UsageError(f"{path} is a text file, not a library", hint=GIVE_LIBRARY)
    return UsageError(
        f"{path} is neither ELF nor Mach-O (it starts with {data[:4].hex(' ')})",
        hint=GIVE_LIBRARY,
    )


def damaged_library_error(path: Path, reason: str) -> UsageError:
    """Return the error for a library that cannot be parsed."""
    return UsageError(f"{path} is damaged: {reason}", hint=REBUILD)


def truncated_library_error(path: Path, *, needed_bytes: int, size: int) -> UsageError:
    """Return the error for a library whose headers describe more bytes than it has."""
    return UsageError(
        f"{path} is cut short (or its headers are damaged): they describe {needed_bytes} bytes, "
        f"and it has {size}",
        hint=REBUILD,
    )


def _is_text(head: bytes) -> bool:
    try:
        # Incremental, because the head may end in the middle of a character.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char.isspace() for char in text)
