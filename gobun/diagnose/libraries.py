"""Finds the mapped files that contain a Go runtime."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gobun import buildinfo
from gobun.diagnose.records import GoLibrary
from gobun.observe import chunks, open_mapped
from gobun.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gobun.observe import Mapping

_FUNCTIONS = b".gopclntab"
_LAST_FUNCTION = b"runtime.goexit"
_RECORD_BYTES = 1 << 20
_ALIGN = 16
MOST_BYTES = 1 << 30
"""Most bytes that are read from one file."""
_MOST_IN_ALL = 4 << 30
"""Most bytes that are read for one process, which may map any number of huge files."""


class GoSearch(NamedTuple):
    """The Go runtimes in the files that a process has mapped as code."""

    libraries: tuple[GoLibrary, ...]
    unread_files: tuple[str, ...] = ()
    """Files that could not be searched completely."""


class _Build(NamedTuple):
    version: str
    summary: str


def go_libraries(pid: int, maps: Sequence[Mapping]) -> GoSearch:
    """Return the mapped files that contain a Go runtime. The executable itself is not searched."""
    libraries: list[GoLibrary] = []
    unread: list[str] = []
    bytes_left = _MOST_IN_ALL
    for mapping in _code_files(pid, maps):
        handle = open_mapped(pid, mapping) if bytes_left > 0 else None
        if handle is None:
            unread.append(mapping.path)
            continue
        try:
            size = os.fstat(handle).st_size
            build = _build_in(handle)
        except OSError:
            unread.append(mapping.path)
            continue
        finally:
            os.close(handle)
        bytes_left -= min(size, MOST_BYTES)
        if build is not None:
            libraries.append(GoLibrary(mapping.path, build.version, build.summary))
        elif size > MOST_BYTES:
            unread.append(mapping.path)
    return GoSearch(tuple(libraries), tuple(unread))


def _code_files(pid: int, maps: Sequence[Mapping]) -> Iterator[Mapping]:
    """Yield one mapping of each file that is mapped as code, except the executable."""
    seen = {_program_file(pid)}
    for mapping in maps:
        file = (mapping.device, mapping.inode)
        if mapping.path.startswith("/") and "x" in mapping.rights and file not in seen:
            seen.add(file)
            yield mapping


def _program_file(pid: int) -> tuple[int, int]:
    """Return the device and the inode of the executable."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/exe").stat()
        return status.st_dev, status.st_ino
    return 0, 0


def _build_in(handle: int) -> _Build | None:
    """Return the build information of Go's linker; None if there is no Go in the file."""
    status = os.fstat(handle)
    return _search_file(
        _OpenFile(handle), status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
    )


class _OpenFile:
    """A file descriptor that does not count in the key of a cache."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _OpenFile)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=256)
def _search_file(file: _OpenFile, *_identity: int) -> _Build | None:
    # Skip the section table: reading it takes seconds in a large library.
    marks: set[bytes] = set()
    for offset, data in chunks(file.handle, MOST_BYTES, overlap=len(_LAST_FUNCTION)):
        at = data.find(buildinfo.MAGIC)
        while at != -1:
            if (offset + at) % _ALIGN == 0 and (build := _record_at(file.handle, offset + at)):
                return build
            at = data.find(buildinfo.MAGIC, at + 1)
        marks |= {
            mark for mark in (_FUNCTIONS, _LAST_FUNCTION) if mark not in marks and mark in data
        }
    if marks == {_FUNCTIONS, _LAST_FUNCTION}:
        return _Build(buildinfo.UNKNOWN_RELEASE, "Go, without its build record")
    return None


def _record_at(handle: int, at: int) -> _Build | None:
    build = buildinfo.parse(os.pread(handle, _RECORD_BYTES, at))
    if build is None or build.version == buildinfo.BEFORE_118:
        return None
    return _Build(printable(build.version), printable(build.summary))
