"""Git, the same wherever it runs: no configuration but ours, no hooks, a fixed identity.

What a person has set up for their own work (signing, hooks, line ends, aliases, a name) would
change which commits come out, or stop them from coming out at all.
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
"""Who every commit is by; nobody can have mail there."""

OLDEST = (2, 36)
"""The oldest git that can apply a patch three ways without a work tree."""

_SETTINGS = {
    "advice.detachedHead": "false",
    "color.ui": "false",
    "commit.gpgSign": "false",
    "core.attributesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.excludesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.fsync": "none",  # a cache: what a power failure spoils is made anew
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
    # A lookup of an object that is not there asks every origin, and each of those fetches looks
    # the object up again: eleven origins start thousands of processes. Fetch by name instead.
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
    "GIT_AUTHOR_NAME": NAME,
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_COMMITTER_NAME": NAME,
    "GIT_COMMITTER_EMAIL": EMAIL,
}
_TO_REACH = ("GIT_SSL_CAINFO", "SSH_AUTH_SOCK")
"""What of a person's environment says how to reach a server, and changes no commit."""

DAMAGED = (
    "`invoke fetch-bun --discard` makes a damaged checkout anew; where the store is damaged, "
    "`invoke cache --evict --kind bun-source` removes it with all checkouts"
)
_FULL_DISK = (
    "No space left on device",
    "File too large",
    "Disk quota exceeded",
    "Out of diskspace",
    f"died of signal {signal.SIGXFSZ:d}",
    "unable to write file",  # checkout-index does not say why
)


class GitError(FetchError):
    """Git said no: where nothing else is made of it, it could not read what it works on."""

    def __init__(self, folder: Path, words: Sequence[str], done: FinishedBytes) -> None:
        reason = as_text(done.err).strip() or as_text(done.out).strip() or f"exit code {done.code}"
        super().__init__(f"git {' '.join(words)}, in {folder}: {reason}", hint=DAMAGED)
        self.reason = reason


class Git(msgspec.Struct, frozen=True):
    """Git on one repository, with or without a work tree."""

    folder: Path
    """A bare repository, or a work tree."""
    keep: tuple[int, ...] = ()
    """File descriptors of locks that last as long as what is run."""
    index: Path | None = None
    """A scratch index in the place of the repository's own."""

    def __call__(
        self,
        *words: str | Path,
        given: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run git and return what it printed, without the last line end.

        Raises:
            GitError: it failed.
            PrerequisiteError: there is no git, or the disk is full.
        """
        return as_text(self.raw(*words, given=given, env=env)).removesuffix("\n")

    @property
    def private(self) -> Path:
        """Where git keeps what is of this work tree alone."""
        return Path(self("rev-parse", "--absolute-git-dir"))

    def raw(
        self,
        *words: str | Path,
        given: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run git and return the bytes it printed.

        Raises:
            GitError: it failed.
            PrerequisiteError: there is no git, or the disk is full.
        """
        done = self.attempt(*words, given=given, env=env)
        if done.code != 0:
            raise GitError(self.folder, [str(word) for word in words], done)
        return done.out

    def attempt(
        self,
        *words: str | Path,
        given: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> FinishedBytes:
        """Run git and return how it ended.

        Raises:
            PrerequisiteError: there is no git, or the disk is full.
        """
        if not self.folder.is_dir():
            raise PrerequisiteError(f"there is no folder {self.folder}")
        reach = {name: os.environ[name] for name in _TO_REACH if name in os.environ}
        scratch = {"GIT_INDEX_FILE": str(self.index)} if self.index else {}
        done = run_bytes(
            [*command(), "-C", self.folder, *words],
            env=_ENVIRONMENT | reach | scratch | dict(env or {}),
            given=given,
            keep=self.keep,
        )
        if done.code:
            _check_disk(self.folder, done)
        return done

    def succeeds(self, *words: str | Path) -> bool:
        """Return whether git said yes.

        Raises:
            PrerequisiteError: there is no git, or the disk is full.
        """
        return self.attempt(*words).code == 0

    def commit_of(self, name: str) -> str | None:
        """Return the full id of the commit that ``name`` means here, if it means one."""
        done = self.attempt("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return as_text(done.out).strip() if done.code == 0 else None

    def without(self, commit: str) -> set[str]:
        """Return the ids of what belongs to ``commit`` and is not here.

        Raises:
            GitError: the commit itself is not.
        """
        words = ("rev-list", "--objects", "--no-walk", "--missing=print", commit)
        lines = self(*words).splitlines()
        return {line[1:] for line in lines if line.startswith("?")}

    def with_index(self, index: Path) -> Git:
        """Return the same on a scratch index."""
        return msgspec.structs.replace(self, index=index)


def command() -> list[str]:
    """Return the words that start git with our settings and no others."""
    check_version()
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    return ["git", *settings]


@functools.cache
def check_version() -> str:
    """Return which git there is; refuse one that lacks what is needed here.

    Raises:
        PrerequisiteError: git is missing or too old.
    """
    install = "apt-get install git, or `xcode-select --install` on macOS"
    try:
        version_line = as_text(run_bytes(["git", "--version"]).out).strip()
    except PrerequisiteError as error:
        raise PrerequisiteError("git is missing", hint=install) from error
    found = re.search(r"(\d+)\.(\d+)", version_line)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise PrerequisiteError(f"{version_line or 'git'} is older than {wanted}", hint=install)
    return version_line.removeprefix("git version ")


def _check_disk(folder: Path, done: FinishedBytes) -> None:
    lines = as_text(done.err).splitlines()
    full = next((line for line in lines for sign in _FULL_DISK if sign in line), None)
    if full is None and done.code == -signal.SIGXFSZ:
        full = "files may not grow that large here"
    if full is not None:
        raise PrerequisiteError(
            f"git cannot write to {folder}: {full}",
            hint="free space, or choose another folder with GOBUN_CACHE; "
            "existing files stay usable",
        )
