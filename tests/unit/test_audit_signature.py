"""The check of Mach-O signatures, on signatures that are made field by field."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import pytest

from gobun.audit import signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from gobun.audit import Signature

PAGE = 4096
CODE = bytes(range(256)) * 40  # two pages and a half
REQUIREMENTS = struct.pack(">III", 0xFADE0C01, 12, 0)
CERTIFICATE = struct.pack(">II", 0xFADE0B01, 40) + b"c" * 32
AD_HOC = 0x2


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def directory(
    code: bytes = CODE,
    *,
    flags: int = AD_HOC,
    limit: int | None = None,
    slots: int | None = None,
    hash_type: int = 2,
    digest: Callable[[bytes], bytes] = sha256,
    version: int = 0x20400,
) -> bytes:
    name = b"org.example\0"
    pages = [digest(code[at : at + PAGE]) for at in range(0, len(code), PAGE)]
    size = len(pages[0])
    special = [digest(REQUIREMENTS), b"\0" * size]
    head = 88
    hashes_at = head + len(name) + 2 * size
    limit = len(code) if limit is None else limit
    slots = len(pages) if slots is None else slots
    total = hashes_at + len(pages) * size
    fields = struct.pack(
        ">9I", 0xFADE0C02, total, version, flags, hashes_at, head, 2, slots, limit
    ) + struct.pack(">4BI", size, hash_type, 0, 12, 0)
    return fields.ljust(head, b"\0") + name + b"".join(special) + b"".join(pages)


def blob(**parts: bytes) -> bytes:
    slots = {"code": 0, "requirements": 2, "alternate": 0x1000, "cms": 0x10000}
    at = 12 + 8 * len(parts)
    index = b""
    for name, part in parts.items():
        index += struct.pack(">II", slots[name], at)
        at += len(part)
    return struct.pack(">III", 0xFADE0CC0, at, len(parts)) + index + b"".join(parts.values())


def verify(signed: bytes, code: bytes = CODE) -> Signature:
    return signature.verify(code + signed, len(code), len(signed))


def test_signature_valid_ad_hoc_is_accepted() -> None:
    signature = verify(blob(code=directory(), requirements=REQUIREMENTS))
    assert (signature.kind, signature.problem) == ("ad-hoc", "")
    assert (signature.identifier, signature.pages) == ("org.example", 3)


def test_signature_with_certificate_is_not_ad_hoc() -> None:
    signed = blob(code=directory(flags=0), requirements=REQUIREMENTS, cms=CERTIFICATE)
    assert verify(signed).kind == "other"


def test_signature_with_certificate_still_checks_pages() -> None:
    signed = blob(code=directory(flags=0), requirements=REQUIREMENTS, cms=CERTIFICATE)
    assert verify(signed, b"\1" + CODE[1:]).kind == "invalid"


@pytest.mark.parametrize("at", [0, PAGE - 1, PAGE, 2 * PAGE, len(CODE) - 1])
def test_signature_changed_byte_on_any_page_is_found(at: int) -> None:
    changed = bytearray(CODE)
    changed[at] ^= 1
    signature = verify(blob(code=directory(), requirements=REQUIREMENTS), bytes(changed))
    assert signature.kind == "invalid"
    assert f"page {at // PAGE} " in signature.problem


def test_signature_alternate_directories_are_checked() -> None:
    def sha1(data: bytes) -> bytes:
        return hashlib.sha1(data, usedforsecurity=False).digest()

    old = directory(hash_type=1, digest=sha1)
    assert verify(blob(code=old, alternate=directory(), requirements=REQUIREMENTS)).kind == "ad-hoc"
    wrong = directory(b"\1" + CODE[1:])
    assert verify(blob(code=old, alternate=wrong, requirements=REQUIREMENTS)).kind == "invalid"


@pytest.mark.parametrize(
    ("signed", "problem"),
    [
        (blob(code=directory(), requirements=REQUIREMENTS[:-1] + b"x"), "part 2 is not what"),
        (blob(code=directory(limit=PAGE), requirements=REQUIREMENTS), "covers 4096 bytes"),
        (blob(code=directory(slots=2), requirements=REQUIREMENTS), "2 page hashes for 3 pages"),
        (blob(code=directory(slots=900)), "reach beyond"),
        (blob(code=directory(hash_type=9)), "unknown type"),
        (blob(code=directory(flags=0)), "no certificate"),
        (blob(code=directory(), cms=CERTIFICATE), "flagged ad-hoc and yet"),
        (blob(requirements=REQUIREMENTS), "no CodeDirectory"),
        (
            blob(code=struct.pack(">II", 0, 120).ljust(120, b"\0")),
            "CodeDirectory starts with 0x00000000",
        ),
        (b"\0" * 64, "not with a signature's mark"),
        (blob(code=directory())[:-40], "its header gives it"),
        (b"\xfa", "the header gives it"),
        (struct.pack(">III", 0xFADE0CC0, 12, 7), "ends inside its headers"),
    ],
)
def test_signature_invalid_gives_its_reason(signed: bytes, problem: str) -> None:
    signature = verify(signed)
    assert signature.kind == "invalid"
    assert problem in signature.problem


def test_signature_outside_the_file_is_invalid() -> None:
    assert signature.verify(CODE, len(CODE) + 5, 100).kind == "invalid"
