"""Runs git the same way everywhere: only our configuration, no hooks, and a fixed identity.

A person's own settings (signing, hooks, line endings, aliases, a name) would change the resulting
commits, or make git fail.
"""

from __future__ import annotations

import functools
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun.errors import FetchError, PrerequisiteError
from gobun.process import FinishedBytes, as_text, run_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "gobun patches"
EMAIL = "patches@gobun.invalid"
"""The author of every commit. No mail can reach the address."""

OLDEST_GIT = (2, 36)
"""The first git with ``core.fsync``, by its release notes. ``apply --3way --cached`` needs 2.32."""

_SETTINGS = {
    "advice.detachedHead": "false",
    "color.ui": "false",
    "commit.gpgSign": "false",
    "core.attributesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.excludesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.fsync": "none",  # a cache: files damaged by a power failure are made again
    "core.hooksPath": "/dev/null",
    "core.quotePath": "false",
    "diff.noprefix": "false",
    "diff.suppressBlankEmpty": "false",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "i18n.commitEncoding": "UTF-8",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "protocol.version": "2",
    "safe.directory": "*",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
}
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_EDITOR": ":",
    # Otherwise a lookup of a missing object asks every origin, and each of those fetches looks the
    # object up again: eleven origins start thousands of processes. Fetch objects by id instead.
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
    "GIT_AUTHOR_NAME": NAME,
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_COMMITTER_NAME": NAME,
    "GIT_COMMITTER_EMAIL": EMAIL,
}
_TO_REACH = ("GIT_SSL_CAINFO", "SSH_AUTH_SOCK")
"""Variables that configure network access and do not affect commits."""

DAMAGE_HINT = (
    "`invoke fetch-bun --discard` replaces a damaged checkout; where the store is damaged, "
    "`invoke cache --evict --kind bun-source` removes it with all checkouts"
)
_FULL_DISK = (
    "No space left on device",
    "File too large",
    "Disk quota exceeded",
    "Out of diskspace",
    f"died of signal {signal.SIGXFSZ:d}",
    "unable to write file",  # checkout-index does not print the reason
)


class GitError(FetchError):
    """A git command failed. If not caught, it means that git could not read its repository."""

    def __init__(self, folder: Path, arguments: Sequence[str], completed: FinishedBytes) -> None:
        reason = (
            as_text(completed.err).strip()
            or as_text(completed.out).strip()
            or f"exit code {completed.code}"
        )
        super().__init__(f"git {' '.join(arguments)}, in {folder}: {reason}", hint=DAMAGE_HINT)
        self.reason = reason


class Git(msgspec.Struct, frozen=True):
    """Git on one repository, with or without a work tree."""

    folder: Path
    """A bare repository, or a work tree."""
    kept_descriptors: tuple[int, ...] = ()
    """File descriptors of locks. The git process inherits them and keeps the locks held."""
    index: Path | None = None
    """A scratch index that replaces the repository's own."""

    def __call__(
        self,
        *words: str | Path,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run git and return its output without the last newline.

        Raises:
            GitError: it failed.
            PrerequisiteError: there is no git, or the disk is full.
        """
        return as_text(self.raw_output(*words, stdin=stdin, env=env)).removesuffix("\n")

    @property
    def private_folder(self) -> Path:
        """The folder where git keeps the state of this work tree alone."""
        return Path(self("rev-parse", "--absolute-git-dir"))

    def raw_output(
        self,
        *words: str | Path,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run git and return the bytes it printed.

        Raises:
            GitError: it failed.
            PrerequisiteError: there is no git, or the disk is full.
        """
        completed = self.attempt(*words, stdin=stdin, env=env)
        if completed.code != 0:
            raise GitError(self.folder, [str(word) for word in words], completed)
        return completed.out

    def attempt(
        self,
        *words: str | Path,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> FinishedBytes:
        """Run git and return its result, whatever its exit code is.

        Raises:
            PrerequisiteError: there is no git or no such folder, or the disk is full.
        """
        if not self.folder.is_dir():
            raise PrerequisiteError(
                f"there is no folder {self.folder}", hint="run `invoke fetch-bun` again"
            )
        reach = {name: os.environ[name] for name in _TO_REACH if name in os.environ}
        scratch = {"GIT_INDEX_FILE": str(self.index)} if self.index else {}
        completed = run_bytes(
            [*command(), "-C", self.folder, *words],
            env=_ENVIRONMENT | reach | scratch | dict(env or {}),
            stdin=stdin,
            keep=self.kept_descriptors,
        )
        if completed.code:
            check_disk(self.folder, completed)
        return completed

    def succeeds(self, *words: str | Path) -> bool:
        """Return whether git exited with success.

        Raises:
            PrerequisiteError: there is no git, or the disk is full.
        """
        return self.attempt(*words).code == 0

    def commit_of(self, name: str) -> str | None:
        """Return the full id of the commit that ``name`` refers to, or None."""
        completed = self.attempt("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return as_text(completed.out).strip() if completed.code == 0 else None

    def missing_objects(self, commit: str) -> set[str]:
        """Return the ids of the objects of ``commit`` that the repository lacks.

        Raises:
            GitError: the commit itself is missing.
        """
        words = ("rev-list", "--objects", "--no-walk", "--missing=print", commit)
        lines = self(*words).splitlines()
        return {line[1:] for line in lines if line.startswith("?")}

    def with_index(self, index: Path) -> Git:
        """Return the same repository with a scratch index."""
        return msgspec.structs.replace(self, index=index)


def command() -> list[str]:
    """Return the command that starts git with our settings.

    Raises:
        PrerequisiteError: git is missing or too old.
    """
    check_version()
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    return ["git", *settings]


@functools.cache
def check_version() -> str:
    """Return the version of git, and reject one that is too old.

    Raises:
        PrerequisiteError: git is missing or too old.
    """
    install = "apt-get install git, or `xcode-select --install` on macOS"
    try:
        version_line = as_text(run_bytes(["git", "--version"]).out).strip()
    except PrerequisiteError as error:
        raise PrerequisiteError("git is missing", hint=install) from error
    match = re.search(r"(\d+)\.(\d+)", version_line)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        raise PrerequisiteError(f"{version_line or 'git'} is older than {oldest}", hint=install)
    return version_line.removeprefix("git version ")


def check_disk(folder: Path, completed: FinishedBytes) -> None:
    """Check whether git failed because it could not write to the disk.

    Raises:
        PrerequisiteError: the disk is full, or a file reached a size limit.
    """
    lines = as_text(completed.err).splitlines()
    full = next((line for line in lines for sign in _FULL_DISK if sign in line), None)
    if full is None and completed.code == -signal.SIGXFSZ:
        full = "files may not grow that large here"
    if full is not None:
        raise PrerequisiteError(
            f"git cannot write to {folder}: {full}",
            hint="free space, or choose another folder with GOBUN_CACHE; "
            "existing files stay usable",
        )
