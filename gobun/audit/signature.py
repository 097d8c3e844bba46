"""Verifies a Mach-O code signature by computing every hash again.

An invalid signature is worse than none, because macOS on arm64 kills a process that maps a page
with a wrong hash. The layout is that of Apple's ``cs_blobs.h``. All values are big-endian.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import msgspec

from gobun.audit.record import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

_SUPER_BLOB = 0xFADE0CC0
_CODE_DIRECTORY = 0xFADE0C02
_DIRECTORY_SLOTS = {0, *range(0x1000, 0x1005)}
_CMS_SLOT = 0x10000
_EMBEDDED_SLOTS = {2, 5, 7}  # requirements, entitlements, entitlements as DER
_BLOB_HEADER = 8
_AD_HOC = 0x2
_VERSION_LIMIT_64 = 0x20300
_HASHES: dict[int, tuple[Callable[[bytes], bytes], int]] = {
    1: (lambda page: hashlib.sha1(page, usedforsecurity=False).digest(), 20),
    2: (lambda page: hashlib.sha256(page).digest(), 32),
    3: (lambda page: hashlib.sha256(page).digest()[:20], 20),
    4: (lambda page: hashlib.sha384(page).digest(), 48),
}


class _InvalidSignatureError(Exception):
    """The signature is invalid. The message is the reason."""


class _Directory(msgspec.Struct, frozen=True):
    """A CodeDirectory: the signed pages and their hashes."""

    blob: bytes
    flags: int
    hash_offset: int
    identifier: str
    special_slots: int
    code_slots: int
    code_limit: int
    hash_size: int
    hash_type: int
    page_size: int


def verify(data: bytes, offset: int, size: int) -> Signature:
    """Verify the signature at ``offset`` of a library's bytes.

    ``data`` starts at the library, not at the universal file that contains it.
    """
    try:
        return _verify_signature(data, offset, size)
    except struct.error:
        return Signature("invalid", "it ends inside its headers")
    except _InvalidSignatureError as problem:
        return Signature("invalid", str(problem))


def _verify_signature(data: bytes, offset: int, size: int) -> Signature:
    if size < 12 or offset + size > len(data):
        raise _InvalidSignatureError(
            f"the header gives it {size} bytes at {offset}, and the library has {len(data)} bytes"
        )
    blobs = _blobs(data[offset : offset + size])
    directories = [_directory(blob) for slot, blob in blobs.items() if slot in _DIRECTORY_SLOTS]
    if not directories or 0 not in blobs:
        raise _InvalidSignatureError("it has no CodeDirectory")
    for directory in directories:
        if directory.code_limit != offset:
            raise _InvalidSignatureError(
                f"it covers {directory.code_limit} bytes, and the signature starts at {offset}"
            )
        _compare_pages(directory, data)
        _compare_blobs(directory, blobs)
    certified = len(blobs.get(_CMS_SLOT, b"")) > _BLOB_HEADER
    ad_hoc = all(directory.flags & _AD_HOC for directory in directories)
    if ad_hoc and certified:
        raise _InvalidSignatureError(
            "it is flagged ad-hoc and yet carries a certificate's signature"
        )
    if not ad_hoc and not certified:
        raise _InvalidSignatureError("it is not flagged ad-hoc, and no certificate signed it")
    first = directories[0]
    return Signature(
        "ad-hoc" if ad_hoc else "other", identifier=first.identifier, pages=first.code_slots
    )


def _blobs(signature: bytes) -> dict[int, bytes]:
    magic, length, count = struct.unpack_from(">III", signature)
    if magic != _SUPER_BLOB:
        raise _InvalidSignatureError(f"it starts with {magic:#010x}, not with a signature's mark")
    if length > len(signature):
        raise _InvalidSignatureError(
            f"its header gives it {length} bytes, and it has {len(signature)}"
        )
    blobs: dict[int, bytes] = {}
    for index in range(count):
        slot, at = struct.unpack_from(">II", signature[:length], 12 + 8 * index)
        _, blob_size = struct.unpack_from(">II", signature[:length], at)
        if at + blob_size > length:
            raise _InvalidSignatureError(f"its part {slot:#x} reaches beyond its end")
        blobs[slot] = signature[at : at + blob_size]
    return blobs


def _directory(blob: bytes) -> _Directory:
    magic, _, version, flags, hash_offset, name_offset, special, slots, limit = struct.unpack_from(
        ">9I", blob
    )
    hash_size, hash_type, _, page_power = struct.unpack_from(">4B", blob, 36)
    if magic != _CODE_DIRECTORY:
        raise _InvalidSignatureError(f"its CodeDirectory starts with {magic:#010x}")
    if version >= _VERSION_LIMIT_64:
        (wide_limit,) = struct.unpack_from(">Q", blob, 56)
        limit = wide_limit or limit
    if hash_type not in _HASHES or _HASHES[hash_type][1] != hash_size:
        raise _InvalidSignatureError(
            f"its hashes are of an unknown type ({hash_type}, {hash_size} bytes)"
        )
    if hash_offset < special * hash_size or hash_offset + slots * hash_size > len(blob):
        raise _InvalidSignatureError("its hashes reach beyond its CodeDirectory")
    name = blob[name_offset:].partition(b"\0")[0].decode("utf-8", errors="replace")
    page_size = 1 << page_power if 0 < page_power < 32 else limit
    return _Directory(
        blob, flags, hash_offset, name, special, slots, limit, hash_size, hash_type, page_size
    )


def _compare_pages(directory: _Directory, data: bytes) -> None:
    limit, step = directory.code_limit, max(directory.page_size, 1)
    pages_needed = -(-limit // step)
    if directory.code_slots != pages_needed:
        raise _InvalidSignatureError(
            f"it has {directory.code_slots} page hashes for {pages_needed} pages"
        )
    digest, size = _HASHES[directory.hash_type]
    for page in range(pages_needed):
        start = page * step
        at = directory.hash_offset + page * size
        if digest(data[start : min(start + step, limit)]) != directory.blob[at : at + size]:
            raise _InvalidSignatureError(
                f"page {page} (from byte {start:#x}) is not what was signed"
            )


def _compare_blobs(directory: _Directory, blobs: dict[int, bytes]) -> None:
    digest, size = _HASHES[directory.hash_type]
    for slot in sorted(_EMBEDDED_SLOTS & blobs.keys()):
        if slot > directory.special_slots:
            raise _InvalidSignatureError(f"its part {slot} is not covered by a hash")
        at = directory.hash_offset - slot * size
        if digest(blobs[slot]) != directory.blob[at : at + size]:
            raise _InvalidSignatureError(f"its part {slot} is not what was signed")
