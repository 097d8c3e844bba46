"""Exports a checkout's commits to the series. Unchanged patches stay equal byte for byte."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import files
from gobun.bun_source.apply import TRAILER, commit_tree, message_of
from gobun.bun_source.hunk_matching import is_unambiguous
from gobun.bun_source.hunks import FileDiff, parse_patch
from gobun.bun_source.series import FILE_NAME, TODO_REASON, Series, check_id, read_series
from gobun.bun_source.series_toml import rewritten
from gobun.errors import UsageError
from gobun.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.bun_source.checkout import Checkout
    from gobun.bun_source.git import Git

_MOST_CONTEXT = 25
_HEADING = re.compile(rb"^(@@ -\S+ \+\S+ @@) .*$", re.MULTILINE)
"""Git's guess at the function around a hunk. Exports drop this text: it is upstream's, and git
ignores it when it applies a patch."""
_DIFF = (
    "diff-tree",
    "-p",
    "--full-index",
    "--binary",
    "--no-renames",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--diff-algorithm=myers",
    "--indent-heuristic",
    "--inter-hunk-context=0",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)


class SeriesCommit(msgspec.Struct, frozen=True):
    """A commit in the form that a series stores."""

    id: str
    title: str
    why: str
    content: bytes
    files: tuple[str, ...]


class Export(msgspec.Struct, frozen=True):
    """The result of an export."""

    patches: tuple[str, ...]
    changed_files: tuple[str, ...]
    """Files that were written or removed. Empty if nothing changed."""


def diff_text(git: Git, old_commit: str, new_commit: str) -> bytes:
    """Return the patch between two commits, with the least context that makes it unambiguous.

    The context is at most 25 lines, so the patch of a repetitive file may stay ambiguous.
    """
    content = b""
    for context in range(1, _MOST_CONTEXT + 1):
        content = _HEADING.sub(
            rb"\1", git.raw_output(*_DIFF, f"--unified={context}", old_commit, new_commit)
        )
        if not content or all(
            _is_unambiguous(git, old_commit, new_commit, diff)
            for diff in parse_patch(content, f"the commit {new_commit[:12]}")
        ):
            break
    return content


def _is_unambiguous(git: Git, old_commit: str, new_commit: str, diff: FileDiff) -> bool:
    if diff.binary or diff.created or diff.deleted:
        return True
    before, after = (
        git.raw_output("cat-file", "blob", f"{commit}:{diff.path}")
        for commit in (old_commit, new_commit)
    )
    return is_unambiguous(diff, before, after)


def commits_of(checkout: Checkout) -> list[SeriesCommit]:
    """Return the commits on top of the base as patches, oldest first.

    Raises:
        UsageError: HEAD does not descend from the base, a commit cannot become a patch (a merge, an
            empty commit), or two commits have the same id.
    """
    git, base = checkout.git, checkout.base
    if not git.succeeds("merge-base", "--is-ancestor", base, "HEAD"):
        raise UsageError(
            f"{checkout.folder} is not at a commit on top of {base[:12]}",
            hint=f"`invoke fetch-bun --version {checkout.version} --discard` starts again",
        )
    commits: list[SeriesCommit] = []
    for line in git("rev-list", "--reverse", "--parents", f"{base}..HEAD").splitlines():
        commit, *parents = line.split()
        if len(parents) != 1:
            raise UsageError(
                f"commit {commit[:12]} of {checkout.folder} is a merge",
                hint="rebase it, because a series is a list of commits",
            )
        commits.append(_read_commit(git, parents[0], commit))
    names = [patch.id for patch in commits]
    for name in {name for name in names if names.count(name) > 1}:
        raise UsageError(
            f"two commits of {checkout.folder} belong to the patch {name}",
            hint="squash them, or give one another title and remove its 'Gobun-Patch:' line",
        )
    return commits


def _read_commit(git: Git, parent: str, commit: str) -> SeriesCommit:
    title, _, rest = git("show", "--no-patch", "--format=%B", commit).strip().partition("\n")
    body = [line for line in rest.splitlines() if not line.startswith(TRAILER)]
    named = [line.removeprefix(TRAILER) for line in rest.splitlines() if line.startswith(TRAILER)]
    name = named[-1].strip() if named else re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    content = diff_text(git, parent, commit)
    check_id(name, f"commit {commit[:12]}")
    if not content:
        raise UsageError(
            f"commit {commit[:12]}, the patch {name}, changes nothing",
            hint="drop it: `git rebase --interactive` there",
        )
    touched = tuple(diff.path for diff in parse_patch(content, name))
    if len(set(touched)) < len(touched):
        raise UsageError(
            f"commit {commit[:12]}, the patch {name}, turns a file into a link, "
            "or a link into a file",
            hint="remove it in one commit, and add the other in the next",
        )
    return SeriesCommit(name, title, "\n".join(body).strip() or TODO_REASON, content, touched)


def export_series(checkout: Checkout, folder: Path, *, drop: bool = False) -> Export:
    """Write the commits of a checkout to a series.

    ``drop`` removes patches of the series that the checkout lacks.

    Raises:
        UsageError: there are uncommitted changes or an unfinished rebase, a commit cannot become a
            patch, or the checkout lacks patches of the series and ``drop`` is false.
    """
    checkout.check_settled()
    changed_files = checkout.changes()
    if changed_files:
        raise UsageError(
            f"{checkout.folder} has changes that are not committed: {', '.join(changed_files[:8])}",
            hint="commit them there, or make a patch of them with `invoke patch-new`",
        )
    commits = commits_of(checkout)
    old = _series_before(folder)
    if not drop:
        _check_none_lacks(checkout, commits, old)
    exported = write_series(folder, checkout.version, commits, old)
    checkout.mark_made(checkout.head)
    return exported


def _series_before(folder: Path) -> Series | None:
    return read_series(folder) if (folder / FILE_NAME).is_file() else None


def _check_none_lacks(
    checkout: Checkout, commits: Sequence[SeriesCommit], series: Series | None
) -> None:
    ids = {patch.id for patch in commits}
    missing_ids = (
        [patch.id for patch in series.bun_patches if patch.id not in ids] if series else []
    )
    if series and missing_ids:
        raise UsageError(
            f"{checkout.folder} lacks patches of {series.line}: {', '.join(missing_ids)}",
            hint="`invoke patch-bun` applies the whole series; `invoke patch-export --drop` "
            "removes them from it",
        )


def write_series(
    folder: Path, version: str, commits: Sequence[SeriesCommit], old_series: Series | None
) -> Export:
    """Write patches and their entries, and remove the patches of Bun that have no commit.

    A file with the same content is not touched.
    """
    contents = {f"{patch.id}.patch": patch.content for patch in commits}
    path = folder / FILE_NAME
    text = path.read_text() if old_series is not None else ""
    contents[FILE_NAME] = rewritten(text, version, commits).encode()
    changed_files = []
    for name, content in contents.items():
        file = folder / name
        if not file.is_file() or file.read_bytes() != content:
            files.write_whole(file, content)
            changed_files.append(name)
    for patch in old_series.bun_patches if old_series is not None else ():
        if f"{patch.id}.patch" not in contents:
            (folder / f"{patch.id}.patch").unlink(missing_ok=True)
            changed_files.append(f"{patch.id}.patch")
    return Export(tuple(patch.id for patch in commits), tuple(changed_files))


def new_patch(
    checkout: Checkout, folder: Path, *, name: str, title: str, reason: str, add: Sequence[str]
) -> Export:
    """Append the uncommitted changes of a checkout to the series as a new patch.

    ``add`` lists untracked files that belong to the patch.

    Raises:
        UsageError: nothing is changed, the id or the title is not valid, the id is taken, or the
            checkout lacks patches. The changes stay as they were.
    """
    check_id(name, "--id")
    if not title.strip() or len(title.splitlines()) != 1:
        raise UsageError(
            f"--title {title!r} is not one line of text", hint="give a title without a line break"
        )
    checkout.check_settled()
    series, commits = _series_before(folder), commits_of(checkout)
    _check_none_lacks(checkout, commits, series)
    taken_ids = [patch.id for patch in commits]
    taken_ids += [entry.id for entry in series.patches] if series else []
    if name in taken_ids:
        raise UsageError(
            f"the series {folder.name} has a patch {name} already",
            hint="give another --id, or rename the old patch",
        )
    git, head = checkout.git, checkout.head
    with scratch_folder("new") as temporary:
        # Copy the checkout's own index, because it records which files were left out. Keep its
        # date, because git compares it with the dates of files to find the changed ones.
        index = Path(git("rev-parse", "--path-format=absolute", "--git-path", "index"))
        with files.disk_errors(Path(temporary)):
            scratch = git.with_index(Path(shutil.copy2(index, temporary)))
        scratch("add", "--update", ".")
        root = checkout.folder.resolve()
        for path in add:
            file = root / path
            if not file.is_file() or not file.parent.resolve().is_relative_to(root):
                raise UsageError(
                    f"--add {path}: there is no such file in {checkout.folder}",
                    hint="give a path relative to the checkout",
                )
            scratch("add", "--force", "--sparse", "--", path)
        tree = scratch("write-tree", "--missing-ok")
    if tree == git("rev-parse", f"{head}^{{tree}}"):
        raise UsageError(
            f"there are no changes in {checkout.folder}",
            hint="edit files there first; name new files with --add",
        )
    commit = commit_tree(git, tree, head, message_of(title, reason or TODO_REASON, name))
    git("reset", "--quiet", commit)
    return export_series(checkout, folder)
