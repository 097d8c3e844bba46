"""Describes an origin of sources: a URL, a local repository, a bundle, or an archive."""

from __future__ import annotations

import hashlib
import lzma
import re
import tarfile
import zlib
from pathlib import Path
from typing import Literal

import msgspec

from gobun.errors import UsageError

UPSTREAM = "https://github.com/oven-sh/bun.git"
"""Where Bun is developed."""

Kind = Literal["url", "repository", "bundle", "archive"]

_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+|[\w.-]+@[\w.-]+:\S+")
_BUNDLE = re.compile(rb"# v[23] git bundle\n")
UNREADABLE_ERRORS = (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError)
"""Exceptions from reading a truncated or damaged archive."""

_FORMS = "give a clone URL, a repository's folder, a git bundle, or a tar archive"


class Origin(msgspec.Struct, frozen=True):
    """A location of sources."""

    kind: Kind
    location: str
    """A URL, or an absolute path."""

    @property
    def remote(self) -> str:
        """The name of its git remote in the store. Each location has its own."""
        return f"origin-{hashlib.sha256(self.location.encode()).hexdigest()[:12]}"

    @property
    def can_complete(self) -> bool:
        """Whether to fetch missing files from it: a person named it, and it serves single files."""
        return self.kind in {"url", "repository"} and self.location != UPSTREAM


def parse_origin(text: str = "", flag: str = "--source") -> Origin:
    """Parse the origin that a person gave with ``flag``. An empty value means upstream.

    Raises:
        UsageError: it is neither a URL nor the path of a repository, a bundle or a tar archive.
    """
    if not text or _URL.fullmatch(text):
        return Origin("url", text or UPSTREAM)
    try:
        return _local_origin(f"{flag} {text}", Path(text).expanduser().absolute())
    except (RuntimeError, *UNREADABLE_ERRORS) as error:
        raise UsageError(f"{flag} {text} cannot be read: {error}", hint=_FORMS) from error


def _local_origin(display_name: str, path: Path) -> Origin:
    if path.is_dir():
        if not any((path / name).exists() for name in (".git", "objects")):
            raise UsageError(f"{display_name} is a folder, but not a git repository", hint=_FORMS)
        return Origin("repository", str(path))
    if not path.is_file():
        raise UsageError(f"{display_name}: there is no such file or folder", hint=_FORMS)
    with path.open("rb") as stream:
        if _BUNDLE.match(stream.read(32)):
            return Origin("bundle", str(path))
    if tarfile.is_tarfile(path):
        return Origin("archive", str(path))
    raise UsageError(f"{display_name} is neither a bundle nor a tar archive", hint=_FORMS)
