"""Sees from outside whether a module was in a cell's process, and a Go runtime with it.

A cell that says "loaded" has run a script, which may have loaded something else, or nothing. What
the kernel has mapped for the process is no such word. The cell waits at its end for a file that is
made once the process was looked at, so that one that ends quickly is not missed.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING

from gobun import observe
from gobun.audit import buildinfo
from gobun.matrix.classify import steps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.matrix.classify import Event
    from gobun.observe import Mapping

_EVERY_S = 0.1
_LAST_STEPS = {"stressed", "done"}


class Witness:
    """Looks for one file among what a process has mapped."""

    def __init__(self, module: Path, note: Path | None = None) -> None:
        """Look for ``module``; make ``note``, if it is given, once the process was looked at."""
        self._module = module
        self._note = note
        self._looked_at = float("-inf")
        self.mapped = False
        """Whether the module was mapped at any time."""
        self.go = False
        """Whether it was, and has a Go runtime in it."""

    def look(self, pid: int | None, events: Sequence[Event], now: float) -> None:
        """Look at a process, unless that was done a moment ago or all was seen already."""
        last = any(event.at in _LAST_STEPS for event in steps(events))
        if pid is None or (not last and now - self._looked_at < _EVERY_S):
            return
        if not self.mapped:
            self._looked_at = now
            self.mapped = _is_mapped(self._module, observe.mappings(pid))
            self.go = self.mapped and _has_go(self._module)
        if self._note is not None and (last or self.mapped):
            with contextlib.suppress(OSError):
                self._note.touch()
            self._note = None


@functools.cache
def _has_go(module: Path) -> bool:
    # Without the section table, which takes long to read in a large library.
    try:
        return buildinfo.find(module.read_bytes(), ()) is not None
    except OSError:
        return False


def _is_mapped(module: Path, maps: Sequence[Mapping]) -> bool:
    """Return whether a file is mapped: the same one, whatever it is called in the process."""
    try:
        found = module.stat()
    except OSError:
        return False
    for mapping in maps:
        if mapping.inode == found.st_ino and mapping.device == found.st_dev:
            return True
        # A file system of layers (overlayfs) shows the device of another layer.
        same_path = mapping.path == os.path.realpath(module) and not mapping.deleted
        if same_path and mapping.device != found.st_dev:
            return True
    return False
