"""The digests npm names: Subresource Integrity, SHA-512 only."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

_ALGORITHM = "sha512"
_DIGEST_BYTES = 64


class Integrity(msgspec.Struct, frozen=True):
    """The SHA-512 a file must have."""

    digest: bytes

    def __str__(self) -> str:
        """Return it as npm writes it."""
        return f"{_ALGORITHM}-{base64.b64encode(self.digest).decode()}"


def parse(text: str) -> Integrity:
    """Read ``sha512-<base64>``; other algorithms beside it are passed over.

    Raises:
        ValueError: there is no SHA-512 in it, more than one, or one that is malformed.
    """
    named = [word for word in text.split() if word.startswith(f"{_ALGORITHM}-")]
    if len(named) != 1:
        raise ValueError(f"wants one {_ALGORITHM}-<base64>, got {text!r}")
    encoded = named[0].removeprefix(f"{_ALGORITHM}-").partition("?")[0]
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"is not base64: {text!r}") from error
    if len(digest) != _DIGEST_BYTES:
        raise ValueError(f"wants {_DIGEST_BYTES} bytes, got {len(digest)}: {text!r}")
    return Integrity(digest)


def of_file(path: Path) -> Integrity:
    """Return the integrity of a file's whole content."""
    with path.open("rb") as stream:
        return Integrity(hashlib.file_digest(stream, _ALGORITHM).digest())
