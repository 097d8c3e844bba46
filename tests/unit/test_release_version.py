"""The versions that a release may have."""

from __future__ import annotations

import pytest

from gobun import release
from gobun.errors import UsageError


@pytest.mark.parametrize("version", ["0.1.0", "1.2.3", "1.2.3-rc.1"])
def test_version_semver_is_accepted_unchanged(version: str) -> None:
    assert release.check_version(version) == version


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("v1.2.3", "not a version"),
        ("1.2", "not a version"),
        ("", "not a version"),
        ("01.2.3", "not a version"),
        ("../1.2.3", "not a version"),
        ("1.2.3\n", "not a version"),
        ("1.2.3+linux", "npm drops"),
    ],
)
def test_version_rewritten_by_npm_is_rejected(version: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        release.check_version(version)
    assert repr(version) in str(caught.value)
    assert caught.value.hint
