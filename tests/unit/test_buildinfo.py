"""The reader of Go's build record, on handmade records."""

from __future__ import annotations

import pytest

from gobun import buildinfo
from gobun.audit.container import BinarySection
from gobun.buildinfo import GoBuild

MARK = b"0123456789abcdef"
TEXT = (
    "path\texample.org/it/cmd\nmod\texample.org/it\tv1.2.3\th1:x\ndep\tother\tv1\n"
    'build\t-buildmode=c-shared\nbuild\tCGO_ENABLED=1\nbuild\t"-ld flags"="-s -w"\n'
    "build\t-tags=`a b`\n"
)


def varint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def record(version: str = "go1.27.3", text: str = TEXT, flags: int = 2) -> bytes:
    module = MARK + text.encode() + MARK if text else b""
    head = (buildinfo.MAGIC + bytes([8, flags])).ljust(32, b"\0")
    parts = (version.encode(), module)
    return head + b"".join(varint(len(part)) + part for part in parts)


def test_buildinfo_complete_record_is_read() -> None:
    build = buildinfo.parse(record() + b"\0" * 50)
    assert build is not None
    assert build.version == "go1.27.3"
    assert (build.package, build.module) == ("example.org/it/cmd", "example.org/it")
    assert build.module_version == "v1.2.3"
    assert build.settings == {
        "-buildmode": "c-shared",
        "CGO_ENABLED": "1",
        "-ld flags": "-s -w",
        "-tags": "a b",
    }
    assert build.summary == "go1.27.3 c-shared, module example.org/it"


def test_buildinfo_without_module_is_read() -> None:
    assert buildinfo.parse(record(text="")) == GoBuild("go1.27.3")
    assert GoBuild("go1.27.3").summary == "go1.27.3"


def test_buildinfo_before_go_118_uses_pointers() -> None:
    assert buildinfo.parse(record(flags=0)) == GoBuild(buildinfo.BEFORE_118)


@pytest.mark.parametrize("blob", [b"", b"\x7fELF" * 20, buildinfo.MAGIC, record("perl5")])
def test_buildinfo_invalid_record_is_none(blob: bytes) -> None:
    assert buildinfo.parse(blob) is None


def test_buildinfo_damaged_record_raises_nothing() -> None:
    whole = record()
    for at in range(len(whole)):
        buildinfo.parse(whole[:at])
        for value in (0, 0x7F, 0x80, 0xFF):
            buildinfo.parse(whole[:at] + bytes([value]) + whole[at + 1 :])


def test_buildinfo_is_found_by_section() -> None:
    data = b"x" * 40 + record()
    for name in buildinfo.SECTIONS:
        go_build = buildinfo.find(data, [BinarySection(name, 40, len(data))])
        assert go_build is not None
        assert go_build.version == "go1.27.3"


def test_buildinfo_without_sections_is_found_when_aligned() -> None:
    assert buildinfo.find(b"x" * 48 + record(), []) is not None
    assert buildinfo.find(b"x" * 41 + record(), []) is None


def test_buildinfo_searching_text_is_no_record() -> None:
    assert buildinfo.find(buildinfo.MAGIC + b"not a buildinfo file; go on, please", []) is None


def test_buildinfo_stripped_go_library_is_still_go() -> None:
    for name in (".gopclntab", ".data.rel.ro.gopclntab", "__gopclntab"):
        assert buildinfo.find(b"", [BinarySection(name, 0, 0)]) == GoBuild(
            buildinfo.UNKNOWN_RELEASE
        )
