"""Expected digests of files: npm's Subresource Integrity (SHA-512), or a SHA-256."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

_ALGORITHM: Final = "sha512"
_DIGEST_BYTES = 64


class Integrity(msgspec.Struct, frozen=True):
    """The digest that a file has or must have."""

    digest: bytes
    algorithm: Literal["sha256", "sha512"] = _ALGORITHM

    def __str__(self) -> str:
        """Return the digest in npm's format."""
        return f"{self.algorithm}-{base64.b64encode(self.digest).decode()}"

    def matches_file(self, path: Path) -> bool:
        """Return whether a file's content has this digest."""
        return of_file(path, self.algorithm) == self


def parse(text: str) -> Integrity:
    """Parse ``sha512-<base64>``, and ignore digests of other algorithms.

    Raises:
        ValueError: it has no SHA-512, more than one, or a malformed one.
    """
    named = [word for word in text.split() if word.startswith(f"{_ALGORITHM}-")]
    if len(named) != 1:
        raise ValueError(f"is not one {_ALGORITHM}-<base64>: {text!r}")
    encoded = named[0].removeprefix(f"{_ALGORITHM}-").partition("?")[0]
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"is not base64: {text!r}") from error
    if len(digest) != _DIGEST_BYTES:
        raise ValueError(f"has {len(digest)} bytes, not {_DIGEST_BYTES}: {text!r}")
    return Integrity(digest)


def of_file(path: Path, algorithm: Literal["sha256", "sha512"] = _ALGORITHM) -> Integrity:
    """Return the integrity of a file's content."""
    with path.open("rb") as stream:
        return Integrity(hashlib.file_digest(stream, algorithm).digest(), algorithm)
