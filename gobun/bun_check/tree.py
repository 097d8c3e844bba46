"""A scratch copy of a patched tree: checks write into it, and never into the checkout."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gobun.bun_check import fork
from gobun.bun_source.layout import NOT_BUILT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gobun.bun_source.git import Git


def write_tree(git: Git, commit: str, missing: Iterable[str], folder: Path) -> None:
    """Write the files of ``commit`` that a build reads and that have content."""
    absent = set(missing)
    with tempfile.TemporaryDirectory(prefix="gobun-tree-") as temporary:
        scratch = git.with_index(Path(temporary) / "index")
        scratch("read-tree", commit)
        wanted = [
            path
            for path in scratch("ls-files", "-z").split("\0")
            if path and not path.startswith(NOT_BUILT) and path not in absent
        ]
        scratch(
            "checkout-index",
            "--quiet",
            "--ignore-skip-worktree-bits",
            "-z",
            "--stdin",
            f"--prefix={folder}/",
            given="\0".join(wanted).encode(),
        )


def stock_content(git: Git, commit: str, path: str) -> bytes | None:
    """Return a file as it is in ``commit``, its Zig as the stock Zig takes it, or None."""
    done = git.attempt("cat-file", "blob", f"{commit}:{path}")
    if done.code != 0:
        return None
    return fork.stock(done.out) if path.endswith(".zig") else done.out
