"""Resolves the names and versions that a user gives to executables that can run cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gobun import toolchain
from gobun.errors import UsageError
from gobun.runtimes import foreign, musl
from gobun.runtimes.bun import choose_bun, provide_bun
from gobun.runtimes.deno import provide_deno
from gobun.runtimes.node import provide_node
from gobun.runtimes.versions import select_versions
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.runtimes.base import Runtime
    from gobun.targets import Target

RUNTIMES = ("bun", "node", "deno")


def split_versions(spec: str, names: Sequence[str]) -> dict[str, str]:
    """Split ``1.2.19,node@22`` by runtime: ``{"bun": "1.2.19", "node": "22"}``.

    A version without a name applies to Bun if Bun is among the runtimes ``names``, else to the only
    one there.

    Raises:
        UsageError: a part belongs to a runtime outside ``names``, or is ambiguous.
    """
    parts: dict[str, list[str]] = {}
    for part in spec.split(",") if spec else ():
        name, version = named_version(part)
        if not name and "bun" not in names and len(names) > 1:
            forms = " or ".join(f"{each}@{version}" for each in names)
            raise UsageError(f"version {version!r} fits several runtimes", hint=f"write {forms}")
        name = name or ("bun" if "bun" in names else names[0])
        if name not in names:
            raise UsageError(
                f"--versions names {part.strip()}, but {name.capitalize()} is not selected",
                hint=f"add {name} to --runtime, which is {','.join(names)}",
            )
        parts.setdefault(name, []).append(version)
    return {name: ",".join(versions) for name, versions in parts.items()}


def named_version(part: str) -> tuple[str, str]:
    """Return the runtime that ``node@22`` names, ``""`` if none, and the version.

    Raises:
        UsageError: it names an unknown runtime, or no version.
    """
    name, at, version = part.strip().rpartition("@")
    if at and name not in RUNTIMES:
        raise UsageError.unknown("runtime", name, RUNTIMES)
    if at and not version.strip():
        raise UsageError(f"{part.strip()!r} has no version", hint=f"write {name}@latest")
    return name, version.strip()


def choose_versions(name: str, spec: str, target: Target) -> tuple[str, ...]:
    """Return the versions of a runtime that ``spec`` selects.

    An empty ``spec`` selects the pinned version of Node or Deno.

    Raises:
        UsageError: a part of ``spec`` is malformed, or matches no version.
        FetchError: a query to npm failed, or a lock file is malformed.
    """
    if name == "bun":
        return choose_bun(spec, target)
    if not spec:
        return (toolchain.pins()[name],)
    known_versions = toolchain.releases(name)
    if target.libc == "musl":
        known_versions = (toolchain.pins()[name],)  # the lock file names only this one's musl wheel
    return select_versions(spec, known_versions=known_versions, tags={}, runtime=name.capitalize())


def provide_runtimes(name: str, versions: Sequence[str], target: Target) -> list[Runtime]:
    """Return the executables of a runtime, fetched or built if necessary.

    Raises:
        PrerequisiteError: the pinned one or a tool is missing, or the cache cannot be written.
        UsageError: there is no such version.
        FetchError: a download failed, or does not match the lock file.
        BuildError: the addon that Node needs could not be built.
    """
    if target.libc == "musl":
        return musl.provide(name, versions, target)
    if target != host_target():
        return foreign.provide(name, versions, target)
    if name == "node":
        return [provide_node(target, version) for version in versions]
    if name == "deno":
        return [provide_deno(version) for version in versions]
    return list(provide_bun(versions, target))
