"""Selects versions of a runtime: ``1.2.19,1.3.x,latest,>=1.2.2 <1.2.20``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import semver

from gobun.errors import UsageError
from gobun.version_ranges import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gobun.version_ranges import Rank

_FORMS = {
    "Bun": "1.2.19, 1.3.x, latest, canary, all, '>=1.2.2 <1.2.20'",
    "Deno": "2, 2.9.7, 2.8.x, latest, all, '>=2.8.0 <2.9.0'",
    "Node": "22, 22.20.0, 22.x, latest, all, '>=22.0.0 <24.0.0'",
}
_SEVERAL_HINT = ", or several of these between commas"
_OLDEST_OF_ALL = semver.Version(1, 0, 0)
_PARTIAL = re.compile(r"(\d+)(?:\.(\d+))?")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=)(.+)")
_SPACED_OPERATOR = re.compile(r"(>=|<=|>|<|=)\s+")


def select_versions(
    spec: str, *, known_versions: Sequence[str], tags: Mapping[str, str], runtime: str = "Bun"
) -> tuple[str, ...]:
    """Return the versions that ``spec`` selects, each once, ascending by ``rank``.

    Ranges select stable releases, unless a comparator names a prerelease of the same release. For
    Bun, a line such as ``1.3`` selects all of its releases; for other runtimes, the newest one.
    ``tags`` are the npm tags, such as ``latest``, and their versions.

    Raises:
        UsageError: a part is empty or malformed, or matches no known version.
    """
    published = _in_order(
        {
            semver.Version.parse(version)
            for version in known_versions
            if semver.Version.is_valid(version)
        }
    )
    chosen_versions: set[semver.Version] = set()
    for part in spec.split(","):
        chosen_versions.update(_select(part.strip(), spec, published, tags, runtime))
    return tuple(str(version) for version in _in_order(chosen_versions))


def _in_order(versions: Iterable[semver.Version]) -> list[semver.Version]:
    return sorted(versions, key=_rank)


def _rank(version: semver.Version) -> Rank:
    return rank(str(version))


def _select(
    part: str,
    spec: str,
    published_versions: Sequence[semver.Version],
    tags: Mapping[str, str],
    runtime: str,
) -> list[semver.Version]:
    forms = _FORMS[runtime] + _SEVERAL_HINT
    if not part:
        raise UsageError(f"an empty version in {spec!r}", hint=f"write {forms}")
    stable = [version for version in published_versions if version.prerelease is None]
    if part == "all":
        selected = [version for version in stable if version >= _OLDEST_OF_ALL]
    elif part == "canary":
        canaries = [version for version in published_versions if version.prerelease is not None]
        selected = canaries[-1:]
    elif part in tags and semver.Version.is_valid(tags[part]):
        selected = [semver.Version.parse(tags[part])]
    elif part == "latest":
        selected = stable[-1:]
    elif semver.Version.is_valid(part):
        selected = [version for version in published_versions if str(version) == part]
    else:
        selected = _in_range(part, published_versions, forms)
        if runtime != "Bun" and _PARTIAL.fullmatch(part):
            selected = selected[-1:]
    if not selected:
        newest_first = [str(version) for version in reversed(published_versions)]
        raise UsageError.unknown(f"{runtime} version", part, newest_first)
    return selected


def _in_range(
    part: str, published_versions: Sequence[semver.Version], forms: str
) -> list[semver.Version]:
    words = _SPACED_OPERATOR.sub(r"\1", part).split()
    try:
        tests = [_test(word) for word in words]
    except ValueError as error:
        raise UsageError(f"{part!r} is not a version or a range", hint=f"write {forms}") from error
    named = {version for word in words for version in _prereleases(word)}
    return [
        version
        for version in published_versions
        if all(test(version) for test in tests)
        and (version.prerelease is None or version.finalize_version() in named)
    ]


def _prereleases(word: str) -> list[semver.Version]:
    """Return the release whose prereleases a comparator selects, if any."""
    bare = word.lstrip("<>=")
    version = semver.Version.parse(bare) if semver.Version.is_valid(bare) else None
    return [version.finalize_version()] if version and version.prerelease else []


def _test(word: str) -> Callable[[semver.Version], bool]:
    comparator = _COMPARATOR.fullmatch(word)
    sign, bare = comparator.groups() if comparator else ("=", word)
    low, upper = map(_rank, _version_bounds(bare))
    tests: dict[str, Callable[[semver.Version], bool]] = {
        ">=": lambda version: _rank(version) >= low,
        ">": lambda version: _rank(version) >= upper,
        "<": lambda version: _rank(version) < low,
        "<=": lambda version: _rank(version) < upper,
        "=": lambda version: low <= _rank(version) < upper,
    }
    if semver.Version.is_valid(bare):  # one version, not a release line
        tests |= {
            ">": lambda version: _rank(version) > low,
            "<=": lambda version: _rank(version) <= low,
            "=": lambda version: _rank(version) == low,
        }
    return tests[sign]


def _version_bounds(spec: str) -> tuple[semver.Version, semver.Version]:
    """Return the first version that ``1``, ``1.3``, ``1.3.x`` … selects, and the first after.

    Raises:
        ValueError: it has no such form.
    """
    if semver.Version.is_valid(spec):
        version = semver.Version.parse(spec)
        return version, version
    partial = _PARTIAL.fullmatch(re.sub(r"(\.[xX*])+$", "", spec))
    if partial is None:
        raise ValueError(spec)
    major = int(partial[1])
    if partial[2] is None:
        return semver.Version(major), semver.Version(major + 1)
    minor = int(partial[2])
    return semver.Version(major, minor), semver.Version(major, minor + 1)
