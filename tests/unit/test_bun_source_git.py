"""The environment that git gets, and its error on a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from gobun.bun_source.git import Git, check_disk
from gobun.errors import PrerequisiteError
from gobun.process import FinishedBytes


@pytest.mark.parametrize(
    "message",
    [
        "fatal: sha1 file '/a/index.lock' write error. Out of diskspace",
        "error: unable to write file tsconfig.json",
        "fatal: write error: No space left on device",
    ],
)
def test_git_full_disk_is_a_prerequisite_error(message: str) -> None:
    err = f"warning: something else\n{message}\n".encode()
    with pytest.raises(PrerequisiteError, match=f"cannot write to /a: {message}"):
        check_disk(Path("/a"), FinishedBytes(128, b"", err))


def test_git_environment_has_only_server_access_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "GIT_DIR", "GIT_CONFIG_COUNT"):
        monkeypatch.setenv(name, "a person's")
    environment = Git(tmp_path)("-c", "alias.told=!env", "told").splitlines()
    assert {line.partition("=")[0] for line in environment if line.endswith("=a person's")} == {
        "SSH_AUTH_SOCK",
        "GIT_SSL_CAINFO",
    }


def test_git_missing_object_is_not_fetched(tmp_path: Path) -> None:
    marker, store = tmp_path / "asked", Git(tmp_path)
    store("init", "--bare", "--quiet")
    settings = {"url": tmp_path, "promisor": "true", "uploadpack": f"touch {marker}; false"}
    for name, value in settings.items():
        store("config", f"remote.origin.{name}", str(value))
    assert store.commit_of("1" * 40) is None
    assert not marker.exists()
