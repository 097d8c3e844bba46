"""What git says when a disk is full, which a test cannot fill, becomes the error of a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from gobun.bun_source.git import _check_disk
from gobun.errors import PrerequisiteError
from gobun.process import FinishedBytes


@pytest.mark.parametrize(
    "said",
    [
        "fatal: sha1 file '/a/index.lock' write error. Out of diskspace",
        "error: unable to write file tsconfig.json",
        "fatal: write error: No space left on device",
    ],
)
def test_a_full_disk_is_a_prerequisite(said: str) -> None:
    err = f"warning: something else\n{said}\n".encode()
    with pytest.raises(PrerequisiteError, match=f"cannot write to /a: {said}"):
        _check_disk(Path("/a"), FinishedBytes(128, b"", err))
