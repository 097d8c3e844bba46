"""Records which stages of a build are finished. A checkout may be moved or copied between builds.

A record names the checkout and the cache by placeholders, so a finished stage stays finished. The
libraries that it built work in any place. Two other kinds of files hold paths, and the first build
in a new place mends them:

- Folders that CMake configured. CMake refuses to configure them in another place, and in a copy
  ninja would work on the original. So the build removes CMake's own files from them.
- The ``.d`` files that list the headers of an object for make. The build rewrites their paths.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from gobun import console, paths
from gobun.bun_source.git import Git
from gobun.files import disk_errors, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gobun.bun_source.apply import PatchedTree
    from gobun.bun_source.build_stages import Stage

_CONFIGURED_FOR = re.compile(r"^CMAKE_CACHEFILE_DIR:INTERNAL=(.*)$", re.MULTILINE)
_PLACE_DATE_S = 1_000_000_000
"""The fixed Unix time of the file that records the place. A copy of it with another date shows that
copying lost the dates of all files."""


class StageRecords:
    """The finished stages of one checkout, recorded in files beside git's own."""

    def __init__(self, patched_tree: PatchedTree) -> None:
        self._patched_tree = patched_tree
        self._git = Git(patched_tree.folder)

    def is_finished(self, stage: Stage) -> bool:
        """Return whether an earlier build finished ``stage`` and all its outputs exist."""
        outputs_exist = stage.outputs and all(
            (self._patched_tree.folder / output).exists() for output in stage.outputs
        )
        record = self._file(stage)
        return bool(outputs_exist) and record.is_file() and record.read_text() == self._key(stage)

    def finish(self, stage: Stage) -> None:
        """Record that ``stage`` is finished.

        Raises:
            PrerequisiteError: the disk is full.
        """
        write_whole(self._file(stage), self._key(stage))

    def settle(self) -> None:
        """Prepare a checkout that was moved or copied since its last build.

        Raises:
            PrerequisiteError: the disk is full, or a file cannot be removed.
        """
        record = self._git.private_folder / "gobun-place"
        before = record.read_text().splitlines() if record.is_file() else []
        roots = [str(paths.cache_root()), str(paths.cache_root().resolve())]
        if before == roots:
            return
        folder = self._patched_tree.folder.resolve()
        with disk_errors(folder):
            foreign = list(_configured_elsewhere(folder))
            for each in foreign:
                # Remove the cache file last: by it, the next run finds an unfinished folder.
                shutil.rmtree(each / "CMakeFiles", ignore_errors=True)
                (each / "CMakeCache.txt").unlink()
            _rewrite_dependencies(folder, dict(zip(before, roots, strict=False)))
            undated = bool(before) and int(record.stat().st_mtime) != _PLACE_DATE_S
            if undated:
                self._touch_sources()
            if before:
                console.log(_moved_cache_text(before[0], folder, foreign, lost_dates=undated))
            write_whole(record, "\n".join(roots))
            os.utime(record, (_PLACE_DATE_S, _PLACE_DATE_S))

    def _file(self, stage: Stage) -> Path:
        return self._git.private_folder / "gobun-stages" / stage.name

    def _key(self, stage: Stage) -> str:
        """Return a digest of the upstream commit and the command, with placeholders for paths."""
        text = "\0".join((self._patched_tree.base, *stage.arguments))
        for name, root in (("tree", self._patched_tree.folder), ("cache", paths.cache_root())):
            text = re.sub(rf"(?<![^\0=]){re.escape(str(root))}(?![^\0/])", f"{{{name}}}", text)
        return hashlib.sha256(text.encode()).hexdigest()

    def _touch_sources(self) -> None:
        """Make the sources newer than every object, because some may come from older sources."""
        for name in self._git("ls-files", "-z").split("\0"):
            path = self._patched_tree.folder / name
            if path.is_file() and not path.is_symlink():
                os.utime(path)


def _configured_elsewhere(folder: Path) -> Iterator[Path]:
    """Yield the folders that CMake configured in another place."""
    for path in folder.rglob("CMakeCache.txt"):
        match = _CONFIGURED_FOR.search(path.read_text(errors="replace"))
        if match and Path(match[1]).resolve() != path.parent:
            yield path.parent


def _rewrite_dependencies(folder: Path, new_roots: dict[str, str]) -> None:
    """Replace the old roots of the cache with the new ones in make's dependency files."""
    pairs = [(_in_make(old), _in_make(new)) for old, new in new_roots.items() if old != new]
    for path in folder.rglob("*.d") if pairs else ():
        text = path.read_text(errors="surrogateescape") if path.is_file() else ""
        mended = text
        for old, new in pairs:
            replacement = new.replace("\\", r"\\") + "/"
            mended = re.sub(rf"(?<!\S){re.escape(old)}/", replacement, mended)
        if mended != text:
            write_whole(path, mended.encode(errors="surrogateescape"))


def _in_make(path: str) -> str:
    """Return a path with the escapes that compilers write for make."""
    return re.sub(r"([ #])", r"\\\1", path).replace("$", "$$")


def _moved_cache_text(
    old_root: str, folder: Path, foreign_folders: list[Path], *, lost_dates: bool
) -> str:
    """Return the log line about the work that a build repeats in a new place."""
    names = ", ".join(sorted(str(each.relative_to(folder)) for each in foreign_folders))
    repeated_work = (
        [f"unfinished stages configure CMake anew in {names}"] if foreign_folders else []
    )
    if lost_dates:
        repeated_work.append(
            "all of Bun's own code is compiled anew, as the copy lost the files' dates"
        )
    return f"the cache was at {old_root}: {'; '.join(repeated_work) or 'the build continues'}"
