"""Reads the build record of Go's linker, in the format of Go's ``debug/buildinfo`` package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = b"\xff Go buildinf:"
SECTIONS = (".go.buildinfo", "__go_buildinfo")
UNKNOWN_RELEASE = "unknown release"
BEFORE_118 = "go1.17 or older"

_ALIGN = 16
_HEADER = 32
_INLINE = 2  # flag: the strings follow the header, each after its length
_SENTINEL = 16  # a mark of this length is at each end of the module record


class GoBuild(msgspec.Struct, frozen=True):
    """The build record of Go's linker."""

    version: str
    """Such as ``go1.27.3``. It is ``BEFORE_118`` for Go 1.17 or older, and ``UNKNOWN_RELEASE`` for
    a stripped record."""
    package: str = ""
    """Path of the main package."""
    module: str = ""
    """Path of the main module."""
    module_version: str = ""
    settings: dict[str, str] = {}
    """Build settings by name, such as ``-buildmode`` or ``CGO_ENABLED``."""

    @property
    def summary(self) -> str:
        """One line with the release, the build mode and the main module."""
        words = [self.version, self.settings.get("-buildmode", "")]
        head = " ".join(word for word in words if word)
        return f"{head}, module {self.module}" if self.module else head


class Section(Protocol):
    """The position of a named part in a library's bytes, in any format."""

    @property
    def name(self) -> str:
        """Its name, such as ``.go.buildinfo``."""

    @property
    def offset(self) -> int:
        """Where it starts in the file, in bytes."""

    @property
    def size(self) -> int:
        """Its length in bytes."""


def find(data: bytes, sections: Iterable[Section]) -> GoBuild | None:
    """Return the build record in a library, or None if it contains no Go.

    A library with Go's function table but a stripped record returns ``UNKNOWN_RELEASE``.
    """
    table = list(sections)
    for section in table:
        if section.name in SECTIONS:
            build = parse(data[section.offset : section.offset + section.size])
            if build is not None:
                return build
    build = _scan(data)
    if build is None and any(section.name.endswith("gopclntab") for section in table):
        return GoBuild(UNKNOWN_RELEASE)
    return build


def parse(blob: bytes) -> GoBuild | None:
    """Return the record that ``blob`` starts with, or None."""
    if not blob.startswith(MAGIC) or len(blob) < _HEADER:
        return None
    if not blob[15] & _INLINE:
        # Go 1.17 and older store pointers here, which are valid only in a loaded library.
        return GoBuild(BEFORE_118)
    version, at = _string(blob, _HEADER)
    module, _ = _string(blob, at)
    text = version.decode("utf-8", errors="replace")
    if not text.startswith(("go", "devel")) or not text.isprintable():
        return None
    return _with_module(GoBuild(text), module)


def _scan(data: bytes) -> GoBuild | None:
    # For libraries without section headers. Code that searches for the magic text contains it too,
    # so only an aligned match at the start of a record counts.
    at = data.find(MAGIC)
    while at != -1:
        if at % _ALIGN == 0:
            build = parse(data[at : at + (1 << 20)])
            if build is not None and build.version != BEFORE_118:
                return build
        at = data.find(MAGIC, at + 1)
    return None


def _string(blob: bytes, at: int) -> tuple[bytes, int]:
    length, shift = 0, 0
    while at < len(blob) and shift < 63:
        byte = blob[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return blob[at : at + length], at + length
    return b"", len(blob)


def _with_module(build: GoBuild, record: bytes) -> GoBuild:
    if len(record) < 2 * _SENTINEL + 1 or record[-_SENTINEL - 1] != ord("\n"):
        return build
    text = record[_SENTINEL:-_SENTINEL].decode("utf-8", errors="replace")
    package = module = module_version = ""
    settings: dict[str, str] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition("\t")
        if kind == "path":
            package = rest
        elif kind == "mod":
            module, module_version = [*rest.split("\t"), ""][:2]
        elif kind == "build":
            name, _, value = rest.partition("=")
            settings[_unquote(name)] = _unquote(value)
    return msgspec.structs.replace(
        build,
        package=package,
        module=module,
        module_version=module_version,
        settings=settings,
    )


def _unquote(text: str) -> str:
    # Go quotes values with a space, a quote or a newline, nearly as JSON does.
    if text.startswith("`") and text.endswith("`") and len(text) > 1:
        return text[1:-1]
    if not text.startswith('"'):
        return text
    try:
        return msgspec.json.decode(text, type=str)
    except msgspec.DecodeError:
        return text
