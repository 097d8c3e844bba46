"""Checks from outside whether a cell's process mapped its module, and a Go runtime with it.

A cell that reports "loaded" may have loaded another file, or nothing. The kernel's list of mapped
files cannot be forged that way. A cell of a custom addon waits at its end for a file that the
harness creates after it has looked. So the harness never misses such a cell that ends quickly.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING

from gobun import buildinfo, observe
from gobun.matrix.classify import steps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.matrix.classify import Event
    from gobun.observe import Mapping

_EVERY_S = 0.1
_LAST_STEPS = {"stressed", "done"}


class Witness:
    """Looks for one file among the mapped files of a process."""

    def __init__(self, module: Path, note: Path | None = None) -> None:
        """Look for ``module``. After a look at the process, create the file ``note``, if given."""
        self._module = module
        self._real_path = os.path.realpath(module)
        self._note = note
        self._looked_at = float("-inf")
        self.mapped = False
        """Whether the module was mapped at any time."""
        self.go = False
        """Whether the mapped module has a Go runtime in it."""

    def look(self, pid: int | None, events: Sequence[Event], now: float) -> None:
        """Look at a process, unless the last look is recent or everything was seen already."""
        last = any(event.at in _LAST_STEPS for event in steps(events))
        if pid is None or (not last and now - self._looked_at < _EVERY_S):
            return
        if not self.mapped:
            self._looked_at = now
            self.mapped = _is_mapped(self._module, self._real_path, observe.mappings(pid))
            self.go = self.mapped and _has_go(self._module)
        if self._note is not None and (last or self.mapped):
            with contextlib.suppress(OSError):
                self._note.touch()
            self._note = None


@functools.cache
def _has_go(module: Path) -> bool:
    # Skip the section table: reading it takes long in a large library.
    try:
        return buildinfo.find(module.read_bytes(), ()) is not None
    except OSError:
        return False


def _is_mapped(module: Path, real_path: str, maps: Sequence[Mapping]) -> bool:
    """Return whether a file is mapped, even under another path in the process."""
    try:
        status = module.stat()
    except OSError:
        return False
    for mapping in maps:
        if mapping.inode == status.st_ino and mapping.device == status.st_dev:
            return True
        # overlayfs shows the device of another layer.
        same_path = mapping.path == real_path and not mapping.is_deleted
        if same_path and mapping.device != status.st_dev:
            return True
    return False
