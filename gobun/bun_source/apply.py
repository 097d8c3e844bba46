"""Applies a series to a checkout's base as commits, either all of its patches or none.

The commits are made with a scratch index. The work tree changes only after the last patch has
applied. Author and date are fixed, so equal patches make equal commits.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun.bun_source import hunk_matching
from gobun.bun_source.checkout_transaction import move_checkout
from gobun.bun_source.git import EMAIL, NAME, Git
from gobun.bun_source.hunks import parse_patch
from gobun.errors import PatchError
from gobun.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.bun_source.checkout import Checkout
    from gobun.bun_source.series import Patch, Series

TRAILER = "Gobun-Patch: "


class PatchedTree(msgspec.Struct, frozen=True):
    """A checkout with patches applied."""

    version: str
    folder: Path
    base: str
    """The upstream commit."""
    head: str
    """The commit with the patches."""
    identity: str
    """Hash of the upstream commit and the patches. A Bun is registered under it."""
    patches: tuple[str, ...]


def tree_identity(commit: str, patches: Sequence[tuple[str, bytes]]) -> str:
    """Return the identity of ``commit`` with patches, each given by its id and its bytes."""
    digest = hashlib.sha256(commit.encode())
    for name, content in patches:
        digest.update(f"\n{name} {hashlib.sha256(content).hexdigest()}".encode())
    return digest.hexdigest()[:16]


def identity_of(commit: str, series: Series, patches: Sequence[Patch]) -> str:
    """Return the identity that ``commit`` has with some patches of a series.

    Raises:
        UsageError: a patch file cannot be read.
    """
    return tree_identity(commit, [(patch.id, series.content(patch)) for patch in patches])


def apply_series(checkout: Checkout, series: Series, patches: Sequence[Patch]) -> PatchedTree:
    """Move a checkout from any state that the suite left it in to its base plus ``patches``.

    Raises:
        UsageError: the checkout has a person's work in it, another git process uses it, or a patch
            file cannot be read.
        PatchError: a patch does not apply. The checkout is unchanged.
    """
    checkout.check_untouched()
    commits = make_commits(checkout.git, checkout.base, series, patches, checkout.version)
    head = commits[-1] if commits else checkout.base
    move_checkout(checkout, head)
    return PatchedTree(
        checkout.version,
        checkout.folder,
        checkout.upstream,
        head,
        identity_of(checkout.upstream, series, patches),
        tuple(patch.id for patch in patches),
    )


def make_commits(
    git: Git, base: str, series: Series, patches: Sequence[Patch], version: str
) -> list[str]:
    """Make one commit for each patch on top of ``base`` without touching a work tree.

    Raises:
        UsageError: a patch file cannot be read.
        PatchError: a patch does not apply. The message names the hunk and its closest match.
    """
    commits: list[str] = []
    with scratch_folder("patch") as folder:
        scratch = git.with_index(Path(folder) / "index")
        scratch("read-tree", base)
        for patch in patches:
            label = f"patch {patch.id} of {series.line}"
            tree = patched_index(scratch, series.content(patch), label, f"Bun {version}")
            parent = commits[-1] if commits else base
            message = message_of(patch.title, patch.why, patch.id)
            commits.append(commit_tree(git, tree, parent, message))
    return commits


def patched_index(scratch: Git, content: bytes, label: str, target: str) -> str:
    """Apply one patch to a scratch index, and return the resulting tree.

    Raises:
        UsageError: the file is not a patch.
        PatchError: the patch does not apply.
    """
    diffs = parse_patch(content, label)
    names = functools.partial(_names, scratch)
    mismatches = [
        mismatch
        for diff in diffs
        for mismatch in hunk_matching.mismatches(
            diff, functools.partial(read_index, scratch), names
        )
    ]
    completed = scratch.attempt("apply", "--cached", "--whitespace=nowarn", "-", stdin=content)
    if mismatches or completed.code != 0:
        mismatches = mismatches or [completed.err.decode(errors="replace").strip()]
        raise PatchError(
            f"{label} does not apply to {target}:" + "".join(f"\n  {line}" for line in mismatches),
            hint="the checkout is unchanged; `invoke patch-rebase` carries a series to a release, "
            "`--except` leaves a patch out",
        )
    return scratch("write-tree", "--missing-ok")


def read_index(scratch: Git, path: str) -> bytes | None:
    """Return the content of a file in an index, or None if it is not there."""
    completed = scratch.attempt("cat-file", "blob", f":{path}")
    return completed.out if completed.code == 0 else None


def _names(scratch: Git) -> list[str]:
    return scratch("ls-files", "-z").split("\0")


def message_of(title: str, reason: str, name: str) -> str:
    """Return the commit message of a patch."""
    return f"{title}\n\n{reason}\n\n{TRAILER}{name}\n"


def commit_tree(git: Git, tree: str, parent: str, message: str) -> str:
    """Return a new commit of ``tree`` with the fixed author, dated one second after its parent."""
    date = f"{int(git('show', '--no-patch', '--format=%ct', parent)) + 1} +0000"
    identity = {"GIT_AUTHOR_NAME": NAME, "GIT_AUTHOR_EMAIL": EMAIL}
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    words = ("commit-tree", tree, "-p", parent)
    return git(*words, stdin=message.encode(), env=identity | dates)
