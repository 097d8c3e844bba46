"""Writes an initial RAM disk: an archive in cpio's format ``newc``, compressed."""

from __future__ import annotations

import gzip
import stat
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


class Member(msgspec.Struct, frozen=True):
    """A file, or a folder where ``data`` is None."""

    name: str
    data: bytes | None = None
    mode: int = 0o755


def pack(members: Iterable[Member]) -> bytes:
    """Return the compressed archive of ``members``; equal members give equal bytes."""
    archive = bytearray()
    for number, member in enumerate([*members, Member(_TRAILER, b"", 0)], start=1):
        archive += _entry(number, member)
    return gzip.compress(bytes(archive), compresslevel=1, mtime=0)


def _entry(number: int, member: Member) -> bytes:
    kind = stat.S_IFDIR if member.data is None else stat.S_IFREG
    mode = kind | member.mode if member.name != _TRAILER else 0
    name, data = member.name.encode() + b"\0", member.data or b""
    # inode, mode, uid, gid, links, mtime, size, two devices of two parts each, name, checksum
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    head = _MAGIC + b"".join(b"%08X" % field for field in fields) + name
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
