"""Makes a scratch copy of a patched tree, so that checks never write into the checkout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gobun.bun_check import zig_compat
from gobun.bun_source.checkout import write_files
from gobun.bun_source.layout import is_built

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gobun.bun_source.git import Git


def write_tree(git: Git, commit: str, missing_paths: Iterable[str], folder: Path) -> None:
    """Write the files of ``commit`` that a build reads to ``folder``, except ``missing_paths``."""
    absent = set(missing_paths)
    write_files(git, commit, folder, lambda path: is_built(path) and path not in absent)


def cut_links(folder: Path) -> list[str]:
    """Remove the links of a copy that lead out of it, and return their paths.

    Checks write into the copy. Through a link in the sources they could overwrite any file of the
    person who runs them.
    """
    root = folder.resolve()
    removed: list[str] = []
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place) / name
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                path.unlink()
                removed.append(str(path.relative_to(folder)))
    return sorted(removed)


def stock_content(git: Git, commit: str, path: str) -> bytes | None:
    """Return a file of ``commit``, with Zig rewritten for the stock Zig, or None if missing."""
    completed = git.attempt("cat-file", "blob", f"{commit}:{path}")
    if completed.code != 0:
        return None
    return zig_compat.stock(completed.out) if path.endswith(".zig") else completed.out
