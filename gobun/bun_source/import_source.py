"""Imports a commit and its files into the store, from any kind of origin."""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gobun import console
from gobun.bun_source import git as gits
from gobun.bun_source.git import Git, GitError
from gobun.bun_source.origin import UNREADABLE_ERRORS
from gobun.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gobun.bun_source.git_store import Store
    from gobun.bun_source.origin import Origin

_ABSENT = re.compile(r"not our ref ([0-9a-f]{40})")
_ROUND = 2000
"""Number of files in one request. An interrupted fetch loses at most one request."""
_EPOCH = "1 +0000"
_LARGEST_ARCHIVE = 4 << 30
"""Largest unpacked size of an archive, in bytes: many times Bun's, but no threat to a disk."""
_CHUNK = 1 << 20
# A repository on this machine must serve every object, whatever its own settings are.
_SERVE = (
    "git -c safe.directory=* -c uploadpack.allowFilter=true -c uploadpack.allowAnySHA1InWant=true"
    " -c gc.auto=0 upload-pack"
)


def import_commit(store: Store, origin: Origin, revision: str, tag: str) -> str:
    """Import a commit and its files into the store, and return its id.

    ``revision`` is a commit id, or a branch or tag of the origin. If the origin does not serve
    commits by id, ``tag`` is tried. An archive has no commits, so its files become one.

    Raises:
        FetchError: the origin cannot be read, or lacks the commit.
        PrerequisiteError: the disk is full.
    """
    local_commit = (
        store.git.commit_of(revision) if re.fullmatch(r"[0-9a-f]{40}", revision) else None
    )
    if origin.kind == "archive":
        return _import_archive(store, Path(origin.location))
    if origin.kind == "bundle":
        try:
            store.git("bundle", "unbundle", origin.location)
        except GitError as error:
            raise FetchError(
                f"the bundle {origin.location}: {error.reason}",
                hint="create it again with `git bundle create`",
            ) from error
        listed_heads = store.git("bundle", "list-heads", origin.location).splitlines()
        heads = {line.split(" ")[1]: line.split(" ")[0] for line in listed_heads}
        named = (
            heads.get(name)
            for name in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")
        )
        commit = store.git.commit_of(next(filter(None, named), revision))
    else:
        commit = local_commit or _fetch(store, origin, revision, tag)
    if commit is None:
        short = origin.kind == "url" and re.fullmatch(r"[0-9a-f]{4,39}", revision)
        raise FetchError(
            f"{origin.location} has no commit {revision}",
            hint="give all 40 digits: a server does not find a shorter id"
            if short
            else "give a --source that has it; `--ref` names another commit",
        )
    if origin.kind != "bundle":
        fetch_missing_files(store, origin, commit)
    return commit


def _fetch(store: Store, origin: Origin, revision: str, tag: str) -> str | None:
    _remote(store, origin)
    if origin.kind == "repository":
        revision = Git(Path(origin.location)).commit_of(revision) or revision
    console.log(f"fetching {revision[:12]} from {origin.location}")
    base = ("fetch", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--depth=1")
    message = ""
    for name in (revision, f"refs/tags/{tag}"):
        mark = f"refs/gobun/fetched/{origin.remote}"
        words = (*base, "--filter=blob:none", origin.remote, f"+{name}:{mark}")
        completed = store.git.attempt(*words)
        if completed.code == 0:
            commit = store.git.commit_of(mark)
            if commit and (name == revision or commit.startswith(revision)):
                return commit
        else:
            message = message or GitError(store.folder, words, completed).reason
            if not _refuses_the_commit(message):
                break  # the host does not answer, and would not answer for the other name
    if _refuses_the_commit(message) or not message:
        return None
    hint = "check the network and the address; a --source on this machine needs no network"
    if "does not match index" in message or "is corrupt" in message:
        hint = gits.DAMAGE_HINT
    raise FetchError(f"cannot fetch from {origin.location}: {message}", hint=hint)


def _refuses_the_commit(message: str) -> bool:
    signs = ("not our ref", "couldn't find remote ref", "unadvertised object", "not a valid object")
    return any(sign in message for sign in signs)


def _remote(store: Store, origin: Origin) -> None:
    settings = {"url": origin.location, "promisor": "true", "partialclonefilter": "blob:none"}
    if origin.kind == "repository":
        settings["uploadpack"] = _SERVE
    for name, value in settings.items():
        store.git("config", f"remote.{origin.remote}.{name}", value)


def fetch_missing_files(store: Store, origin: Origin, commit: str) -> None:
    """Fetch every missing file of ``commit``, and skip files that the origin lacks.

    Raises:
        FetchError: the origin cannot be read.
        PrerequisiteError: the disk is full.
    """
    _remote(store, origin)
    names = sorted(store.missing_files(commit))
    near = Git(Path(origin.location)) if origin.kind == "repository" else None
    # A partial clone refuses a whole request for one file that it lacks, so leave such files out.
    if near and near.commit_of(commit):
        names = sorted(set(names) - near.missing_objects(commit))
    quiet = ("--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
    at_once = ("-c", "fetch.negotiationAlgorithm=noop")
    words = (*at_once, "fetch", *quiet, "--filter=blob:none", "--stdin", origin.remote)
    with console.progress("files", len(names)) as progress:
        for at in range(0, len(names), _ROUND):
            chunk = names[at : at + _ROUND]
            remaining = set(chunk)
            while remaining:
                stdin = "".join(f"{name}\n" for name in sorted(remaining)).encode()
                completed = store.git.attempt(*words, stdin=stdin)
                if completed.code == 0:
                    break
                error = GitError(store.folder, words, completed)
                absent = set(_ABSENT.findall(error.reason)) & remaining
                if not absent:
                    raise FetchError(
                        f"cannot fetch files from {origin.location}: {error.reason}",
                        hint="run the same command again; it keeps the finished downloads",
                    )
                remaining -= absent
            progress.advance(len(chunk))


def check_archived(origin: Origin, commit: str, *, must_match: bool = False) -> None:
    """Reject an archive of a commit other than ``commit``.

    ``git archive`` records the commit in the archives that it makes.

    Raises:
        FetchError: the commit differs, or it is missing and ``must_match`` is set.
    """
    with tarfile.open(origin.location) as opened:
        comment = opened.pax_headers.get("comment", "")
    if must_match and not comment:
        raise FetchError(
            f"the archive {origin.location} does not name its commit",
            hint="make it with `git archive`, which records the commit",
        )
    both_told = re.fullmatch(r"[0-9a-f]{40}", comment) and re.fullmatch(r"[0-9a-f]{7,40}", commit)
    if both_told and not comment.startswith(commit):
        raise FetchError(
            f"the archive {origin.location} has commit {comment}, not {commit}",
            hint="give the archive of that commit, or the archive's commit with --ref",
        )


def _import_archive(store: Store, path: Path) -> str:
    """Make one commit from an archive's files. Equal files make an equal commit."""
    console.log(f"reading {path}")
    ref = "refs/gobun/archive"
    try:
        stream = b"".join(_as_import(path, ref))
    except UNREADABLE_ERRORS as error:
        raise FetchError(
            f"the archive {path} cannot be read: {error}", hint="fetch or make the archive again"
        ) from error
    try:
        store.git("fast-import", "--quiet", "--force", stdin=stream)
    except GitError as error:
        raise FetchError(
            f"the archive {path} is refused: {error.reason}",
            hint="give an archive made by `git archive`, or a bundle",
        ) from error
    commit = store.git(*("rev-parse", "--verify"), ref)
    store.git("update-ref", "-d", ref)
    return commit


def _as_import(path: Path, ref: str) -> Iterator[bytes]:
    committer = f"{gits.NAME} <{gits.EMAIL}> {_EPOCH}"
    yield f"commit {ref}\ncommitter {committer}\ndata 8\nArchive\n\n".encode()
    with tarfile.open(path) as opened:
        root: str | None = None
        size = 0
        for member in opened:
            where = PurePosixPath(member.name)
            if where.is_absolute() or ".." in where.parts or ".git" in where.parts:
                raise tarfile.ReadError(f"{member.name!r} points outside of the sources")
            if member.isdir() or not where.parts:
                continue
            root = where.parts[0] if root is None else root
            if where.parts[0] != root or len(where.parts) < 2:
                raise tarfile.ReadError(f"{member.name!r} is not below the one folder {root}/")
            size += member.size
            if size > _LARGEST_ARCHIVE:
                raise tarfile.ReadError(
                    f"with {member.name!r} it has more than {_LARGEST_ARCHIVE:,} bytes"
                )
            content = opened.extractfile(member) if member.isreg() else None
            if member.issym():
                mode, data = "120000", os.fsencode(member.linkname)
            elif content is not None:
                mode, data = "100755" if member.mode & 0o100 else "100644", content.read()
            else:
                raise tarfile.ReadError(f"{member.name!r} is neither a file nor a link")
            path_inside = str(PurePosixPath(*where.parts[1:]))
            quoted = path_inside.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            yield os.fsencode(f'M {mode} inline "{quoted}"\ndata {len(data)}\n')
            yield data + b"\n"
        if root is None:
            raise tarfile.ReadError("it has no files")
        while opened.fileobj and opened.fileobj.read(_CHUNK):
            pass  # the checksum of a compressed archive follows its last file
