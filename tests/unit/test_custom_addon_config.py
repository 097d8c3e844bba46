"""Valid contents of `gobun.toml`, and the errors for invalid ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gobun.custom_addon_config import AddonTable, MatrixTable, find_config, read_config
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

ADDON = '[addon]\nfile = "./my.node"\nsmoke = "sub/smoke.cjs"\n'


def write_config(folder: Path, text: str) -> Path:
    path = folder / "gobun.toml"
    path.write_text(text)
    return path


def test_addon_config_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    lists = 'versions = ["1.2.19", ">=1.4.0"]\nloads = ["worker"]\nstresses = ["idle"]\n'
    text = f'{ADDON}name = "mine"\n[matrix]\n{lists}treatments = ["gc-signal"]\njobs = 1\n'
    config = read_config(write_config(tmp_path, f"{text}limit_s = 5\n"))
    addon = AddonTable(str(tmp_path / "my.node"), str(tmp_path / "sub/smoke.cjs"), "mine")
    assert config.addon == addon
    lists_read = (("1.2.19", ">=1.4.0"), ("gc-signal",), ("worker",), ("idle",))
    assert config.matrix == MatrixTable(*lists_read, jobs=1, limit_s=5.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[addon", "is not TOML"),
        ("", "the file lacks the key 'addon'"),
        ('[addon]\nfile = "x"\n', r"\[addon\] lacks the key 'smoke'"),
        (f"{ADDON}module = 1\n", r"\[addon\] has an unknown key 'module'"),
        (f"{ADDON}[own]\n", "the file has an unknown key 'own'"),
        (f"{ADDON}name = 1\n", r"name of \[addon\]: expected `str`, got `int`"),
        (f'{ADDON}[matrix]\njobs = "2"\n', r"jobs of \[matrix\]: expected `int`, got `str`"),
        (f"{ADDON}[matrix]\njobs = 0\n", r"jobs of \[matrix\]: expected `int` >= 1"),
        (f"{ADDON}[matrix]\nlimit_s = -1.0\n", r"limit_s of \[matrix\]: .*> 0\.0"),
        (f'{ADDON}[matrix]\nversions = "1.2.19"\n', r"versions of \[matrix\]: expected `array`"),
        (f'{ADDON}[matrix]\nversions = [""]\n', r"versions of \[matrix\]: an empty version"),
        (f'{ADDON}[matrix]\nversions = ["nod@22"]\n', r"versions of \[matrix\]: unknown runtime"),
        (f'{ADDON}[matrix]\nstress = ["idle"]\n', r"\[matrix\] has an unknown key 'stress'"),
        (
            f'{ADDON}[matrix]\nstresses = ["idel"]\n',
            r"stresses of \[matrix\]: unknown stress 'idel'\n  next: did you mean: idle",
        ),
        (f'{ADDON}[matrix]\nloads = ["fii"]\n', r"loads of \[matrix\]: unknown load 'fii'"),
        (f'{ADDON}[matrix]\ntreatments = ["x"]\n', r"treatments of \[matrix\]: unknown treatment"),
    ],
)
def test_addon_config_wrong_file_names_table_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write_config(tmp_path, text)
    with pytest.raises(UsageError, match=message) as caught:
        read_config(path)
    assert str(path) in str(caught.value)


def test_addon_config_in_folder_yields_to_named_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("", modules=(), addon="") is None
    with pytest.raises(UsageError, match=r"cannot read else\.toml"):
        find_config("else.toml", modules=(), addon="")
    write_config(tmp_path, ADDON)
    config = find_config("", modules=(), addon="")
    assert config is not None
    assert config.addon.file == str(tmp_path / "my.node")
    assert "as gobun.toml says" in capsys.readouterr().err
    assert find_config("", modules=("simple",), addon="") is None
    assert find_config("", modules=("mine",), addon="x.node") is not None
    assert find_config("gobun.toml", modules=("simple",), addon="") is not None
