"""Which mapped files have a Go runtime in them."""

from __future__ import annotations

import contextlib
import mmap
from pathlib import Path
from typing import TYPE_CHECKING

from gobun.audit import buildinfo
from gobun.diagnose.records import GoLibrary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gobun.observe import Mapping

_FUNCTIONS = b".gopclntab"
_ENDS = b"runtime.goexit"


def go_libraries(pid: int, maps: Sequence[Mapping]) -> tuple[GoLibrary, ...]:
    """Return the mapped files, the executable left out, that have a Go runtime in them."""
    return tuple(_found(pid, maps))


def _found(pid: int, maps: Sequence[Mapping]) -> Iterator[GoLibrary]:
    program = ""
    with contextlib.suppress(OSError):
        program = str(Path(f"/proc/{pid}/exe").readlink())
    done: set[str] = set()
    for mapping in maps:
        path = mapping.path
        if not path.startswith("/") or path in done or path == program or "x" not in mapping.rights:
            continue
        done.add(path)
        if (library := _library(pid, mapping)) is not None:
            yield library


def _library(pid: int, mapping: Mapping) -> GoLibrary | None:
    # As the process sees it, in another container too; a deleted file is still there by its range.
    source = Path(f"/proc/{pid}/root{mapping.path}")
    if mapping.deleted:
        source = Path(f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}")
    try:
        with source.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            if data.find(buildinfo.MAGIC) < 0 and data.find(_FUNCTIONS) < 0:
                return None
            whole = data[:]
    except (OSError, ValueError):
        return None
    # Without the section table, which takes seconds to read in a large library.
    build = buildinfo.find(whole, ())
    if build is not None:
        return GoLibrary(mapping.path, build.version, build.summary)
    if whole.find(_FUNCTIONS) >= 0 and whole.find(_ENDS) >= 0:
        return GoLibrary(mapping.path, buildinfo.UNKNOWN, "Go, its build record taken out")
    return None
