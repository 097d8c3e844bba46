"""Writes the provenance of a release: an in-toto statement with SLSA provenance, version 1.

The statement is not signed. It names the commit and the tools that made the files, so anybody can
make them again. `verify-release` does so, and proves that the statement is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gobun.release.layout import ReleaseFile
    from gobun.release.source import SourceState

_BUILD_TYPE = "urn:gobun:release:v1"
_BUILDER = "urn:gobun:unsigned"
_REPOSITORY = "git+urn:gobun"


class _Record(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """A record with the spelling of keys that SLSA uses."""


class Subject(_Record, frozen=True):
    """An output file."""

    name: str
    digest: dict[str, str]


class Dependency(_Record, frozen=True):
    """A source or a tool of a release."""

    uri: str
    digest: dict[str, str] = {}
    annotations: dict[str, bool] = {}


class Parameters(_Record, frozen=True):
    """The parameters that a person chose."""

    version: str
    names: tuple[str, ...]


class Definition(_Record, frozen=True):
    """The inputs that determine the bytes."""

    build_type: str
    external_parameters: Parameters
    resolved_dependencies: tuple[Dependency, ...]


class Builder(_Record, frozen=True):
    """The party that makes the statement."""

    id: str


class Run(_Record, frozen=True):
    """The run that made the release. It has no time, so equal sources give equal bytes."""

    builder: Builder


class Predicate(_Record, frozen=True):
    """SLSA's part of the statement."""

    build_definition: Definition
    run_details: Run


class Statement(
    msgspec.Struct,
    frozen=True,
    rename={"kind": "_type", "predicate_type": "predicateType"},
    forbid_unknown_fields=True,
):
    """An in-toto statement."""

    subject: tuple[Subject, ...]
    predicate: Predicate
    predicate_type: Literal["https://slsa.dev/provenance/v1"] = "https://slsa.dev/provenance/v1"
    kind: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"


def statement(
    version: str,
    names: tuple[str, ...],
    products: Iterable[ReleaseFile],
    source: SourceState,
    tools: Mapping[str, tuple[str, str]],
) -> Statement:
    """Return the statement of a release. ``tools`` has the form that ``sbom.bill`` takes."""
    packages = [
        Dependency(f"pkg:pypi/{package}@{version_of}")
        for _, (version_of, package) in sorted(tools.items())
    ]
    return Statement(
        tuple(Subject(file.name, {"sha256": file.sha256}) for file in products),
        Predicate(
            Definition(_BUILD_TYPE, Parameters(version, names), (of_source(source), *packages)),
            Run(Builder(_BUILDER)),
        ),
    )


def of_source(source: SourceState) -> Dependency:
    """Return the statement's entry for the sources."""
    digest = {"gitCommit": source.commit} if source.commit else {}
    return Dependency(_REPOSITORY, digest, {} if source.is_clean else {"changedSinceCommit": True})


def commit_of(statement: Statement) -> str | None:
    """Return the commit that a statement names, or None."""
    dependencies = statement.predicate.build_definition.resolved_dependencies
    named = (
        dependency.digest.get("gitCommit")
        for dependency in dependencies
        if dependency.uri == _REPOSITORY
    )
    return next(named, None)


def without_source(statement: Statement) -> Statement:
    """Return a statement without its commit, to compare the rest."""
    definition = statement.predicate.build_definition
    rest = tuple(
        dependency
        for dependency in definition.resolved_dependencies
        if dependency.uri != _REPOSITORY
    )
    replace = msgspec.structs.replace
    return replace(
        statement,
        predicate=replace(
            statement.predicate, build_definition=replace(definition, resolved_dependencies=rest)
        ),
    )
