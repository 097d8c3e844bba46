"""The guard as one C file: for a static library, an embedded segment, or a copy in a Go module.

The guard is one object, so a linker takes all of it from an archive or nothing. A reference to any
of its functions also links the constructor that installs it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gobun import paths

if TYPE_CHECKING:
    from pathlib import Path

GUARD_SOURCES = paths.NATIVE_SOURCES / "guard"
INSTALL_SOURCES = paths.NATIVE_SOURCES / "guard_autoinstall"
PUBLIC_HEADER = GUARD_SOURCES / "go-guard.h"

_INCLUDE = re.compile(r'#include "(?P<name>[^"]+)"')
_PROLOGUE = """\
/* The signal guard in one file, made from the sources named below; edit those.
 *
 * Nothing in it is seen from outside the library it is linked into. */
#define _GNU_SOURCE
#define GUARD_API __attribute__((visibility("hidden")))
"""


def guard_sources() -> list[Path]:
    """Return the C sources of the guard itself."""
    return sorted(GUARD_SOURCES.glob("*.c"))


def one_file() -> str:
    """Return the guard, with the constructor that installs it, as the text of one C file."""
    seen: set[Path] = set()
    sources = [*guard_sources(), INSTALL_SOURCES / "constructor.c"]
    return _PROLOGUE + "".join(_expanded(path, seen) for path in sources)


def _expanded(path: Path, seen: set[Path]) -> str:
    """Return a source whose ``#include`` lines of the guard are replaced with the headers."""
    if path in seen:
        return ""
    seen.add(path)
    lines = [f"\n/* ---- {path.relative_to(paths.NATIVE_SOURCES).as_posix()} ---- */\n"]
    for line in path.read_text().splitlines(keepends=True):
        included = _INCLUDE.match(line)
        if included:
            lines.append(_expanded((path.parent / included["name"]).resolve(), seen))
        elif line != "#define _GNU_SOURCE\n":
            lines.append(line)
    return "".join(lines)
