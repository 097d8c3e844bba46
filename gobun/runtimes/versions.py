"""Which versions of a runtime a person means: ``1.2.19,1.3.x,latest,>=1.2.2 <1.2.20``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import semver

from gobun.errors import UsageError
from gobun.ranges import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gobun.ranges import Rank

_FORMS = "1.2.19, 1.3.x, latest, canary, all, '>=1.2.2 <1.2.20', or several of these between commas"
_OLDEST_OF_ALL = semver.Version(1, 0, 0)
_PARTIAL = re.compile(r"(\d+)(?:\.(\d+))?")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=)(.+)")
_SPACED = re.compile(r"(>=|<=|>|<|=)\s+")


def select_versions(spec: str, *, known: Sequence[str], tags: Mapping[str, str]) -> tuple[str, ...]:
    """Return the versions that ``spec`` means, each once, in the order of ``gobun.ranges``.

    Ranges mean stable releases, unless a comparator names a prerelease of the same release.

    Raises:
        UsageError: a part is empty, is not understood, or matches nothing that is known.
    """
    published = _in_order(
        {semver.Version.parse(version) for version in known if semver.Version.is_valid(version)}
    )
    chosen: set[semver.Version] = set()
    for part in spec.split(","):
        chosen.update(_select(part.strip(), spec, published, tags))
    return tuple(str(version) for version in _in_order(chosen))


def _in_order(versions: Iterable[semver.Version]) -> list[semver.Version]:
    return sorted(versions, key=_rank)


def _rank(version: semver.Version) -> Rank:
    return rank(str(version))


def _select(
    part: str, spec: str, published: Sequence[semver.Version], tags: Mapping[str, str]
) -> list[semver.Version]:
    if not part:
        raise UsageError(f"an empty version in {spec!r}", hint=f"write {_FORMS}")
    stable = [version for version in published if version.prerelease is None]
    if part == "all":
        found = [version for version in stable if version >= _OLDEST_OF_ALL]
    elif part == "canary":
        found = [version for version in published if version.prerelease is not None][-1:]
    elif part in tags and semver.Version.is_valid(tags[part]):
        found = [semver.Version.parse(tags[part])]
    elif part == "latest":
        found = stable[-1:]
    elif semver.Version.is_valid(part):
        found = [version for version in published if str(version) == part]
    else:
        found = _in_range(part, published)
    if not found:
        newest_first = [str(version) for version in reversed(published)]
        raise UsageError.unknown("Bun version", part, newest_first)
    return found


def _in_range(part: str, published: Sequence[semver.Version]) -> list[semver.Version]:
    words = _SPACED.sub(r"\1", part).split()
    tests = [_test(word, part) for word in words]
    named = {version for word in words for version in _prereleases(word)}
    return [
        version
        for version in published
        if all(test(version) for test in tests)
        and (version.prerelease is None or version.finalize_version() in named)
    ]


def _prereleases(word: str) -> list[semver.Version]:
    """Return the release whose prereleases a comparator speaks of, if it does."""
    bare = word.lstrip("<>=")
    version = semver.Version.parse(bare) if semver.Version.is_valid(bare) else None
    return [version.finalize_version()] if version and version.prerelease else []


def _test(word: str, part: str) -> Callable[[semver.Version], bool]:
    comparator = _COMPARATOR.fullmatch(word)
    sign, bare = comparator.groups() if comparator else ("=", word)
    low, above = map(_rank, _bounds(bare, part))
    tests: dict[str, Callable[[semver.Version], bool]] = {
        ">=": lambda version: _rank(version) >= low,
        ">": lambda version: _rank(version) >= above,
        "<": lambda version: _rank(version) < low,
        "<=": lambda version: _rank(version) < above,
        "=": lambda version: low <= _rank(version) < above,
    }
    if semver.Version.is_valid(bare):  # one version, not a line of them
        tests |= {
            ">": lambda version: _rank(version) > low,
            "<=": lambda version: _rank(version) <= low,
            "=": lambda version: _rank(version) == low,
        }
    return tests[sign]


def _bounds(bare: str, part: str) -> tuple[semver.Version, semver.Version]:
    """Return the first version that ``1``, ``1.3``, ``1.3.x`` … means, and the first after."""
    if semver.Version.is_valid(bare):
        version = semver.Version.parse(bare)
        return version, version
    partial = _PARTIAL.fullmatch(re.sub(r"(\.[xX*])+$", "", bare))
    if partial is None:
        raise UsageError(f"{part!r} is not a version or a range", hint=f"write {_FORMS}")
    major = int(partial[1])
    if partial[2] is None:
        return semver.Version(major), semver.Version(major + 1)
    minor = int(partial[2])
    return semver.Version(major, minor), semver.Version(major, minor + 1)
