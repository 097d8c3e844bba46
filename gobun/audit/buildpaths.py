"""Finds paths of the build machine in a library.

A build path leads below a folder that people or build services own. Paths that programs use at run
time do not count, such as ``/tmp`` itself, ``/proc/self``, ``/etc/hosts`` or
``/usr/share/zoneinfo``. Go's standard library contains many of them.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gobun import paths

if TYPE_CHECKING:
    from collections.abc import Iterable

_PART = rb"[A-Za-z0-9._~@+\-\x80-\xff]+"
_PATH_TAIL = rb"(?:/" + _PART + rb")*"

# The bytes before a path show whether it is the middle of a longer path or of a URL. Only compiler
# switches and file URLs may directly precede a path. Bytes above ASCII are allowed, because machine
# code may end with one where the strings begin. The pattern looks back from the path's first slash,
# because a search for a fixed byte is many times faster.
_PATH_START = rb"(?:(?<=-[BFIL]/)|(?<=file:///)|(?<![A-Za-z0-9._~@+%/\-]/))"

_TMP = rb"tmp(?!/[.][A-Za-z0-9]+-unix)"  # not the sockets of X clients

_PRIVATE_ROOTS = (
    # Private folders, and the depth below them at which a path belongs to a build.
    (1, (b"root", b"work", b"workspace", b"builds", b"__w", b"github/workspace")),
    (1, (b"usr/local/go/src", b"opt/hostedtoolcache", b"home/runner", b"Users/runner")),
    (2, (b"home", b"Users", _TMP, b"var/tmp", b"private/tmp", b"build")),
    (3, (b"var/folders", b"private/var/folders")),
)
_BUILD_FOLDER_NAMES = (b"site-packages", b"go-build[0-9]+", b"node_modules/[.]cache")
_SHARED_FOLDERS = ("/", "/tmp", "/var/tmp", "/usr", "/usr/local", "/var", "/opt", "/home", "/Users")  # noqa: S108
_SYSTEM = ("/usr/lib", "/usr/share", "/etc", "/var/lib", "/proc", "/System", "/Library")


def _generic() -> re.Pattern[bytes]:
    patterns = [
        b"(?:" + b"|".join(names) + b")" + (rb"/" + _PART) * depth + _PATH_TAIL
        for depth, names in _PRIVATE_ROOTS
    ]
    parts = b"|".join(_BUILD_FOLDER_NAMES)
    patterns.append(rb"(?:" + _PART + rb"/)*?(?:" + parts + rb")/" + _PART + _PATH_TAIL)
    return re.compile(rb"/" + _PATH_START + rb"(?:" + b"|".join(patterns) + rb")")


_GENERIC = _generic()


def local_folders() -> tuple[str, ...]:
    """Return this machine's folders whose paths a library built here may contain."""
    folders = [paths.ROOT, paths.cache_root(), Path(tempfile.gettempdir())]
    with contextlib.suppress(OSError, RuntimeError):  # no home folder, or no current folder
        folders += [Path.home(), Path.cwd()]
    return tuple(dict.fromkeys(str(folder) for folder in folders))


def find_build_paths(data: bytes, folders: Iterable[str]) -> tuple[str, ...]:
    """Return the build paths in ``data``, sorted: generic ones, and any below ``folders``.

    Only the generic patterns apply to a folder that every machine has, like ``/tmp``.
    """
    matches = {match.group() for match in _GENERIC.finditer(data)}
    for folder in folders:
        if _is_private(folder):
            matches |= {match.group() for match in _paths_below(folder.rstrip("/")).finditer(data)}
    return tuple(sorted(path.decode("utf-8", errors="replace") for path in matches))


def _is_private(folder: str) -> bool:
    path = PurePosixPath(folder)
    return (
        path.is_absolute()
        and str(path) not in _SHARED_FOLDERS
        and not any(path.is_relative_to(system) for system in _SYSTEM)
    )


def _paths_below(folder: str) -> re.Pattern[bytes]:
    name = re.escape(folder.encode())
    if folder.count("/") == 1:
        # A single word like /src is common, so only a separate path below it counts.
        return re.compile(rb"/" + _PATH_START + name[1:] + rb"/" + _PART + _PATH_TAIL)
    # Go stores strings without a separator, so any byte may precede the path.
    return re.compile(name + rb"(?![A-Za-z0-9_\-])" + _PATH_TAIL)
