"""Merges the guard's sources into one C file: for archives, embedded segments and Go packages.

The file compiles to one object, so a linker takes all of the guard from an archive, or none of it.
A reference to any of its functions also links the constructor that installs it.
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
/* The signal guard in one file, generated from the sources named below. Edit those instead.
 *
 * No symbol of it is visible outside the library that contains it. */
#define _GNU_SOURCE
#define GUARD_API __attribute__((visibility("hidden")))
"""


def guard_sources() -> list[Path]:
    """Return the C sources of the guard itself."""
    return sorted(GUARD_SOURCES.glob("*.c"))


def one_file() -> str:
    """Return the text of one C file with the guard and the constructor that installs it."""
    included: set[Path] = set()
    sources = [*guard_sources(), INSTALL_SOURCES / "constructor.c"]
    return _PROLOGUE + "".join(_expanded(path, included) for path in sources)


def _expanded(path: Path, included: set[Path]) -> str:
    """Return a source with each header of the guard in place of its first ``#include`` line."""
    if path in included:
        return ""
    included.add(path)
    lines = [f"\n/* ---- {path.relative_to(paths.NATIVE_SOURCES).as_posix()} ---- */\n"]
    for line in path.read_text().splitlines(keepends=True):
        include = _INCLUDE.match(line)
        if include:
            lines.append(_expanded((path.parent / include["name"]).resolve(), included))
        elif line != "#define _GNU_SOURCE\n":
            lines.append(line)
    return "".join(lines)
