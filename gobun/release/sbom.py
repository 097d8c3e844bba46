"""The bill of materials of a release, in CycloneDX 1.6.

It contains no time, so that equal sources give equal bytes.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gobun.build import ManifestEntry
    from gobun.release.layout import ReleaseFile
    from gobun.release.loader import Packed

_STANDARD_LIBRARY = "std"


class _Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A record with the spelling of keys that CycloneDX uses."""


class Hash(_Record, frozen=True):
    """A digest of a component."""

    alg: str
    content: str


class Named(_Record, frozen=True):
    """A licence, by its SPDX identifier."""

    id: str


class Licence(_Record, frozen=True):
    """One of a component's licences."""

    license: Named


class Property(_Record, frozen=True):
    """A fact for which CycloneDX has no key."""

    name: str
    value: str


class Component(_Record, frozen=True, rename={"bom_ref": "bom-ref"}):
    """A part of the release, or a tool that made it."""

    type: Literal["application", "library"]
    bom_ref: str
    name: str
    version: str
    description: str = ""
    hashes: tuple[Hash, ...] = ()
    licenses: tuple[Licence, ...] = ()
    purl: str = ""
    properties: tuple[Property, ...] = ()


class Tools(_Record, frozen=True):
    """The tools that made the release."""

    components: tuple[Component, ...]


class Metadata(_Record, frozen=True):
    """The subject of the bill."""

    tools: Tools
    component: Component


class Dependency(_Record, frozen=True):
    """The contents of a component."""

    ref: str
    depends_on: tuple[str, ...]


class Bom(_Record, frozen=True, omit_defaults=False):
    """A bill of materials."""

    serial_number: str
    metadata: Metadata
    components: tuple[Component, ...]
    dependencies: tuple[Dependency, ...]
    version: int = 1
    """The version of the bill itself."""
    bom_format: str = "CycloneDX"
    spec_version: str = "1.6"


def bill(
    version: str,
    entries: Sequence[ManifestEntry],
    packages: Sequence[tuple[Packed, ReleaseFile]],
    tools: Mapping[str, tuple[str, str]],
) -> Bom:
    """Return the bill of a release: its libraries, its npm packages, and their contents.

    ``tools`` maps each tool to its version and the Python package that contains it.
    """
    go = {entry.go for entry in entries if entry.go}
    libraries = [_library(version, entry) for entry in entries]
    standard = [_standard_library(release) for release in sorted(go)]
    packed = [_package(version, about.name, file) for about, file in packages]
    files = [file.name for _, file in packages]
    digests = sorted(
        [*(entry.sha256 for entry in entries), *(package.sha256 for _, package in packages)]
    )
    application = Component("application", "release", "go-warmup", version)
    components = [
        Dependency(entry.file, (f"{_STANDARD_LIBRARY}@{entry.go}",) if entry.go else ())
        for entry in entries
    ]
    return Bom(
        f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join([version, *digests]))}",
        Metadata(
            Tools(tuple(_tool(name, *about) for name, about in sorted(tools.items()))), application
        ),
        (*libraries, *packed, *standard),
        (
            Dependency("release", (*(entry.file for entry in entries), *files)),
            *(Dependency(file.name, about.libraries) for about, file in packages),
            *components,
        ),
    )


def _package(version: str, name: str, file: ReleaseFile) -> Component:
    # A scope's @ is written %40 in a package URL.
    return Component(
        "library",
        file.name,
        name,
        version,
        f"the npm package {name}",
        _hashes(file.sha256),
        _licences("MIT"),
        f"pkg:npm/{name.replace('@', '%40')}@{version}",
    )


def _library(version: str, entry: ManifestEntry) -> Component:
    about = {"target": entry.target, "zig target": entry.zig_target}
    return Component(
        "library",
        entry.file,
        entry.file,
        version,
        f"native library for {entry.target}",
        _hashes(entry.sha256),
        _licences("MIT"),
        properties=tuple(Property(f"gobun:{name}", value) for name, value in about.items()),
    )


def _standard_library(release: str) -> Component:
    return Component(
        "library",
        f"{_STANDARD_LIBRARY}@{release}",
        _STANDARD_LIBRARY,
        release,
        "Go's runtime and standard library, linked into the libraries",
        licenses=_licences("BSD-3-Clause"),
        purl=f"pkg:golang/{_STANDARD_LIBRARY}@{release}",
    )


def _tool(name: str, version: str, package: str) -> Component:
    return Component(
        "application", f"tool:{name}", name, version, purl=f"pkg:pypi/{package}@{version}"
    )


def _hashes(sha256: str) -> tuple[Hash, ...]:
    return (Hash("SHA-256", sha256),)


def _licences(name: str) -> tuple[Licence, ...]:
    return (Licence(Named(name)),)
