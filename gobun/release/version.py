"""The version of a release: semver, as npm accepts it."""

from __future__ import annotations

import semver

from gobun.errors import UsageError


def check_version(text: str) -> str:
    """Return ``text`` if it is a valid release version.

    Raises:
        UsageError: it is not semver, or has a part that npm would drop.
    """
    try:
        version = semver.Version.parse(text)
    except ValueError as error:
        raise UsageError(
            f"--version {text!r} is not a version", hint="write it like 1.2.0 or 1.3.0-rc.1"
        ) from error
    if version.build is not None:
        raise UsageError(
            f"--version {text!r} has build metadata, which npm drops",
            hint=f"write {version.replace(build=None)}",
        )
    return text
