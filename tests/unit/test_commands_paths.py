"""Every path on the command line becomes absolute at once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gobun import files, paths
from gobun.commands import cli
from gobun.commands.run_flags import RunFlags

COMMANDS = Path(cli.__file__).parent


def test_given_path_relative_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.given_path("dist") == tmp_path / "dist"
    assert cli.given_path("/dist") == Path("/dist")
    assert RunFlags(out="report").fields()["out"] == tmp_path / "report"
    (tmp_path / "a.so").touch()
    assert cli.glob_files("*.so") == [tmp_path / "a.so"]
    assert cli.glob_files("none.so") == [tmp_path / "none.so"]


def test_shown_path_below_current_folder_is_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.display_path(tmp_path / "dist" / "a.so") == Path("dist/a.so")
    assert paths.display_path(tmp_path.parent / "a.so") == tmp_path.parent / "a.so"


def test_temporary_sibling_of_relative_path_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with files.temporary_sibling(Path("dist/package.tgz")) as folder:
        assert folder.is_absolute()
        assert folder.parent == tmp_path / "dist"


@pytest.mark.parametrize("module", sorted(COMMANDS.glob("*.py")), ids=lambda path: path.stem)
def test_command_modules_make_paths_absolute_in_one_way(module: Path) -> None:
    tree = ast.parse(module.read_text())
    makers = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Path"
    ]
    allowed = ["given_path"] if module.stem == Path(cli.__file__).stem else []
    assert makers == allowed
